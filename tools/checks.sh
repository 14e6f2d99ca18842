# shellcheck shell=bash
# How the check scripts report: a line "ok <name>" or "FAILED <name>" for each check, which
# ./test counts. Sourced, never run.

CHECKS_OK=0
CHECKS_FAILED=0

# check NAME COMMAND...: the command's output is shown only when it fails.
check() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1 </dev/null); then
    CHECKS_OK=$((CHECKS_OK + 1))
    printf 'ok      %s\n' "$name"
  else
    CHECKS_FAILED=$((CHECKS_FAILED + 1))
    printf 'FAILED  %s\n' "$name"
    head -n 40 <<<"$output" | sed 's/^/        /'
  fi
}

# Closes a script: its last command. A script that checked nothing has not succeeded.
end_checks() {
  printf '%s: %d ok, %d failed\n' "$1" "$CHECKS_OK" "$CHECKS_FAILED"
  ((CHECKS_FAILED == 0 && CHECKS_OK > 0))
}
