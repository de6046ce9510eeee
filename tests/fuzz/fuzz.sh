#!/usr/bin/env bash
# Proves that a reader survives RUNS mutations of small good files, the same ones each time.
#
#   tests/fuzz/fuzz.sh FUZZER MAKE_CORPUS TARGET RUNS [LIBFUZZER OPTION...]
#
# A finding ends it with an error; the input that caused it lies in the folder that is named then.
set -euo pipefail
fuzzer=$1 make_corpus=$2 target=$3 runs=$4
shift 4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/ftrun-fuzz.XXXXXX")
"$make_corpus" "$work/corpus" "$here/.."
mkdir "$work/found"
# what was found once is tried first
[ ! -d "$here/found/$target" ] || cp "$here/found/$target"/* "$work/corpus/$target"
options=(-runs="$runs" -seed=1 -timeout=60 -malloc_limit_mb=64 -print_final_stats=1
  -artifact_prefix="$work/found/" "$@")
# addresses of allocations are not worth their time here
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:malloc_context_size=2:quarantine_size_mb=16:detect_leaks=0"
if ! "$fuzzer" "${options[@]}" "$work/corpus/$target" >"$work/said" 2>&1; then
  tail -n 60 "$work/said"
  echo "$target: the inputs are in $work/found"
  exit 1
fi
grep -E 'stat::(number_of_executed_units|average_exec_per_sec)|cov:' "$work/said" | tail -n 3
rm -rf "$work"
