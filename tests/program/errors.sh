#!/usr/bin/env bash
# Proves what `ftrun train` says and returns when something is wrong: every mistake is named, once
# on any number of ranks, with its exit status; and --check finds it without training.
#
#   tests/program/errors.sh FTRUN SAMPLE_DATA COMPARE_RUN
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2 compare=$3
words_are=-F

# says_once WORDS: on one line only, however many ranks there were.
says_once() {
  [ "$(grep -cF -- "$1" "$work/said")" -eq 1 ] || { cat "$work/said" >&2; fail "not said once: $1"; }
}

train() {
  "$ftrun" train "$work/config.json" "run.dir=$work/run" "$@"
}

# ---- a model, data and a configuration without mistakes
"$sample_data" questions 60 3 >"$work/questions.jsonl"
quietly "$ftrun" init --config "$here/identity-tied.json" --seed 5 --out "$work/model"
quietly "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/data"
cat >"$work/config.json" <<END
{"model": {"path": "$work/model"},
 "data": {"train": [{"path": "$work/data/train"}],
          "validation": [{"name": "questions", "path": "$work/data/validation"}],
          "seq_len": 300},
 "train": {"global_batch": 2, "micro_batch": 1, "steps": 2},
 "optimizer": {"lr": 1e-3},
 "run": {"dir": "$work/run", "seed": 9}}
END

# ---- the command line
expect 64 "$ftrun" tran
says 'there is no command "tran"; did you mean train?' prep
expect 0 "$ftrun" train -h
says --check
expect 66 train model.path=meta-llama/Llama-2-7b-hf
says 'meta-llama/Llama-2-7b-hf does not exist' 'nothing is downloaded' 'hf download'
expect 66 "$ftrun" train "$work/nowhere.json"
says 'nowhere.json: no such file; a configuration (a JSON file'
expect 66 train "data.train=[{\"path\":\"$work/absent\"}]"
says 'data.train' 'absent: no such file or directory; a token shard (*.h5) or a folder of them was expected' 'ftrun prep'
expect 64 "$root/launch/mpirun-loop.sh"
says 'launch/mpirun-loop.sh [OPTION...] mpirun'
expect 64 env -u SLURM_JOB_ID "$root/launch/slurm/ftrun.sbatch" "$work/config.json"
says 'this is a batch script, for Slurm to run: sbatch'
expect 64 "$ftrun"
expect 64 "$ftrun" train
says 'the configuration is missing'
expect 64 mpirun --oversubscribe -np 3 "$ftrun" train "$work/config.json" nonsense
says_once '"nonsense"'
expect 64 train --optimizer.lr 1e-4
says '--optimizer.lr is no option' 'optimizer.lr=1e-4'
expect 64 train --train.steps=3 --check
says 'train.steps=3'
expect 0 train --print run.dir run.dir=elsewhere
[ "$(cat "$work/said")" = elsewhere ] || fail "--print run.dir printed $(cat "$work/said")"
expect 0 train --print data.seq_len
[ "$(cat "$work/said")" = 300 ] || fail "--print data.seq_len printed $(cat "$work/said")"
expect 64 train --print run.nothing
says 'there is no key "run.nothing"'
expect 78 train --print run.dir train.steps=none
expect 0 "$ftrun" train --help
says optimizer.weight_decay --check --allow

# ---- the configuration: all mistakes at once, once
mistakes=(train.stepz=3 optimizer.lr=-1 train.precision=fp8)
for ranks in 1 4; do
  expect 78 on_ranks "$ranks" "$ftrun" train "$work/config.json" "${mistakes[@]}"
  says 'did you mean train.steps?' 'optimizer.lr: found -1' 'train.precision: found "fp8"'
  says_once '3 mistakes'
done
mistakes+=("model.path=$work/absent" "data.train=[{\"path\":\"$work/no-data\"},{\"path\":\"$work/questions.jsonl\"}]" run.dir=/proc/run)
expect 78 on_ranks 2 "$ftrun" train "$work/config.json" --check "${mistakes[@]}"
says 'did you mean train.steps?' "the model directory $work/absent does not exist" \
  "$work/no-data does not exist (data.train)" 'run.dir: /proc/run: cannot make' \
  "data.train: $work/questions.jsonl: is JSON lines"
says_once '7 mistakes'
expect 78 train train.steps=3 train.micro_batch=3
says 'train.global_batch (2) must be a multiple of train.micro_batch (3)'
echo '{"model": ' >"$work/broken.json"
expect 78 "$ftrun" train "$work/broken.json"
says broken.json
expect 66 "$ftrun" train "$work/absent.json"
says absent.json

# ---- paths
expect 66 mpirun --oversubscribe -np 4 "$ftrun" train "$work/config.json" "model.path=$work/absent"
says_once "$work/absent"
expect 66 train "data.train=[{\"path\":\"$work/no-data\"}]"
says "$work/no-data"
expect 66 on_ranks 2 "$ftrun" train "$work/config.json" --check "model.path=$work/absent" \
  "data.train=[{\"path\":\"$work/no-data\"}]"
says_once '2 mistakes'
says "$work/absent" "$work/no-data does not exist (data.train)"

# ---- one thing given where another belongs: what it is, and where what is wanted may be
mkdir "$work/lines"
cp "$work/questions.jsonl" "$work/lines"
expect 65 train --check "data.train=[{\"path\":\"$work/lines\"}]"
says 'questions.jsonl: is JSON lines; a token shard' 'ftrun prep --model DIR --input'
expect 65 "$ftrun" status "$work/model"
says 'is a model directory; a run directory was expected'
expect 2 "$ftrun" gate "$work/data" --max questions.loss=9
says 'is what ftrun prep leaves; a run directory was expected'
expect 65 "$ftrun" export "$work/config.json" --out "$work/never"
says 'a run directory was expected'
expect 65 "$ftrun" prep --model "$work/model" --input "$work/data" --out "$work/never"
says "give one of its sets: $work/data/train"
expect 78 "$ftrun" train "$work/model/config.json"
says "is a model's config.json; a run's configuration was expected"
expect 78 "$ftrun" train "$work/model"
says 'is a model directory; a JSON object was expected'
echo 'Once upon a time' >"$work/story.txt"
expect 65 "$ftrun" tokenize --model "$work/model" "$work/story.txt"
says 'is plain text; JSON lines'

# ---- the model directory; --check finds the same as training
cp -r "$work/model" "$work/lacking"
sed -i 's/model.layers.1.mlp.up_proj.weight/model.layers.1.mlp.up_proj.wright/; s/"ftrun\./"other./g' "$work/lacking/model.safetensors" # as another program's
for check in '' --check; do
  expect 65 on_ranks 4 "$ftrun" train "$work/config.json" "model.path=$work/lacking" $check
  says_once 'model.layers.1.mlp.up_proj.weight'
  says '[328, 120]'
done
cp -r "$work/model" "$work/cut-off"
truncate -s -1000000 "$work/cut-off/model.safetensors"
expect 65 train "model.path=$work/cut-off"
says 'the file is cut off'
cp -r "$work/model" "$work/older"
rm "$work/older/tokenizer.json" "$work/older/ftrun.sha256"
touch "$work/older/tokenizer.model"
expect 66 "$ftrun" prep --model "$work/older" --input "$work/questions.jsonl" --out "$work/none"
says 'has no tokenizer.json, and its tokenizer.model is not read' save_pretrained
cp -r "$work/model" "$work/other-type"
sed -i 's/"model_type":[^,]*/"model_type": "bloom"/' "$work/other-type/config.json"
expect 65 train "model.path=$work/other-type"
says bloom llama mistral qwen2 qwen3

# ---- data made for another vocabulary: both files are named
quietly "$ftrun" init --config "$root/configs/tiny-model.json" --seed 5 --out "$work/larger"
quietly "$ftrun" prep --model "$work/larger" --input "$work/questions.jsonl" --out "$work/larger-data"
expect 65 on_ranks 2 "$ftrun" train "$work/config.json" "data.train=[{\"path\":\"$work/larger-data/train\"}]"
says "$work/larger-data/train" "$work/model"
says_once 'has a vocabulary of 320 tokens'

# ---- --check says what would happen and leaves nothing behind
expect 0 mpirun --oversubscribe -np 2 "$ftrun" train "$work/config.json" --check
says 'nothing is wrong' 'would start afresh'
[ ! -e "$work/run" ] || fail "--check made the run directory"

# ---- resuming
expect 0 train
expect 65 train --check "data.train=[{\"path\":\"$work/run/checkpoints/step-00000002\"}]" "run.dir=$work/none"
says 'is a checkpoint of a run; a token shard'
expect 65 "$ftrun" prep --model "$work/model" --input "$work/run" --out "$work/never"
says 'is a run directory; JSON lines'
expect 0 train --check train.steps=3
says 'would resume from the checkpoint of step 2'
expect 78 on_ranks 3 "$ftrun" train "$work/config.json" train.steps=3 optimizer.lr=2e-3
says_once 'optimizer.lr: the run had 0.001 so far, now it is 0.002'
says '--allow optimizer.lr'
expect 78 train --check train.steps=3 optimizer.lr=2e-3
expect 78 train train.steps=3 run.resume=never
says 'run.resume'
expect 78 train train.steps=1
says 'beyond the 1 steps'
expect 0 train train.steps=3 optimizer.lr=2e-3 --allow optimizer.lr
[ "$(grep -c grad_norm "$work/run/metrics.jsonl")" -eq 3 ] || fail "not three steps in metrics.jsonl"

# ---- a step without targets: loss null, nothing changes
"$compare" untargeted "$work/masked.h5" 263
expect 0 on_ranks 2 "$ftrun" train "$work/config.json" "run.dir=$work/nothing" "data.train=[{\"path\":\"$work/masked.h5\"}]"
says_once 'step 1 has no target token'
grep -qF '{"step":1,"loss":null,' "$work/nothing/metrics.jsonl" || fail "the loss is not null"
losses=$(sed -n 's/.*"validation":.*"loss":\([^,]*\).*/\1/p' "$work/nothing/metrics.jsonl" | sort -u | wc -l)
[ "$losses" -eq 1 ] || fail "steps without targets changed the model"

# ---- init: a vocabulary without room for the byte-level tokenizer
sed -e 's/"vocab_size": 263/"vocab_size": 200/' -e 's/^    257,/    7/' -e '/^    260/d' \
  -e 's/"bos_token_id": 256/"bos_token_id": 6/' "$here/identity-tied.json" >"$work/small.json"
expect 65 "$ftrun" init --config "$work/small.json" --out "$work/never"
says 200 small.json
[ ! -e "$work/never" ] || fail "init wrote a directory that it then refused"

echo "$num_checked commands ended as they should"
