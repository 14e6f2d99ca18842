#!/usr/bin/env bash
# Makes the root file system of a service's image.
#
#   tools/image/root_files.sh PROGRAM FOLDER
#
# FOLDER then holds the program, the shared libraries it is linked with, the CAs that Debian
# trusts, a user 65532, the time zones (issuer only), the licences of all that, a list of it
# (usr/share/sbom/PROGRAM.cdx.json), and nothing else: no shell, no package manager.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=${1:?a program}
folder=${2:?a folder}
name=$(basename "$program")

# Packages of Debian whose headers are compiled into the programs and whose libraries, if they have
# any, are not.
HEADERS=(libboost1.81-dev libcli11-dev)

# Libraries as the dynamic linker finds them, and the linker itself.
libraries() { ldd "$program" | awk '/ => \// { print $3 } /^[[:space:]]*\/.*ld-linux/ { print $1 }'; }

# package_of FILE: dpkg knows some libraries under /lib and some under /usr/lib.
package_of() {
  local file owner
  file=$(readlink -f "$1")
  owner=$({ dpkg-query -S "$file" || dpkg-query -S "$1" || dpkg-query -S "${file#/usr}" ||
    dpkg-query -S "/usr$1"; } 2>/dev/null | head -n 1)
  if [[ -z $owner ]]; then
    printf 'root_files.sh: %s is of no package of Debian\n' "$1" >&2
    return 1
  fi
  printf '%s\n' "${owner%%:*}"
}

# Each line "PACKAGE FILE", for sbom.py.
contents=

# adds PACKAGE [FILE]: notes what the image has of a package, and puts its licence in.
adds() {
  contents+="$*"$'\n'
  mkdir -p "$folder/usr/share/doc/$1"
  cp -L "/usr/share/doc/$1/copyright" "$folder/usr/share/doc/$1/"
}

if ldd "$program" | grep 'not found'; then
  printf 'root_files.sh: %s lacks libraries\n' "$program" >&2
  exit 1
fi

mkdir -p "$folder"/{etc/ssl/certs,usr/lib,usr/lib64,usr/share/{doc,sbom},var/lib/certwright,tmp}
ln -s usr/lib "$folder/lib"
ln -s usr/lib64 "$folder/lib64"
chmod 1777 "$folder/tmp"

install -m 755 "$program" "$folder/$name"
strip --strip-debug "$folder/$name"

while read -r library; do
  # /lib is a link to /usr/lib in Debian and in the image alike.
  target=$folder/$library
  mkdir -p "$(dirname "$target")"
  install -m 755 "$(readlink -f "$library")" "$target"
  package=$(package_of "$library")
  adds "$package" "$library"
done < <(libraries)
for package in "${HEADERS[@]}"; do adds "$package"; done

install -m 644 /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
adds ca-certificates /etc/ssl/certs/ca-certificates.crt
printf 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/var/lib/certwright:/nonexistent\n' \
  >"$folder/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$folder/etc/group"
printf 'hosts: files dns\n' >"$folder/etc/nsswitch.conf"
# Renewal windows name time zones.
if [[ $name == certwright-issuer ]]; then
  cp -aL /usr/share/zoneinfo "$folder/usr/share/zoneinfo"
  rm -rf "$folder"/usr/share/zoneinfo/{posix,right}
  adds tzdata /usr/share/zoneinfo
fi

version=$("$program" --version)
printf '%s' "$contents" | /usr/bin/python3 "$here/sbom.py" "$folder/$name" "${version##* }" \
  >"$folder/usr/share/sbom/$name.cdx.json"
