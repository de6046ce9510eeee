#!/usr/bin/env bash
# Proves that many ranks on few cores train and end cleanly, with the bits of one rank: 64 ranks
# (most of them own little or nothing of a small model, and have no micro-batch) make two steps.
#
#   tests/program/many_ranks.sh FTRUN SAMPLE_DATA [RANKS]
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2 ranks=${3:-64}

"$sample_data" questions 100 3 >"$work/questions.jsonl"
quietly "$ftrun" init --config "$root/configs/tiny-model.json" --seed 1 --out "$work/tiny"
quietly "$ftrun" prep --model "$work/tiny" --input "$work/questions.jsonl" --out "$work/data"

train() {
  quietly on_ranks "$1" "$ftrun" train "$root/configs/tiny.json" "model.path=$work/tiny" \
    "data.train=[{\"path\":\"$work/data/train\"}]" \
    "data.validation=[{\"name\":\"questions\",\"path\":\"$work/data/validation\"}]" \
    data.seq_len=512 train.steps=2 "run.dir=$work/run-$1"
  sed -E 's/,"lr":.*//' "$work/run-$1/metrics.jsonl"
}

train 1 >"$work/one"
train "$ranks" >"$work/many"
[ "$(grep -c grad_norm "$work/many")" -eq 2 ] || fail "not two steps"
diff "$work/one" "$work/many" >&2 || fail "the metrics of $ranks ranks differ from one rank's"
echo "$ranks ranks made two steps with the bits of one"
