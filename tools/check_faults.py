#!/usr/bin/env python3
"""Checks the catalogue of faults in docs/RELIABILITY.md against the sources.

Every number from 1 to 123 has one row, in order; each row names its tests as
`//package:target` `Suite.Name`, `Suite.Name`; the target is in the package's BUILD file, the
test in its sources, with the number in the comment above it.
"""

import pathlib
import re
import sys

LAST = 123
ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$")
WORD = re.compile(r"`([^`]+)`")
TEST = re.compile(r"^(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)


def numbers_above(text, position):
  """The numbers in the comment that ends where `position` is."""
  numbers = set()
  for line in reversed(text[:position].splitlines()):
    if not line.startswith("//"):
      break
    found = re.match(r"// Faults? ([\d, and]+)\.", line)
    if found:
      numbers.update(int(number) for number in re.findall(r"\d+", found.group(1)))
  return numbers


def tests_of(package):
  """The package's tests by "Suite.Name", each with the numbers of its faults."""
  tests = {}
  for path in sorted((ROOT / package).glob("*test.*")):
    if path.suffix not in (".cc", ".h"):
      continue
    text = path.read_text()
    for match in TEST.finditer(text):
      tests[f"{match.group(1)}.{match.group(2)}"] = numbers_above(text, match.start())
  return tests


def check_row(number, cell, packages):
  """What is wrong with the tests that a row names."""
  problems = []
  package = None
  named = 0
  for word in WORD.findall(cell):
    if word.startswith("//"):
      package, _, target = word[2:].partition(":")
      build = ROOT / package / "BUILD.bazel"
      if not build.exists() or f'"{target}"' not in build.read_text():
        problems.append(f"there is no target {word}")
      packages.setdefault(package, tests_of(package))
      continue
    named += 1
    if package is None or word not in packages[package]:
      problems.append(f"there is no test {word} in //{package}")
    elif number not in packages[package][word]:
      problems.append(f"the comment above {word} does not say \"Fault {number}.\"")
  if named == 0 and "(pending)" not in cell:
    problems.append("it names no test")
  return problems


def main():
  problems = []
  packages = {}
  expected = 1
  for line in (ROOT / "docs/RELIABILITY.md").read_text().splitlines():
    row = ROW.match(line)
    if row is None:
      continue
    number = int(row.group(1))
    if number != expected:
      problems.append(f"row {number} stands where row {expected} is due")
    expected = number + 1
    problems += [f"fault {number}: {problem}"
                 for problem in check_row(number, row.group(4), packages)]
  if expected != LAST + 1:
    problems.append(f"the last row is not {LAST}")
  for problem in problems:
    print(f"docs/RELIABILITY.md: {problem}")
  return 1 if problems else 0


sys.exit(main())
