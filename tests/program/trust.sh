#!/usr/bin/env bash
# Proves that a run can be trusted before it waits in a queue: --check and the start of a run hold what
# the run takes against what is there, tell what will come of it, refuse to go on with other data under
# the same path and take the same data under another, and write nothing before all that. What --allow
# accepts leaves a trace.
#
#   tests/program/trust.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2

# ends STATUS KEY=VALUE...: a run of the configuration ends with this status.
ends() {
  local status=$1
  shift
  expect "$status" on_ranks "${ranks:-1}" "$ftrun" train "$work/config.json" "$@"
}

# rate STEP: the learning rate in the row of a step.
rate() {
  sed -nE "s/^\{\"step\":$1,\"loss\".*\"lr\":([^,]*),.*/\1/p" "$work/run/metrics.jsonl"
}

# What a run takes, against what is there.
room() {
  ends 0 --check
  says 'memory: the 1 ranks of .* will take 0\.[0-9]+ GiB of [0-9.]+ GiB there' \
    'disk: .* has room for the [0-9]+ checkpoints of 0\.0' 'nothing is wrong'
  [ ! -e "$work/run" ] || fail "--check left the run directory"
  # memory that the machine does not have: more activations than it could hold
  for check in --check ""; do
    ends 71 $check train.micro_batch=32768 train.global_batch=32768 run.dir="$work/new/run" \
      train.activation_checkpointing=false data.validation=[]
    says 'error: .*ranks need [0-9.]+ MiB of memory, [0-9.]+ MiB are there'
    [ ! -e "$work/new" ] || fail "a run that was refused left its directory"
  done
  : >"$work/afile"
  ends 73 --check run.dir="$work/afile"
  says "run.dir: .*$work/afile"
  ends 73 --check run.dir=/proc/nowhere/run
  says 'run.dir: .*/proc/nowhere'
}

# The node that takes most is told, of nodes with unequal ranks; and that weights of which nothing says
# their type are trained as what they are.
told() {
  ranks=3 FT_FAKE_NODE_SIZE=2 ends 0 --check
  says 'memory of the 2 ranks of the fullest node, MiB: accounted [0-9.]+, resident [0-9.]+'
  expect 0 "$ftrun" init --config "$here/identity-tied.json" --dtype fp32 --out "$work/untyped"
  sed -zi -E 's/,\s*"(torch_)?dtype": *"[a-z0-9]+"//' "$work/untyped/config.json"
  rm "$work/untyped/ftrun.sha256"
  ends 0 --check model.path="$work/untyped"
  says "the model's type is float32, and its weights are trained as such; .* round them to bf16 \\(train.precision\\)"
  ends 0 --check model.path="$work/untyped" train.precision=fp32
  says_not 'is float32'
}

# A tokenizer of which one token stands beside tokenizer.json has an identity of its own, in shards too.
tokens_beside_the_file() {
  local model=$work/beside
  cp -r "$work/model" "$model"
  rm "$model/ftrun.sha256"
  python3 - "$model" <<'END'
import json, sys
path = sys.argv[1] + "/tokenizer.json"
tokenizer = json.load(open(path))
tokenizer["added_tokens"] = [t for t in tokenizer["added_tokens"] if t["content"] != "<|reserved_1|>"]
json.dump(tokenizer, open(path, "w"))
path = sys.argv[1] + "/tokenizer_config.json"
config = json.load(open(path))
config["additional_special_tokens"] = ["<|beside|>"]
json.dump(config, open(path, "w"))
END
  expect 0 "$ftrun" prep --model "$model" --input "$work/questions.jsonl" --out "$work/beside-data"
  ends 0 --check model.path="$model" "data.train=[{\"path\":\"$work/beside-data/train\"}]" data.validation=[]
  sed -i 's/<|beside|>/<|besides|>/' "$model/tokenizer_config.json"
  ends 65 --check model.path="$model" "data.train=[{\"path\":\"$work/beside-data/train\"}]" data.validation=[]
  says 'was made with another tokenizer'
}

# What will come of it.
outlook() {
  ends 0 --check train.steps=null train.epochs=3 train.global_batch=null schedule.warmup_steps=null
  says '[0-9]+ training rows \(.* documents, .* tokens\); ' 'a row holds [0-9.]+ documents on average'
  says_not 'lower schedule.warmup_steps'
  ends 0 --check train.steps=null train.epochs=3 train.global_batch=256
  says 'warning: one step takes 256 rows, but a pass has .* lower train.global_batch' \
    'warning: train.epochs 3 come to 1 steps'
  says 'lower train.global_batch \(256\)'
  ends 0 --check train.steps=null train.epochs=0.05 train.global_batch=1
  says 'weights change that often only: raise train.epochs, or lower data.seq_len'
  ends 0 --check schedule.warmup_steps=100
  says 'warning: warm-up takes 10 of 10 steps, and the rate reaches 0.0001 of optimizer.lr 0.001'
  ranks=3 ends 0 --check train.global_batch=2
  says 'warning: 1 of 3 ranks have nothing to compute: a step has 2 micro-batches' 'use 2 ranks'
  ranks=2 ends 0 --check train.global_batch=3
  says 'warning: 25 % of the ranks. time is idle'
  ends 0 --check "data.train=[{\"path\":\"$work/data/train\"},{\"path\":\"$work/data/test\"}]"
  says 'a pass has every row of every set once'
  [ "$(grep -oE 'are passed [0-9.]+ times' "$work/said" | sort -u | wc -l)" -eq 1 ] ||
    fail "concatenated sets are passed unequally"
  ends 0 --check "data.train=[{\"path\":\"$work/data/train\"},{\"path\":\"$work/data/test\",\"weight\":1}]"
  says 'shares of the rows, whatever their sizes' '50.0 % of the rows'
  cp -r "$work/model" "$work/mute"
  rm "$work/mute/tokenizer.json"
  ends 0 --check model.path="$work/mute"
  says 'warning: .*mute has no tokenizer.json'
  printf '{"model": {"type": "none"}}' >"$work/mute/tokenizer.json"
  rm -f "$work/mute/ftrun.sha256"
  ends 0 --check model.path="$work/mute"
  says 'warning: the data cannot be compared with the model.s tokenizer: '
  says_not 'has no tokenizer.json'
}

# spoil FILE...: one bit in the middle of each.
spoil() {
  python3 - "$@" <<'END'
import sys
for path in sys.argv[1:]:
    data = bytearray(open(path, "rb").read())
    data[len(data) // 2] ^= 1
    open(path, "wb").write(data)
END
}

# What is found out only by reading all of it, or by what a name leads to, is found out before, too.
refused_late() {
  cp -r "$work/model" "$work/spoilt"
  spoil "$work/spoilt/model.safetensors"
  ends 65 model.path="$work/spoilt" run.dir="$work/new/run"
  says 'spoilt/model.safetensors: the checksum of bytes'
  [ ! -e "$work/new" ] || fail "a run with a damaged model left its directory"
  cp -r "$work/run" "$work/damaged"
  spoil "$work"/damaged/checkpoints/*/*.h5
  cp -r "$work/damaged" "$work/damaged-before"
  ends 65 train.steps=20 run.dir="$work/damaged"
  says 'no checkpoint of this run is whole'
  diff -r "$work/damaged-before" "$work/damaged" >&2 || fail "a run without a whole checkpoint has written"
  for name in metrics.jsonl history.jsonl config.json; do
    rm -rf "$work/damaged"
    cp -r "$work/run" "$work/damaged"
    rm "$work/damaged/$name"
    mkdir "$work/damaged/$name"
    ends 73 train.steps=20 run.dir="$work/damaged"
    says "damaged/$name: is a directory, a file was expected"
    diff -r "$work/run" "$work/damaged" | grep -v "damaged/$name is a dir" >&2 && fail "$name: a refused run has written"
  done
  rm -rf "$work/damaged"
}

# A refusal writes nothing; a longer run says how its rate goes on.
going_on() {
  local was
  ends 0
  grep -q 'info weights at step 0 have checksum' "$work/run/log/rank-0.log" || fail "the log lacks what was said first"
  refused_late
  cp -r "$work/run" "$work/before"
  ends 78 train.steps=5
  says 'beyond the 5 steps'
  ends 78 train.steps=20 optimizer.lr=5e-3
  ends 78 --check train.steps=20 run.seed=3
  ends 78 --check train.steps=20 run.seed=3 train.micro_batch=32768 train.global_batch=32768 \
    train.activation_checkpointing=false
  says '2 mistakes' 'run.seed: the run had 9 so far, now it is 3' 'ranks need [0-9.]+ MiB of memory'
  diff -r "$work/before" "$work/run" >&2 || fail "a refused run has written"
  ends 0 --check train.steps=20
  says 'warning: the rate jumps: step 10 had 0.0001, step 11 will have 0.00' \
    'over 20 steps now and was over 10; schedule.steps=10'
  was=$(rate 10)
  ends 0 train.steps=12 schedule.steps=10
  says_not 'the rate jumps'
  [ "$(rate 11)" = "$was" ] && [ "$(rate 12)" = "$was" ] || fail "the rate moved from $was to $(rate 11)"
}

# The last line of the run's history.
history_has() {
  tail -n 1 "$work/run/history.jsonl" >"$work/said"
  says "$@"
}

other_data() {
  "$sample_data" questions 90 8 >"$work/other.jsonl"
  cp -r "$work/data" "$work/moved"
  ln -s "$work/model" "$work/same-model"
  ends 0 train.steps=13 schedule.steps=10 model.path="$work/same-model" \
    "data.train=[{\"path\":\"$work/moved/train\"}]"
  quietly "$ftrun" prep --model "$work/model" --input "$work/other.jsonl" --out "$work/moved" --overwrite
  ends 78 train.steps=14 schedule.steps=10 "data.train=[{\"path\":\"$work/moved/train\"}]"
  says "data.train: $work/moved/train holds other data" 'the run had [0-9]+ documents' '--allow data.train'
  ends 0 train.steps=14 schedule.steps=10 "data.train=[{\"path\":\"$work/moved/train\"}]" --allow data.train
  says 'data.train: .* \(--allow\)'
  history_has '"step":13,' '"version":"' '"command":"ftrun train .*--allow data.train' '"user":"' \
    '"hosts":\[\{"host":"[^"]+","ranks":1\}\]' \
    '"key":"data.train","from":\[\{.*"identity":".*"to":\[\{.*"allowed":true'
  ends 0 train.steps=15 schedule.steps=10 optimizer.lr=2e-3 --allow optimizer.lr \
    "data.train=[{\"path\":\"$work/moved/train\"}]"
  history_has '"key":"optimizer.lr","from":(0.001|1e-3),"to":0.002,"allowed":true'
  ends 78 train.steps=16 schedule.steps=10 "data.train=[{\"path\":\"$work/moved/train\"}]"
  says 'optimizer.lr: the run had 0.002 so far, now it is 0.001'
  cp -r "$work/model" "$work/changed"
  sed -i 's/"rope_theta":[^,]*/"rope_theta": 20000.0/' "$work/changed/config.json"
  rm "$work/same-model" "$work/changed/ftrun.sha256"
  ln -s "$work/changed" "$work/same-model"
  ends 78 train.steps=16 schedule.steps=10 optimizer.lr=2e-3 model.path="$work/same-model" \
    "data.train=[{\"path\":\"$work/moved/train\"}]"
  says 'model.path: '
}

"$sample_data" questions 120 3 >"$work/questions.jsonl"
quietly "$ftrun" init --config "$here/identity-tied.json" --seed 5 --out "$work/model"
quietly "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/data"
cat >"$work/config.json" <<END
{"model": {"path": "$work/model"},
 "data": {"train": [{"path": "$work/data/train"}],
          "validation": [{"name": "questions", "path": "$work/data/validation"}],
          "seq_len": 300},
 "train": {"global_batch": 2, "micro_batch": 1, "steps": 10},
 "optimizer": {"lr": 1e-3},
 "schedule": {"name": "linear", "warmup_steps": 2},
 "checkpoint": {"every": 4},
 "run": {"dir": "$work/run", "seed": 9}}
END
room
told
tokens_beside_the_file
outlook
going_on
other_data
echo "$num_checked runs were what they said they would be"
