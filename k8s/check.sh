#!/usr/bin/env bash
# Renders the manifests and checks them without a cluster and without a network.
#
#   k8s/check.sh [BINARIES]
#
# BINARIES is a folder with services/issuer/certwright-issuer and so on, such as bazel-bin: with
# it the configurations are checked by the services themselves.
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

render() { "$CW_TOOLS/bin/kustomize" build "$here/$1" >"$2"; }

objects() { "$CW_TOOLS/venv/bin/python" "$here/check.py" "$@"; }

check_rendering() {
  local folder=$1 version rendered
  rendered=$scratch/${folder//\//-}.yaml
  check "$folder is rendered" render "$folder" "$rendered"
  for version in "${KUBERNETES_VERSIONS[@]}"; do
    check "$folder keeps to the schemas of Kubernetes ${version%.*}" objects schema "$rendered" "$version"
  done
  check "$folder: ports, selectors and grace periods agree with configurations" objects services "$rendered"
  check "$folder: pods are restricted" objects security "$rendered"
  check "$folder: network policies allow just the calls that are made" objects policies "$rendered"
}

# The request as it would be sent must be one that the API has.
check_request() {
  (cd "$CW_ROOT" && "$CW_TOOLS/bin/buf" convert proto \
    --type=certwright.issuer.v1.CreateClusterIssuerRequest --from="$1" --to=-#format=binpb >/dev/null)
}

check_rendering base
for overlay in "$here"/overlays/*/; do
  check_rendering "overlays/$(basename "$overlay")"
done
for request in "$here"/overlays/*/clusterissuer-*.json; do
  check "${request#"$here"/} is a request of the API" check_request "$request"
done
if [[ -n $binaries ]]; then
  for service in issuer order solver; do
    check "certwright-$service takes base/$service/$service.yaml" \
      "$binaries/services/$service/certwright-$service" \
      --config="$here/base/$service/$service.yaml" --check_config
  done
else
  say 'without the services the configurations are not checked: k8s/check.sh bazel-bin'
fi
end_checks k8s
