# shellcheck shell=bash
# What ./quickstart, ./test and the scripts under tools/ share: sourced, never run.
#
# The caller has set -euo pipefail. Nothing here asks a question, and nothing is installed that
# is there already.

CW_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CW_TOOLS=$CW_ROOT/.tools

say() { printf 'certwright: %s\n' "$*"; }

die() {
  printf 'certwright: %s\n' "$*" >&2
  exit 1
}

# Bazel, Go and npm keep caches under HOME, and some containers have none that can be written.
use_writable_home() {
  if [[ -z ${HOME:-} || ! -d $HOME || ! -w $HOME ]]; then
    mkdir -p "$CW_TOOLS/home"
    export HOME=$CW_TOOLS/home
  fi
}

# The names of the package lists' packages that are not installed, one a line.
missing_packages() {
  local installed='' list package command _
  if command -v dpkg-query >/dev/null; then
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p')
  fi
  for list in "$@"; do
    while read -r package command _; do
      if [[ -z $package || $package == \#* ]]; then continue; fi
      if [[ -n $command ]] && command -v "$command" >/dev/null; then continue; fi
      if ! grep -qxF -- "$package" <<<"$installed"; then printf '%s\n' "$package"; fi
    done <"$CW_ROOT/tools/packages/$list.txt"
  done | sort -u
}

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif [[ -t 0 ]]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

# Shows one line in a hundred of what apt-get does, and keeps all of it in the file $1.
show_apt_progress() {
  local log=$1 line total='' unpacked=0 done_count=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in
      *' newly installed,'*)
        total=${line#*upgraded, }
        total=${total%% newly*}
        say "  downloading $total packages, with those they need"
        ;;
      'Unpacking '*)
        unpacked=$((unpacked + 1))
        if ((unpacked % 100 == 0)); then say "  $unpacked of ${total:-many} unpacked"; fi
        ;;
      'Setting up '*)
        done_count=$((done_count + 1))
        if ((done_count % 100 == 0)); then say "  $done_count of ${total:-many} set up"; fi
        ;;
    esac
  done
}

run_apt() {
  local log=$1
  shift
  as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null 2>&1 |
    show_apt_progress "$log"
}

# Tests start nameservers of their own, so none shall start or be enabled because its package
# was installed. A subshell, so that the policy goes away however the installation ends.
policy_file=/usr/sbin/policy-rc.d
install_without_starting() (
  log=$1
  shift
  if [[ ! -e $policy_file ]]; then
    trap 'as_root rm -f "$policy_file"' EXIT
    trap 'exit 130' INT TERM
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy_file && chmod 755 $policy_file"
  fi
  run_apt "$log" update && run_apt "$log" install --no-install-recommends --no-remove "$@"
)

disable_new_services() {
  local pair
  if ! command -v systemctl >/dev/null; then return 0; fi
  for pair in bind9:named caddy:caddy knot:knot unbound:unbound; do
    if grep -qxF "${pair%%:*}" <<<"$1"; then
      as_root systemctl disable --quiet "${pair##*:}.service" >/dev/null 2>&1 || true
    fi
  done
}

check_can_install() {
  if ! command -v apt-get >/dev/null || ! grep -qsx 'VERSION_CODENAME=bookworm' /etc/os-release; then
    die "these packages of Debian 12 (bookworm) are missing, and this is not Debian 12:
$1
Run this in a Debian 12 container, for example: podman run -it -v \"\$PWD:/src\" -w /src debian:12"
  fi
  if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
    die "these packages are missing, and installing them takes root or sudo:
$1
Run as root: apt-get install --no-install-recommends $(tr '\n' ' ' <<<"$1")"
  fi
}

# install_packages LIST...: installs what of tools/packages/LIST.txt is missing.
install_packages() {
  local missing log
  missing=$(missing_packages "$@")
  if [[ -z $missing ]]; then return 0; fi
  check_can_install "$missing"
  log=$(mktemp "${TMPDIR:-/tmp}/certwright-apt.XXXXXX")
  say "installing $(wc -l <<<"$missing") missing packages of Debian: $(tr '\n' ' ' <<<"$missing")"
  # shellcheck disable=SC2086  # one word a package
  if ! install_without_starting "$log" $missing; then
    tail -n 15 "$log" >&2
    die "apt-get could not install them; all that it said is in $log"
  fi
  disable_new_services "$missing"
  rm -f "$log"
  say 'packages are installed'
}

# Versions that Debian's Go 1.19 can build, then those that take the newer one; the Go checksum
# database vouches for all.
GRPCURL_VERSION=v1.8.7
KUSTOMIZE_VERSION=v5.0.3
PEBBLE_VERSION=v2.10.1
STEP_CA_VERSION=v0.30.2
GO_TOOLCHAIN=1.25.3

# quietly WHAT COMMAND...: shows the command's output only when it fails.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/certwright-tool.XXXXXX")
  say "$what"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 25 "$log" >&2
    rm -f "$log"
    die "failed: $what"
  fi
  rm -f "$log"
}

# pinned NAME VERSION: whether NAME was put into .tools at that version.
pinned() { [[ $(cat "$CW_TOOLS/.versions/$1" 2>/dev/null) == "$2" ]]; }

pin() {
  mkdir -p "$CW_TOOLS/.versions"
  printf '%s\n' "$2" >"$CW_TOOLS/.versions/$1"
}

# need_go_tool NAME MODULE VERSION
need_go_tool() {
  local name=$1 module=$2 version=$3
  if pinned "$name" "$version"; then return 0; fi
  install_packages go
  mkdir -p "$CW_TOOLS/bin"
  quietly "building $name $version for the tests (a minute or two)" \
    env GOBIN="$CW_TOOLS/bin" GOFLAGS=-buildvcs=false go install "$module@$version"
  pin "$name" "$version"
}

# need_newer_go_tool NAME LINK PACKAGE VERSION [FLAG...]: what Debian's Go cannot build, as
# .tools/bin/LINK.
need_newer_go_tool() {
  local name=$1 link=$2 package=$3 version=$4
  if pinned "$name" "$version"; then return 0; fi
  install_packages go
  mkdir -p "$CW_TOOLS/bin"
  quietly "building $name $version for the tests, with Go $GO_TOOLCHAIN (some minutes)" \
    install_with_newer_go "$name" "$package@$version" "${@:5}"
  ln -sf "../$name/$name" "$CW_TOOLS/bin/$link"
  pin "$name" "$version"
}

install_with_newer_go() {
  local name=$1 package=$2 go
  go=$(newer_go) || return 1
  env GOBIN="$CW_TOOLS/$name" GOFLAGS=-buildvcs=false GOTOOLCHAIN=local GOROOT= CGO_ENABLED=0 \
    "$go" install "${@:3}" "$package"
}

# Debian's Pebble is from 2023: it knows neither ARI nor profiles.
need_newest_pebble() {
  need_newer_go_tool pebble pebble-newest github.com/letsencrypt/pebble/v2/cmd/pebble \
    "$PEBBLE_VERSION"
}

# Without clients of Azure, TPMs and databases, which no test asks for; without those of other
# clouds it does not build.
need_step_ca() {
  local without=noazurekms,notpmkms,nomysql,nopgx,nobadger
  need_newer_go_tool step-ca step-ca github.com/smallstep/certificates/cmd/step-ca \
    "$STEP_CA_VERSION" -tags "$without"
}

# Prints the path of a Go that builds what Debian's does not: as a module of Go's registry, which
# the checksum database vouches for. An archive of a module does not keep modes.
newer_go() {
  local module folder
  module=golang.org/toolchain@v0.0.1-go$GO_TOOLCHAIN.linux-$(dpkg --print-architecture)
  go mod download "$module" >&2 || return 1
  folder=$(go env GOMODCACHE)/$module
  chmod -R u+w "$folder" && chmod 755 "$folder"/bin/* "$folder"/pkg/tool/*/* || return 1
  printf '%s\n' "$folder/bin/go"
}

need_grpcurl() {
  need_go_tool grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl "$GRPCURL_VERSION"
}

need_kustomize() {
  need_go_tool kustomize sigs.k8s.io/kustomize/kustomize/v5 "$KUSTOMIZE_VERSION"
}

# The lock file names every package and its hash, and nothing that a package brings is run.
need_buf() {
  local lock=$CW_ROOT/tools/packages/buf/package-lock.json version
  version=$(hash_of "$lock")
  if pinned buf "$version"; then return 0; fi
  install_packages npm
  mkdir -p "$CW_TOOLS/bin" "$CW_TOOLS/buf"
  cp "$CW_ROOT"/tools/packages/buf/package{,-lock}.json "$CW_TOOLS/buf/"
  quietly 'installing buf for the tests' \
    npm ci --prefix "$CW_TOOLS/buf" --ignore-scripts --no-audit --no-fund
  ln -sf ../buf/node_modules/.bin/buf "$CW_TOOLS/bin/buf"
  pin buf "$version"
}

# Its wheel holds the schemas of many Kubernetes versions, so that checks need no network.
need_kubernetes_validate() {
  local requirements=$CW_ROOT/tools/packages/kubernetes-validate/requirements.txt version
  version=$(hash_of "$requirements")
  if pinned kubernetes-validate "$version"; then return 0; fi
  install_packages checks
  quietly 'installing kubernetes-validate for the tests' make_venv "$requirements"
  pin kubernetes-validate "$version"
}

hash_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

make_venv() {
  /usr/bin/python3 -m venv --clear "$CW_TOOLS/venv" &&
    "$CW_TOOLS/venv/bin/pip" install --disable-pip-version-check --require-hashes \
      --only-binary=:all: --requirement "$1"
}

# Prints how many compilers fit: one a core, and no more than one a GiB of free memory.
build_jobs() {
  local cores gib
  cores=$(nproc)
  gib=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)
  if ((gib < 1)); then gib=1; fi
  printf '%s\n' "$((cores < gib ? cores : gib))"
}
