#!/usr/bin/env python3
"""Counts the single test cases of a Bazel run.

Reads the file that bazel test --build_event_json_file wrote, and from it the test.xml of every
test of that run (a stale test.xml of another run is never looked at). Prints three numbers:
passed, failed and skipped cases; names the failed ones on standard error.

A test that failed without a failed case (a crash, a time-out, a build error) counts as one
failed case, so that no failure is lost.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

PASSED = ("PASSED", "FLAKY")


def read_events(path):
    """Returns {target: overall status} and {target: {(run, shard): test.xml path}}."""
    statuses = {}
    files = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            identity = event.get("id", {})
            if "testSummary" in identity and "testSummary" in event:
                statuses[identity["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
            elif "testResult" in identity and "testResult" in event:
                part = identity["testResult"]
                # Later attempts come later and take the place of earlier ones.
                for output in event["testResult"].get("testActionOutput", []):
                    if output["name"] == "test.xml":
                        key = (part.get("run", 1), part.get("shard", 1))
                        files.setdefault(part["label"], {})[key] = output["uri"]
            elif "targetCompleted" in identity:
                if not event.get("completed", {}).get("success", False):
                    statuses.setdefault(identity["targetCompleted"]["label"], "NOT_BUILT")
    return statuses, files


def count_cases(uri):
    """Returns (passed, names of failed, skipped) of one test.xml."""
    path = urllib.parse.unquote(urllib.parse.urlparse(uri).path)
    passed, failed, skipped = 0, [], 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}.{case.get('name')}".lstrip(".")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif (
            case.find("skipped") is not None
            or case.get("result") in ("skipped", "suppressed")
            or case.get("status") == "notrun"
        ):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    statuses, files = read_events(sys.argv[1])
    passed = failed = skipped = 0
    for label in sorted(set(statuses) | set(files)):
        status = statuses.get(label, "NO_STATUS")
        failed_here = []
        for uri in files.get(label, {}).values():
            try:
                counts = count_cases(uri)
            except (OSError, ElementTree.ParseError) as error:
                failed_here.append(f"(its test.xml cannot be read: {error})")
                continue
            passed += counts[0]
            failed_here += counts[1]
            skipped += counts[2]
        if status not in PASSED and not failed_here:
            failed_here.append(f"({status})")
        for name in failed_here:
            print(f"FAILED  {label} {name}", file=sys.stderr)
        failed += len(failed_here)
    print(passed, failed, skipped)


if __name__ == "__main__":
    main()
