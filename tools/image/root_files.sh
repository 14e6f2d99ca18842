#!/usr/bin/env bash
# Makes the root file system of a service's image.
#
#   tools/image/root_files.sh PROGRAM FOLDER
#
# FOLDER then holds the program, the shared libraries it is linked with, the CAs that Debian
# trusts, a user 65532, the time zones (issuer only), the licences of all that, and nothing else: no
# shell, no package manager.
set -euo pipefail

program=${1:?a program}
folder=${2:?a folder}

# Libraries as the dynamic linker finds them, and the linker itself.
libraries() { ldd "$program" | awk '/ => \// { print $3 } /^[[:space:]]*\/.*ld-linux/ { print $1 }'; }

if ldd "$program" | grep 'not found'; then
  printf 'root_files.sh: %s lacks libraries\n' "$program" >&2
  exit 1
fi

mkdir -p "$folder"/{etc/ssl/certs,usr/lib,usr/lib64,usr/share/doc,var/lib/certwright,tmp}
ln -s usr/lib "$folder/lib"
ln -s usr/lib64 "$folder/lib64"
chmod 1777 "$folder/tmp"

install -m 755 "$program" "$folder/$(basename "$program")"
strip --strip-debug "$folder/$(basename "$program")"

while read -r library; do
  # /lib is a link to /usr/lib in Debian and in the image alike.
  target=$folder/$library
  mkdir -p "$(dirname "$target")"
  install -m 755 "$(readlink -f "$library")" "$target"
  # Whose it is: dpkg knows some libraries under /lib and some under /usr/lib.
  owner=$({ dpkg-query -S "$(readlink -f "$library")" || dpkg-query -S "$library" ||
    dpkg-query -S "$(readlink -f "$library" | sed 's,^/usr,,')"; } 2>/dev/null | head -n 1)
  package=${owner%%:*}
  if [[ -n $package && -e /usr/share/doc/$package/copyright ]]; then
    mkdir -p "$folder/usr/share/doc/$package"
    cp -L "/usr/share/doc/$package/copyright" "$folder/usr/share/doc/$package/"
  fi
done < <(libraries)

install -m 644 /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/var/lib/certwright:/nonexistent\n' \
  >"$folder/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$folder/etc/group"
printf 'hosts: files dns\n' >"$folder/etc/nsswitch.conf"
# Renewal windows name time zones.
if [[ $(basename "$program") == certwright-issuer ]]; then
  mkdir -p "$folder/usr/share/doc/tzdata"
  cp -aL /usr/share/zoneinfo "$folder/usr/share/zoneinfo"
  rm -rf "$folder"/usr/share/zoneinfo/{posix,right}
  cp -L /usr/share/doc/tzdata/copyright "$folder/usr/share/doc/tzdata/"
fi
