# shellcheck shell=bash
# Sourced, never run.

# image_digest LAYOUT: prints the digest of the one image in an OCI image layout, by which a
# registry knows it too.
image_digest() {
  /usr/bin/python3 - "$1/index.json" <<'END'
import json, re, sys

with open(sys.argv[1], encoding="utf-8") as file:
    manifests = json.load(file)["manifests"]
if len(manifests) != 1 or not re.fullmatch("sha256:[0-9a-f]{64}", manifests[0]["digest"]):
    sys.exit(f"{sys.argv[1]}: is not the index of one image")
print(manifests[0]["digest"])
END
}
