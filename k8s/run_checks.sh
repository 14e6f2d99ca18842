# shellcheck shell=bash
# shellcheck disable=SC2154
# The part of check.sh that takes the services' programs: sourced by it, never run.
#
# Each service runs on this machine with the base's configuration and with keys made by the
# commands of README.md; only folders and ports are others.

need_grpcurl
pids=()
end_services() {
  kill -KILL "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$scratch"
}
trap end_services EXIT
pki=$scratch/pki

make_keys() {
  local service names=()
  for service in issuer order solver; do
    names+=(--name "$service=certwright-$service,certwright-$service.certwright.svc")
  done
  "$binaries/cli/certwright-bootstrap" certificates --out "$pki" "${names[@]}" \
    --client certwright-operator --client stranger &&
    (umask 077 && openssl rand -base64 32 >"$scratch/seal-1.key")
}

# A peer is called by its Service's name, which its certificate must have.
has_names() {
  openssl x509 -in "$pki/$1.crt" -noout -checkhost "certwright-$1" | grep 'does match' &&
    openssl x509 -in "$pki/$1.crt" -noout -checkhost "certwright-$1.certwright.svc" | grep 'does match'
}

takes_configuration() {
  "$binaries/services/$1/certwright-$1" --config="$here/base/$1/$1.yaml" --check_config
}

launch() {
  local config=$scratch/$1.yaml
  mkdir "$scratch/$1-data"
  sed -e "s#/etc/certwright-tls#$pki#" -e "s#/etc/certwright-sealing#$scratch#" \
    -e "s#/var/lib/certwright#$scratch/$1-data#" -e 's#"0\.0\.0\.0:[0-9]*"#"127.0.0.1:0"#' \
    -e "s#^server:#&\n  addressFile: $scratch/$1.address#" \
    "$here/base/$1/$1.yaml" >"$config"
  "$binaries/services/$1/certwright-$1" --config="$config" >"$scratch/$1.log" 2>&1 </dev/null &
  pids+=($!)
}

serves() {
  local end=$((SECONDS + 20))
  until [[ -s $scratch/$1.address ]]; do
    if ((SECONDS >= end)); then
      tail -n 20 "$scratch/$1.log"
      return 1
    fi
    sleep 0.1
  done
}

# A List that viewers may call.
method_of() {
  case $1 in
    issuer) printf 'certwright.issuer.v1.CertificateService/ListCertificates\n' ;;
    order) printf 'certwright.order.v1.OrderService/ListOrders\n' ;;
    solver) printf 'certwright.solver.v1.ChallengeService/ListChallenges\n' ;;
  esac
}

# call SERVICE OPTION...
call() {
  PATH=$CW_TOOLS/bin:$PATH grpcurl -max-time 10 "${@:2}" "$(cat "$scratch/$1.address")" "$(method_of "$1")"
}

# call_as SERVICE CLIENT
call_as() { call "$1" -cacert "$pki/ca.crt" -cert "$pki/$2.crt" -key "$pki/$2.key"; }

refuses_strangers() {
  local status=0
  if call "$1" -plaintext || call "$1" -cacert "$pki/ca.crt"; then return 1; fi
  call_as "$1" stranger >"$scratch/stranger" 2>&1 || status=$?
  cat "$scratch/stranger"
  [[ $status != 0 ]] && grep 'PermissionDenied' "$scratch/stranger"
}

seals_with_the_secret() {
  [[ -s $scratch/issuer-data/issuer.db && ! -e $scratch/issuer-data/issuer.db.key ]]
}

check 'keys are made as README.md says' make_keys
for service in issuer order solver; do
  check "certwright-$service takes base/$service/$service.yaml" takes_configuration "$service"
  check "the certificate of $service has the names that it is called by" has_names "$service"
  launch "$service"
  check "certwright-$service serves with the base's configuration" serves "$service"
  check "certwright-$service answers the operator" call_as "$service" certwright-operator
  check "certwright-$service answers nobody without a certificate or a grant" refuses_strangers "$service"
done
check 'no sealing key lies beside the store' seals_with_the_secret
