#!/usr/bin/env bash
# Proves that ftrun in fp32 trains as PyTorch does: repeats the reference trajectories and compares
# losses (1e-4 relative), gradient norms (1e-3), validation losses (1e-4) and exported weights
# (2e-3, all but one in 10,000).
#
#   tests/program/trajectory.sh FTRUN COMPARE_RUN RANKS TRAJECTORY...
#
# A trajectory is a folder of tests/reference/trajectories, or one that holds the same files.
. "$(dirname "$0")/common.sh"
ftrun=$1 compare=$2 ranks=$3
shift 3
[ $# -gt 0 ] || fail "no trajectories given"

for trajectory in "$@"; do
  name=$(basename "$trajectory")
  run=$work/$name
  "$compare" config "$trajectory" "$run" >"$work/config.json"
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json"
  quietly "$ftrun" export "$run" --out "$work/$name-export" --dtype fp32
  printf '%s, %s ranks: ' "$name" "$ranks"
  "$compare" check "$trajectory" "$run" "$work/$name-export" || fail "$name on $ranks ranks"
done
