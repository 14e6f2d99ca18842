#!/usr/bin/env python3
"""Prints the software bill of materials of an image, as CycloneDX 1.5 in JSON.

    sbom.py PROGRAM VERSION < FILES

PROGRAM is the program that the image is for. Each line of FILES is "PACKAGE FILE": a package of
Debian, and a file of the image that is from it; a package without a file is compiled into the
program. Equal input makes equal output: it has no time and no random number.
"""

import hashlib
import json
import os
import subprocess
import sys
from urllib.parse import quote

ARCHITECTURE = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
FORMAT = "${Architecture}\t${Version}\t${source:Package}\t${source:Version}\n"


def debian_release():
    with open("/etc/os-release", encoding="utf-8") as file:
        values = dict(line.strip().split("=", 1) for line in file if "=" in line)
    return values["VERSION_ID"].strip('"')


def component(package, files, release):
    text = subprocess.check_output(["dpkg-query", "-W", f"-f={FORMAT}", package], text=True)
    entries = [line.split("\t") for line in text.splitlines()]
    arch, version, source, source_version = next(
        entry for entry in entries if entry[0] in (ARCHITECTURE, "all")
    )
    upstream = source if source_version == version else f"{source}@{source_version}"
    purl = (
        f"pkg:deb/debian/{quote(package)}@{quote(version, safe='')}"
        f"?arch={arch}&distro=debian-{release}&upstream={quote(upstream, safe='')}"
    )
    entry = {
        "type": "library",
        "bom-ref": purl,
        "name": package,
        "version": version,
        "purl": purl,
    }
    if files:
        entry["evidence"] = {"occurrences": [{"location": file} for file in sorted(files)]}
    return entry


def main():
    program, version = sys.argv[1:]
    name = os.path.basename(program)
    packages = {}
    for line in sys.stdin:
        package, _, file = line.strip().partition(" ")
        packages.setdefault(package, set()).update([file] if file else [])
    release = debian_release()
    with open(program, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    components = [component(p, packages[p], release) for p in sorted(packages)]
    own = {
        "type": "application",
        "bom-ref": name,
        "name": name,
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    system = {"type": "operating-system", "bom-ref": "os", "name": "debian", "version": release}
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own},
        "components": [system, *components],
        "dependencies": [{"ref": name, "dependsOn": [c["bom-ref"] for c in components]}],
    }
    print(json.dumps(bom, indent=1))


if __name__ == "__main__":
    main()
