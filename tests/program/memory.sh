#!/usr/bin/env bash
# Proves that memory is accounted: what the ranks of a node have accounted together agrees with the
# sum of their Pss within 5 % and 64 MiB a rank, in steps of a benchmark in two memory modes and at
# the end of a run.
#
#   tests/program/memory.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2
grep -q ^Pss: /proc/self/smaps_rollup 2>/dev/null ||
  { echo "skipped: this system does not say what Pss a process has"; exit 77; }

# agree WHAT RANKS ACCOUNTED RESIDENT [AT_LEAST]: in bytes; the sum must be worth comparing.
agree() {
  awk -v n="$2" -v a="$3" -v r="$4" -v least="${5:-0}" 'BEGIN {
    room = 0.05 * r + n * 64 * 1048576; d = a > r ? a - r : r - a
    exit !(a > 0 && r > least && d <= room) }' ||
    fail "$1: accounted are $3 bytes, resident $4"
  printf '%s: accounted %s, resident %s bytes\n' "$1" "$3" "$4"
}

# member KEY: a number of the last benchmark.
member() {
  sed -nE "s/^ *\"$1\": ([0-9]+),?$/\1/p" "$work/json"
}

for mode in "--stage 3" "--stage 0 --master bf16+8 --state int8 --gradient bf16"; do
  # shellcheck disable=SC2086
  on_ranks 2 "$ftrun" bench --shape 640,1792,6,10,5,20000 --rows 2 --seq-len 64 --steps 1 \
    --disk none --json $mode >"$work/json" 2>"$work/said" </dev/null || { cat "$work/said" >&2; fail "bench $mode"; }
  agree "bench $mode" 2 "$(member memory_total)" "$(member resident_bytes)" 500000000
done

"$sample_data" questions 100 3 >"$work/questions.jsonl"
quietly "$ftrun" init --config "$here/identity-tied.json" --seed 5 --out "$work/model"
quietly "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/data"
cat >"$work/config.json" <<END
{"model": {"path": "$work/model"}, "data": {"train": [{"path": "$work/data/train"}], "seq_len": 300},
 "train": {"global_batch": 4, "steps": 2}, "optimizer": {"lr": 1e-3}, "run": {"dir": "$work/run"}}
END
quietly on_ranks 2 "$ftrun" train "$work/config.json"
line=$(grep -h "memory of the 2 ranks of this node" "$work/run/log/rank-0.log") ||
  fail "the end of the run does not tell of memory"
for rank in 0 1; do
  grep -q "peak memory of rank $rank, MiB: .*master weights" "$work/run/log/rank-$rank.log" ||
    fail "rank $rank does not tell its peak by owner"
done
numbers=$(sed -nE 's/.*accounted ([0-9.]+), resident ([0-9.]+).*/\1 \2/p' <<<"$line" |
  awk '{ printf "%.0f %.0f", $1 * 1048576, $2 * 1048576 }')
# shellcheck disable=SC2086
agree "a small run" 2 $numbers
