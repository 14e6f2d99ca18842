#!/usr/bin/env bash
# Checks the form of sources, API and scripts: see --help.
set -euo pipefail

usage() {
  cat <<'END'
Usage: tools/lint.sh                  form of C++ sources, the API's rules, shell scripts, faults
       tools/lint.sh --fix            formats the C++ sources
       tools/lint.sh --tidy [FILE...] clang-tidy over FILE, or over all sources
                                      (slow: 15 seconds a file; build //... first)
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup.sh
source "$here/setup.sh"
# shellcheck source=tools/checks.sh
source "$here/checks.sh"
cd "$CW_ROOT"

SOURCE_FOLDERS=(lib services tests bench cli)

cpp_files() {
  local folder
  for folder in "${SOURCE_FOLDERS[@]}"; do
    if [[ -d $folder ]]; then find "$folder" -name '*.h' -o -name '*.cc'; fi
  done | sort
}

shell_files() {
  printf '%s\n' quickstart test .ci/run
  find tools k8s -name '*.sh' | sort
}

check_cpp_form() { cpp_files | xargs clang-format-14 --dry-run --Werror; }

check_api() { "$CW_TOOLS/bin/buf" lint; }

check_no_unfinished_notes() {
  # Written apart, so that this file does not find itself.
  ! grep -rnE "\b(TO""DO|FIX""ME|X""XX)\b" --include='*.cc' --include='*.h' --include='*.proto' \
    --include='*.sh' --include='*.bazel' "${SOURCE_FOLDERS[@]}" proto tools k8s 2>/dev/null
}

check_headers_are_guarded() {
  local file status=0
  while read -r file; do
    if ! grep -qx '#pragma once' "$file"; then
      printf '%s: has no "#pragma once"\n' "$file"
      status=1
    fi
  done < <(cpp_files | grep '\.h$')
  return "$status"
}

# Why not absl::Now(): lib/base/clock.cc.
check_time_is_of_the_clock() {
  local found
  found=$(cpp_files | grep -E '^(lib|services|cli)/' |
    grep -vE '_test\.cc$|_testing\.|/testing/|/test_|/fake_|_benchmark\.cc$' |
    xargs grep -nE 'absl::(Now|SleepFor)\(|sleep_(for|until)\(' || true)
  if [[ -n $found ]]; then
    printf '%s\n' "$found"
    return 1
  fi
}

# Which registry is asked is each machine's to say; the hashes hold for any.
check_tools_are_locked() {
  local lock=tools/packages/buf/package-lock.json
  ! grep -rnE '"resolved"|https?://' tools/packages &&
    [[ $(grep -c '"version":' "$lock") == "$(grep -c '"integrity": "sha512-' "$lock")" ]] &&
    ! grep -nvE '^#|^[a-z0-9-]+==[^ ]+ \\$|^    --hash=sha256:[0-9a-f]{64}( \\)?$' \
      tools/packages/kubernetes-validate/requirements.txt
}

check_shell_syntax() {
  local file status=0
  while read -r file; do bash -n "$file" || status=1; done < <(shell_files)
  return "$status"
}

check_shell() { shell_files | xargs shellcheck --external-sources; }

# The compiler's flags, as far as clang-tidy needs them. Generated headers lie in Bazel's output,
# below a folder of their own for each proto_library.
tidy_flags() {
  local bin=$1
  printf '%s\n' -std=c++20 -Wall -Wextra -I. "-isystem$bin"
  find -L "$bin" -type d \( -path '*/_virtual_imports/*' -o -name '*_cc_grpc_generate' \) -prune -printf '-isystem%p\n'
}

tidy() {
  local bin files=("$@") flags=()
  install_packages build clang
  bin=$(bazel info bazel-bin 2>/dev/null)
  if [[ ! -d $bin/proto ]]; then die 'build first, for the generated headers: bazel build //...'; fi
  mapfile -t flags < <(tidy_flags "$bin")
  if [[ ${#files[@]} == 0 ]]; then mapfile -t files < <(cpp_files | grep '\.cc$'); fi
  say "clang-tidy over ${#files[@]} files"
  # A test may be slow.
  # shellcheck disable=SC2016  # for the inner shell
  printf '%s\n' "${files[@]}" |
    xargs -P "$(build_jobs)" -I{} bash -c '
      checks=
      if [[ $0 == *_test.cc ]]; then checks=-performance-*; fi
      exec clang-tidy-14 --quiet --checks="$checks" "$0" -- "$@"' {} "${flags[@]}"
}

case ${1:-} in
  -h | --help) usage ;;
  --fix)
    install_packages lint
    cpp_files | xargs clang-format-14 -i
    ;;
  --tidy)
    shift
    tidy "$@"
    ;;
  '')
    install_packages lint
    need_buf
    check 'C++ sources are formatted as .clang-format says' check_cpp_form
    check 'headers are guarded' check_headers_are_guarded
    check 'no note of unfinished work' check_no_unfinished_notes
    check 'services take the time from lib/base/clock.h' check_time_is_of_the_clock
    check 'the API keeps the rules of buf.yaml' check_api
    check 'tools of npm and pip are locked by hashes' check_tools_are_locked
    check 'the catalogue of faults names tests that exist' /usr/bin/python3 tools/check_faults.py
    check 'shell scripts parse' check_shell_syntax
    check 'shell scripts pass shellcheck' check_shell
    end_checks lint
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
