#!/usr/bin/env bash
# Installs what the tests need, builds ftrun three ways and runs every test. The last line says
# "N passed, N failed"; the exit status is 0 only if nothing failed.
#
#   launch/test.sh
#
# The three builds: gcc, as users build it (all tests); clang, for its other set of warnings and for
# the fuzz targets (docs/reliability.md), which have sanitizers of their own; gcc with the address
# and undefined-behaviour sanitizers (the modules' tests, not the whole program's). A warning of
# either compiler is a failure. Safe to run twice: builds are kept and brought up to date. On 2 cores
# this takes some 20 minutes from scratch; without the last two builds' tests 11.
#
# Many tests compute little and mostly wait (suite `waits`). They run at the same time, while the other
# compiler uses the cores at a priority that leaves them to any test that wants them.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/terminal.sh

passed=0 failed=0
clang_log=$(mktemp "${TMPDIR:-/tmp}/ftrun-test.XXXXXX")
trap 'rm -f "$clang_log"; kill $(jobs -p) 2>/dev/null || true' EXIT

# pass_or_fail NAME COMMAND...: one thing that either holds or not. Its output is shown if it fails.
pass_or_fail() {
  local name=$1 log
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/ftrun-test.XXXXXX")
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    say "${green}ok${plain}      $name"
  else
    failed=$((failed + 1))
    tail -n 60 "$log"
    say "${red}FAILED${plain}  $name"
  fi
  rm -f "$log"
}

# build FOLDER COMPILER [MESON OPTION...]: brings a build up to date; warnings are errors.
build() {
  local folder=$1 compiler=$2 again=()
  shift 2
  # --reconfigure looks for libraries anew: the folder may be older than what is installed now.
  [ ! -f "$folder/build.ninja" ] || again=(--reconfigure)
  CC=$compiler meson setup "${again[@]}" --werror "$@" "$folder" && ninja -C "$folder"
}

# finished PROCESS LOG: waits for a part of this script that runs beside it, and shows what it said.
finished() {
  local status=0
  wait "$1" || status=$?
  cat "$2"
  return "$status"
}

# run_tests FOLDER [MESON TEST OPTION...]: adds meson's own counts.
run_tests() {
  local folder=$1 log status=0 ok bad
  shift
  if [ ! -x "$folder/src/cli/ftrun" ]; then
    say "${red}FAILED${plain}  nothing to test in $folder: it was not built"
    failed=$((failed + 1))
    return
  fi
  log=$(mktemp "${TMPDIR:-/tmp}/ftrun-test.XXXXXX")
  meson test -C "$folder" --no-rebuild --print-errorlogs "$@" 2>&1 | tee "$log" || status=$?
  ok=$(awk '/^Ok:|^Expected Fail:/ { n += $NF } END { print n + 0 }' "$log")
  bad=$(awk '/^Fail:|^Unexpected Pass:|^Timeout:/ { n += $NF } END { print n + 0 }' "$log")
  rm -f "$log"
  # Never a verdict by absence: no test at all, or a status that the counts do not explain, fails.
  if [ "$ok" -eq 0 ] || { [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
    say "${red}FAILED${plain}  meson test in $folder: status $status, $ok passed"
    bad=$((bad + 1))
  fi
  passed=$((passed + ok)) failed=$((failed + bad))
}

stage "Debian packages"
launch/install.sh tests

stage "Build with gcc, as users do"
pass_or_fail "gcc build without warnings" build build gcc --buildtype=release

stage "Tests that mostly wait; meanwhile, build with clang"
(renice -n 19 "$BASHPID" && build build-clang clang -Doptimization=0 -Dfuzz=true) \
  >"$clang_log" 2>&1 </dev/null &
clang_build=$!
run_tests build --suite waits --num-processes 6
pass_or_fail "clang build without warnings" finished "$clang_build" "$clang_log"

stage "All other tests"
run_tests build --no-suite waits --num-processes 3

stage "Damaged and hostile files, by libFuzzer"
run_tests build-clang --suite fuzz

stage "Build with the address and undefined-behaviour sanitizers"
pass_or_fail "sanitizer build without warnings" build build-sanitize gcc \
  -Doptimization=1 -Ddebug=true -Db_sanitize=address,undefined

stage "The modules' tests under the sanitizers"
# A finding ends a test with an error. What the libraries below us never free is not ours.
export ASAN_OPTIONS=abort_on_error=0:exitcode=99:detect_leaks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/tests/sanitizer.supp:print_suppressions=0
run_tests build-sanitize --no-suite program --num-processes 4 --timeout-multiplier 4

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
