#!/usr/bin/env bash
# Builds a service's container image, without a daemon and without root.
#
#   tools/image/build.sh SERVICE OUTDIR [BINARIES]
#
# SERVICE is issuer, order or solver. OUTDIR/certwright-SERVICE becomes an OCI image layout with
# the tag 0.1, and OUTDIR/certwright-SERVICE.tar the same as an OCI archive. BINARIES is a folder
# with services/SERVICE/certwright-SERVICE; without it Bazel builds the service, optimised.
#
# Equal programs and packages make an equal image, to the byte. Its digest is printed; it stays the
# same in a registry, and k8s/pin_images.sh writes it into an overlay.
#
# Push it: skopeo copy --preserve-digests oci:OUTDIR/certwright-issuer:0.1 \
#   docker://REGISTRY/certwright-issuer:0.1
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup.sh
source "$here/../setup.sh"
# shellcheck source=tools/image/digest.sh
source "$here/digest.sh"

TAG=0.1
# Images carry no time of building, so that they can be compared.
EPOCH=1970-01-01T00:00:00Z

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

service=${1:-}
case $service in
  issuer | order | solver) ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
outdir=${2:?a folder to write to}
binaries=${3:-}

build_program() {
  use_writable_home
  install_packages build
  cd "$CW_ROOT"
  bazel build --config=opt --jobs="$(build_jobs)" "//services/$service:certwright-$service"
}

install_packages checks
if [[ -z $binaries ]]; then
  (build_program)
  binaries=$(cd "$CW_ROOT" && bazel info --config=opt bazel-bin 2>/dev/null)
fi

name=certwright-$service
layout=$outdir/$name
mkdir -p "$outdir"
rm -rf "$layout" "$layout.tar"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/certwright-image.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

"$here/root_files.sh" "$binaries/services/$service/$name" "$scratch/root"

# Everything is root's and nothing is writable, but for the data folder, which is the user's.
tar_options=(--sort=name --mtime="$EPOCH" --numeric-owner --format=gnu)
tar -C "$scratch/root" "${tar_options[@]}" --owner=0 --group=0 --exclude=./var/lib/certwright \
  -cf "$scratch/layer.tar" .
tar -C "$scratch/root" "${tar_options[@]}" --owner=65532 --group=65532 \
  -rf "$scratch/layer.tar" ./var/lib/certwright

umoci init --layout "$layout"
umoci new --image "$layout:$TAG"
umoci raw add-layer --image "$layout:$TAG" --history.created "$EPOCH" \
  --history.created_by "tools/image/build.sh $service" "$scratch/layer.tar"
umoci config --image "$layout:$TAG" --created "$EPOCH" --no-history \
  --author Certwright --architecture "$(dpkg --print-architecture)" --os linux \
  --config.user 65532:65532 --config.workingdir /var/lib/certwright \
  --config.entrypoint "/$name" --config.cmd "--config=/etc/certwright/$service.yaml"
umoci gc --layout "$layout"
chmod -R a+rX "$layout"
tar -C "$layout" "${tar_options[@]}" --owner=0 --group=0 -cf "$layout.tar" .
say "$layout:$TAG ($(du -sh "$layout" | cut -f1)) and $layout.tar"
digest=$(image_digest "$layout")
say "$name@$digest"
