#!/usr/bin/env bash
# Runs the fuzz targets: see --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: tools/fuzz.sh [SECONDS] [TARGET...]

Builds every fuzz target, or those given, and runs each for SECONDS (default 300), one after the
other. Prints for each "ok NAME N runs" or "FAILED NAME" with what was found. The exit status is
0 only when nothing was found.

What a run learns is kept in .tools/fuzz/NAME/corpus, where the next one goes on, and an input
that fails in .tools/fuzz/NAME.

Examples:
  tools/fuzz.sh
  tools/fuzz.sh 60 //lib/dns:message_fuzz //lib/pki:csr_fuzz
END
}

# shellcheck source=tools/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac
seconds=300
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
fi
for target in "$@"; do
  if [[ $target != //*:*_fuzz ]]; then
    printf 'fuzz.sh: "%s" is no fuzz target like //lib/dns:message_fuzz\n\n' "$target" >&2
    usage >&2
    exit 2
  fi
done

cd "$CW_ROOT"
use_writable_home
install_packages build clang
targets=("$@")
if [[ ${#targets[@]} == 0 ]]; then
  mapfile -t targets < <(bazel query 'attr(tags, "\bfuzz\b", //lib/... + //services/... + //tests/...)' 2>/dev/null | sort)
fi
if [[ ${#targets[@]} == 0 ]]; then die 'bazel query found no fuzz target'; fi
bazel build --config=fuzz --jobs="$(build_jobs)" "${targets[@]}"
programs=$(bazel info --config=fuzz bazel-bin 2>/dev/null)

# fuzz TARGET: whether it ran to its end without a finding.
fuzz() {
  local path=${1#//} name work status=0
  path=${path/:/\/}
  name=${path//\//_}
  work=$CW_TOOLS/fuzz/$name
  mkdir -p "$work/corpus"
  "$programs/$path" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$work/" "$work/corpus" "${path}_corpus" >"$work/log" 2>&1 </dev/null || status=$?
  if [[ $status == 0 ]]; then
    printf 'ok      %s %s runs\n' "$path" \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")"
    return 0
  fi
  printf 'FAILED  %s\n' "$path"
  grep -vE '^#[0-9]+\s+(NEW|REDUCE|pulse|RELOAD)|NEW_FUNC' "$work/log" | tail -n 40 | sed 's/^/        /'
  return 1
}

failed=0
for target in "${targets[@]}"; do
  fuzz "$target" || failed=$((failed + 1))
done
printf 'fuzz: %d ok, %d failed\n' "$((${#targets[@]} - failed))" "$failed"
((failed == 0))
