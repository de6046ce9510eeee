#!/usr/bin/env bash
# Proves that a decoder of each family goes all the way without anything from outside: made with random
# weights, trained two steps on one rank and on three with the same bits, exported, evaluated from the
# export as from the checkpoint, and asked to generate.
#
#   tests/program/small_families.sh FTRUN FOLDER FAMILY...
#
# FOLDER has a small config of each family (tests/hf/families).
. "$(dirname "$0")/common.sh"
ftrun=$1 folder=$2
shift 2
# Six documents of 5 to 40 bytes; the byte-level tokenizer needs 261 ids.
for i in 1 2 3 4 5 6; do
  printf '{"text": "%s"}\n' "$(printf 'abc%.0s' $(seq 1 $((2 * i))))"
done >"$work/texts.jsonl"
# train_on RANKS RUN: two steps.
train_on() { quietly on_ranks "$1" "$ftrun" train "$work/config.json" run.dir="$2"; }

num_checked=0
for name in "$@"; do
  model=$work/$name run=$work/$name-run
  python3 - "$folder/$name.json" "$work/with-vocabulary.json" <<'END'
import json, sys
config = json.load(open(sys.argv[1]))
config["vocab_size"] = 300
json.dump(config, open(sys.argv[2], "w"))
END
  quietly "$ftrun" init --config "$work/with-vocabulary.json" --seed 3 --out "$model"
  rm -rf "$work/data"
  quietly "$ftrun" prep --model "$model" --input "$work/texts.jsonl" --template plain --seq-len 48 \
    --validation 0 --test 0 --out "$work/data"
  cat >"$work/config.json" <<END
{"model": {"path": "$model"},
 "data": {"train": [{"path": "$work/data/train"}], "validation": [{"name": "same", "path": "$work/data/train"}],
          "seq_len": 48},
 "train": {"global_batch": 3, "micro_batch": 1, "steps": 2, "precision": "fp32"},
 "optimizer": {"lr": 1e-2}, "schedule": {"name": "constant", "warmup_steps": 0},
 "run": {"dir": "$run"}}
END
  train_on 1 "$run"
  train_on 3 "$run-3"
  cmp -s <(essence "$run") <(essence "$run-3") || fail "$name: one rank and three differ"
  quietly "$ftrun" export "$run" --out "$run-export" --dtype fp32
  at_end=$("$ftrun" eval "$work/config.json" 2>/dev/null | grep -o '"loss":[^,]*')
  exported=$("$ftrun" eval "$work/config.json" --model "$run-export" 2>/dev/null | grep -o '"loss":[^,]*')
  [ -n "$at_end" ] && [ "$at_end" = "$exported" ] || fail "$name: eval of the run $at_end, of its export $exported"
  first=$(grep -o '"loss":[^,]*' "$run/metrics.jsonl" | sed -n '1p')
  [ "$first" != "$at_end" ] || fail "$name: nothing was learnt"
  quietly "$ftrun" generate --model "$run-export" --prompt abcabcabcabc --max-tokens 3 --precision fp32
  rm -rf "$model" "$run" "$run-3" "$run-export"
  num_checked=$((num_checked + 1))
done
echo "small families: $num_checked checked"
