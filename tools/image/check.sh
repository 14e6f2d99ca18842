#!/usr/bin/env bash
# Builds the three images, starts each service in the root file system of its own image as the
# image's user, asks for its health, and stops it.
#
#   tools/image/check.sh BINARIES [SERVICE...]
#
# BINARIES is a folder with services/issuer/certwright-issuer and so on, such as bazel-bin of a
# build with --config=opt. Takes root (or sudo), for chroot.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup.sh
source "$here/../setup.sh"
# shellcheck source=tools/checks.sh
source "$here/../checks.sh"

binaries=$(cd "${1:?a folder of the services\' programs}" && pwd)
services=("${@:2}")
if [[ ${#services[@]} == 0 ]]; then services=(issuer order solver); fi

START_SECONDS=20
STOP_SECONDS=30

install_packages checks
scratch=$(mktemp -d "${TMPDIR:-/tmp}/certwright-images.XXXXXX")
# The image's user must be able to pass through.
chmod 755 "$scratch"
pid=
clean_up() {
  if [[ -n $pid ]]; then as_root kill -KILL "$pid" 2>/dev/null || true; fi
  as_root rm -rf "$scratch"
}
trap clean_up EXIT

# Peers need not be up for a service to serve; these are ports where nobody listens.
configuration() {
  local peers="issuer: {address: \"127.0.0.1:1\"}
order: {address: \"127.0.0.1:1\"}
solver: {address: \"127.0.0.1:1\"}"
  cat <<END
server: {listen: "127.0.0.1:0", addressFile: /var/lib/certwright/address, drainGrace: 2s}
store: {sqlite: {path: /var/lib/certwright/$1.db}}
END
  case $1 in
    issuer) grep -v '^issuer' <<<"$peers" ;;
    order) grep -v '^order' <<<"$peers" ;;
    solver) grep '^issuer' <<<"$peers" && printf 'http01Listen: "127.0.0.1:0"\n' ;;
  esac
}

build() { "$here/build.sh" "$1" "$scratch/images" "$binaries"; }

unpack() {
  as_root umoci unpack --image "$scratch/images/certwright-$1:0.1" "$scratch/$1" &&
    as_root mkdir "$scratch/$1/rootfs/etc/certwright" &&
    configuration "$1" | as_root tee "$scratch/$1/rootfs/etc/certwright/$1.yaml"
}

# What an image holds is what it was made of, and nothing that helps an intruder.
holds_no_shell() {
  local root=$scratch/$1/rootfs
  ! find "$root" \( -path '*/bin/*' -o -name '*sh' -o -perm /6000 \) -type f | grep .
}

# A mistake in memory ends such a program instead of being of use to whoever provoked it
# (docs/SECURITY.md): position independent, what the loader fills in is read-only afterwards, no
# page that can be both written and executed, checked copies, and guards on the stack.
is_hardened() {
  local program=$scratch/$1/rootfs/certwright-$1 symbols
  readelf --wide --file-header "$program" | grep 'Type: *DYN' &&
    readelf --wide --dynamic "$program" | grep 'FLAGS_1.*NOW.*PIE' &&
    readelf --wide --program-headers "$program" | grep GNU_RELRO &&
    readelf --wide --program-headers "$program" | grep 'GNU_STACK.* RW ' &&
    symbols=$(readelf --wide --dyn-syms "$program") &&
    grep ' __memcpy_chk' <<<"$symbols" &&
    grep ' __stack_chk_fail' <<<"$symbols"
}

# The bill of materials is JSON, and names the program and every library that is there.
lists_its_parts() {
  local root=$scratch/$1/rootfs
  /usr/bin/python3 - "$root" "certwright-$1" <<'END'
import hashlib, json, os, sys

root, program = sys.argv[1:]
with open(f"{root}/usr/share/sbom/{program}.cdx.json", encoding="utf-8") as file:
    bom = json.load(file)
with open(f"{root}/{program}", "rb") as file:
    digest = hashlib.sha256(file.read()).hexdigest()
own = bom["metadata"]["component"]
if bom["bomFormat"] != "CycloneDX" or own["name"] != program:
    sys.exit("is not the bill of materials of this program")
if own["hashes"] != [{"alg": "SHA-256", "content": digest}]:
    sys.exit("was made of another program")
named = set()
for part in bom["components"]:
    if part["type"] == "library" and not (part["version"] and part["purl"].startswith("pkg:deb/debian/")):
        sys.exit(f"{part['name']} has no version or package")
    for place in part.get("evidence", {}).get("occurrences", []):
        # /lib is a link to /usr/lib.
        named.add(os.path.realpath(root + place["location"]))
held = {
    os.path.join(folder, name)
    for top in ("usr/lib", "usr/lib64")
    for folder, _, names in os.walk(os.path.realpath(os.path.join(root, top)))
    for name in names
}
if not held or held - named:
    sys.exit(f"does not name {sorted(held - named)}")
END
}

knows_time_zones() { as_root test -s "$scratch/$1/rootfs/usr/share/zoneinfo/Europe/Berlin"; }

runs_as_nonroot() {
  as_root grep -q '"uid": *65532' "$scratch/$1/config.json"
}

address_of() { as_root cat "$scratch/$1/rootfs/var/lib/certwright/address"; }

# wait_for SECONDS COMMAND...
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= end)); then return 1; fi
    sleep 0.1
  done
}

has_ended() { ! as_root kill -0 "$pid" 2>/dev/null; }
serving_or_ended() { grep -q '"serving"' "$scratch/$1.log" || has_ended; }

starts() {
  if ! wait_for "$START_SECONDS" serving_or_ended "$1" || has_ended; then
    tail -n 20 "$scratch/$1.log"
    return 1
  fi
}

is_healthy() {
  PATH=$CW_TOOLS/bin:$PATH grpcurl -plaintext -max-time 10 "$(address_of "$1")" \
    grpc.health.v1.Health/Check | grep -q '"SERVING"'
}

keeps_its_store() { as_root test -s "$scratch/$1/rootfs/var/lib/certwright/$1.db"; }

stops() {
  local status=0
  as_root kill -TERM "$pid"
  if ! wait_for "$STOP_SECONDS" has_ended; then
    printf 'still runs %d s after SIGTERM\n' "$STOP_SECONDS"
    return 1
  fi
  # The status was left by the shell that started it.
  wait_for 5 test -s "$scratch/$1.status"
  status=$(cat "$scratch/$1.status")
  if [[ $status != 0 ]]; then
    printf 'ended with status %s\n' "$status"
    tail -n 20 "$scratch/$1.log"
    return 1
  fi
}

# Starts the service with its environment empty, as a container has it, and leaves its process
# in $pid and later its exit status in a file.
launch() {
  local service=$1 root=$scratch/$1/rootfs pid_file=$scratch/$1.pid
  : >"$scratch/$service.log"
  (
    status=0
    # shellcheck disable=SC2016  # $$ and the arguments are the inner shell's
    as_root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c 'echo $$ >"$1"; exec chroot \
      --userspec=65532:65532 "$2" "/certwright-$3" "--config=/etc/certwright/$3.yaml"' \
      sh "$pid_file" "$root" "$service" >>"$scratch/$service.log" 2>&1 </dev/null || status=$?
    printf '%d\n' "$status" >"$scratch/$service.status"
  ) &
  wait_for 5 test -s "$pid_file"
  pid=$(cat "$pid_file")
}

for service in "${services[@]}"; do
  check "image of $service is built" build "$service"
  check "image of $service is unpacked" unpack "$service"
  check "image of $service has the user 65532" runs_as_nonroot "$service"
  check "image of $service holds no shell and nothing set-user-ID" holds_no_shell "$service"
  check "image of $service lists its parts" lists_its_parts "$service"
  check "program of $service is hardened" is_hardened "$service"
  if [[ $service == issuer ]]; then check 'image of issuer knows time zones' knows_time_zones issuer; fi
  launch "$service"
  check "$service serves from its image" starts "$service"
  if [[ -x $CW_TOOLS/bin/grpcurl ]] || command -v grpcurl >/dev/null; then
    check "$service is healthy" is_healthy "$service"
  fi
  check "$service keeps its store in /var/lib/certwright" keeps_its_store "$service"
  check "$service ends in order at SIGTERM" stops "$service"
  pid=
done
end_checks images
