#!/usr/bin/env bash
# Has an overlay run exactly the images that were built: registry and digest of each.
#
#   k8s/pin_images.sh IMAGES REGISTRY OVERLAY
#
# IMAGES is the folder that tools/image/build.sh wrote certwright-issuer, certwright-order and
# certwright-solver to, REGISTRY where they are pushed, such as registry.example.com/certwright.
# Writes OVERLAY/images/kustomization.yaml, which belongs into version control with the overlay.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/image/digest.sh
source "$here/../tools/image/digest.sh"

if (($# != 3)); then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
fi
images=$1 registry=${2%/} overlay=$3

component() {
  local service name digest
  cat <<'END'
# Written by k8s/pin_images.sh.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
images:
END
  for service in issuer order solver; do
    name=certwright-$service
    digest=$(image_digest "$images/$name") || return 1
    printf '  - name: image.invalid/%s\n    newName: %s/%s\n    digest: %s\n' \
      "$name" "$registry" "$name" "$digest"
  done
}

# Whole or not at all: half of it would be refused, but not understood.
text=$(component)
mkdir -p "$overlay/images"
printf '%s\n' "$text" >"$overlay/images/kustomization.yaml"
printf '%s\n' "$overlay/images/kustomization.yaml"
