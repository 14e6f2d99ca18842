#!/usr/bin/env bash
# Renders the manifests and checks them without a cluster and without a network.
#
#   k8s/check.sh [BINARIES]
#
# BINARIES is a folder with services/issuer/certwright-issuer and so on and with
# cli/certwright-bootstrap, such as bazel-bin: with it the services themselves check their
# configurations, and run with them and with the keys that README.md makes.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup.sh
source "$here/../tools/setup.sh"
# shellcheck source=tools/checks.sh
source "$here/../tools/checks.sh"

# The oldest version whose gRPC probes are stable, and the newest whose schemas are at hand.
KUBERNETES_VERSIONS=(1.27.0 1.31.0 1.37.0)

binaries=${1:-}
if [[ -n $binaries ]]; then binaries=$(cd "$binaries" && pwd); fi

need_kustomize
need_kubernetes_validate
need_buf

scratch=$(mktemp -d "${TMPDIR:-/tmp}/certwright-k8s.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Overlays are given images here, not where users keep theirs.
cp -R "$here/base" "$here/overlays" "$scratch"

render() { "$CW_TOOLS/bin/kustomize" build "$scratch/$1" >"$2"; }

objects() { "$CW_TOOLS/venv/bin/python" -B "$here/$1.py" "${@:2}"; }

check_rendering() {
  local folder=$1 images=$2 version rendered
  rendered=$scratch/${folder//\//-}.yaml
  check "$folder is rendered" render "$folder" "$rendered"
  for version in "${KUBERNETES_VERSIONS[@]}"; do
    check "$folder keeps to the schemas of Kubernetes ${version%.*}" objects check schema "$rendered" "$version"
  done
  check "$folder: ports, selectors and grace periods agree with configurations" objects check services "$rendered"
  check "$folder: pods are restricted" objects check security "$rendered"
  check "$folder: mutual TLS and sealing, with keys from Secrets" objects check keys "$rendered"
  check "$folder: network policies let through just what is needed" objects check policies "$rendered"
  check "$folder: images are named as they must be ($images)" objects check "$images" "$rendered"
  check "$folder: the checks above find what is broken" objects check_mutations "$rendered" "$images"
}

# As tools/image/build.sh leaves them, as far as their digests go.
make_image_layouts() {
  local service digest
  for service in issuer order solver; do
    digest=$(sha256sum <<<"$service" | cut -d ' ' -f 1)
    mkdir -p "$scratch/images/certwright-$service"
    printf '{"manifests": [{"digest": "sha256:%s"}]}' "$digest" \
      >"$scratch/images/certwright-$service/index.json"
  done
}

pin() { "$here/pin_images.sh" "$scratch/images" registry.example.com/certwright "$scratch/$1"; }

is_not_rendered() { ! render "$1" /dev/null; }

# The request as it would be sent must be one that the API has.
check_request() {
  (cd "$CW_ROOT" && "$CW_TOOLS/bin/buf" convert proto \
    --type=certwright.issuer.v1.CreateClusterIssuerRequest --from="$1" --to=-#format=binpb >/dev/null)
}

tells_nobody_plaintext() {
  ! grep -rniE 'insecure_?plaintext: *true' "$here" "$CW_ROOT"/{docs,README.md,quickstart,tests/quickstart}
}

make_image_layouts
check_rendering base base-images
for overlay in "$here"/overlays/*/; do
  overlay=overlays/$(basename "$overlay")
  rm -rf "$scratch/$overlay/images"
  check "$overlay is not rendered before its images are pinned" is_not_rendered "$overlay"
  check "$overlay: images are pinned" pin "$overlay"
  check_rendering "$overlay" images
done
for request in "$here"/overlays/*/clusterissuer-*.json; do
  check "${request#"$here"/} is a request of the API" check_request "$request"
done
check 'nobody is told to use plaintext' tells_nobody_plaintext
if [[ -n $binaries ]]; then
  # shellcheck source=k8s/run_checks.sh
  source "$here/run_checks.sh"
else
  say 'without the services the configurations are not checked: k8s/check.sh bazel-bin'
fi
end_checks k8s
