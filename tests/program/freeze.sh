#!/usr/bin/env bash
# Proves train.freeze and optimizer.groups: what is frozen has the same bytes in the export, what is trained has not; the
# same bits on 1 and 3 ranks in every sharding stage; a run that goes on elsewhere equals one that was
# not interrupted; states and checkpoints hold what is trained only; patterns that mean nothing are
# refused; and the same of frozen weights in codes (model.storage), whose export has the files' bytes.
#
#   tests/program/freeze.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2
model=$work/model
sed 's/"float32"/"bfloat16"/' "$here/identity-tied.json" >"$work/config-bf16.json" # exports are what was computed with
quietly "$ftrun" init --config "$work/config-bf16.json" --seed 1 --out "$model"
prepare_run "$model" 4 "$work/run"

# train RANKS RUN KEY=VALUE...
train() {
  local ranks=$1 run=$2
  shift 2
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json" "run.dir=$work/$run" "$@"
}

# compare MODEL EXPORT PATTERN: tensors whose names match have the same bytes, the others have not.
compare() {
  python3 - "$@" <<'END'
import fnmatch, json, struct, sys
def tensors(directory):
    data = open(directory + "/model.safetensors", "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    return {n: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]
            for n, t in header.items() if n != "__metadata__"}
before, after = tensors(sys.argv[1]), tensors(sys.argv[2])
assert before.keys() == after.keys()
frozen = [n for n in before if any(fnmatch.fnmatch(n, p) for p in sys.argv[3:])]
assert 0 < len(frozen) < len(before), len(frozen)
for name in before:
    assert (before[name] == after[name]) == (name in frozen), name
END
}

lower='["model.embed_tokens.*","model.layers.0.*","*norm.weight"]'
matrices='["*.self_attn.*","*.gate_proj.*","*embed_tokens*"]'
number=0
for freeze in "$lower" "$matrices"; do
  number=$((number + 1))
  train 1 "one-$number" "train.freeze=$freeze"
  for stage in 0 2 3; do
    train 3 "three-$number" "train.freeze=$freeze" sharding.stage="$stage"
    cmp <(essence "$work/one-$number") <(essence "$work/three-$number") ||
      fail "$freeze: other bits on 3 ranks, stage $stage"
    [ "$stage" -eq 3 ] || rm -rf "$work/three-$number"
  done
  train 2 "parts-$number" "train.freeze=$freeze" train.steps=2
  train 1 "parts-$number" "train.freeze=$freeze"
  cmp <(essence "$work/one-$number") <(essence "$work/parts-$number") ||
    fail "$freeze: an interrupted run differs"
  [ "$(export_sum "$work/one-$number")" = "$(export_sum "$work/parts-$number")" ] ||
    fail "$freeze: an interrupted run has other weights"
  quietly "$ftrun" export "$work/one-$number" --out "$work/out-$number"
  mapfile -t patterns < <(tr -d '[]"' <<<"$freeze" | tr , '\n')
  compare "$model" "$work/out-$number" "${patterns[@]}" || fail "$freeze: bytes"
  # the export evaluates to the run's own last validation loss
  quietly "$ftrun" eval "$work/config.json" "run.dir=$work/one-$number" "train.freeze=$freeze" --step latest
  cp "$work/said" "$work/latest"
  quietly "$ftrun" eval "$work/config.json" --model "$work/out-$number"
  cmp <(grep -o '"loss":[^,]*' "$work/latest") <(grep -o '"loss":[^,]*' "$work/said") ||
    fail "$freeze: the export evaluates to another loss than the run"
done

# in codes: other numbers than in bf16, the same on any number of ranks and in every stage
for storage in int8,bf16 nf4,fp32; do
  codes=(train.steps=3 "train.freeze=$matrices" "model.storage=${storage%,*}" "train.precision=${storage#*,}")
  train 1 one "${codes[@]}"
  cmp -s <(essence "$work/one-2" | head -n 4) <(essence "$work/one") && fail "$storage changes nothing"
  train 3 three "${codes[@]}" sharding.stage=0
  train 2 parts "${codes[@]}" sharding.stage=2 train.steps=2
  train 3 parts "${codes[@]}"
  for other in three parts; do
    cmp <(essence "$work/one") <(essence "$work/$other") || fail "$storage: other bits, run $other"
  done
  quietly "$ftrun" export "$work/one" --out "$work/out"
  compare "$model" "$work/out" '*.self_attn.*' '*.gate_proj.*' '*embed_tokens*' || fail "$storage: bytes"
  rm -rf "$work"/{one,three,parts,out}
done

# a group with the rate 0 keeps its bytes, too; groups and layers' rates on other ranks, interrupted
rates=('optimizer.groups=[{"pattern":"*.mlp.*","lr":0},{"pattern":"*.weight","lr":4e-3,"weight_decay":0}]'
  optimizer.layer_decay=0.5)
train 1 rates "${rates[@]}"
grep -qE '\*\.mlp\.\*: .*lr 0, weight decay 0\.1' "$work/said" || fail "no line of a group: $(cat "$work/said")"
grep -qF 'lr 0.004 down to' "$work/said" || fail "no rates: $(cat "$work/said")"
quietly "$ftrun" export "$work/rates" --out "$work/out-rates"
compare "$model" "$work/out-rates" '*.mlp.*' || fail "a rate of 0 changes bytes"
train 3 rates-three "${rates[@]}" sharding.stage=0
train 2 rates-parts "${rates[@]}" sharding.stage=2 train.steps=2
status=0
train 3 rates-parts 2>/dev/null || status=$?
[ "$status" -eq 78 ] && grep -qF 'optimizer.groups: the run had' "$work/said" || fail "other groups: $(cat "$work/said")"
train 3 rates-parts "${rates[@]}"
for other in rates-three rates-parts; do
  cmp <(essence "$work/rates") <(essence "$work/$other") || fail "groups: other bits, run $other"
done

train 1 whole
whole=$(du -sb "$work/whole/checkpoints/step-00000004" | cut -f1)
part=$(du -sb "$work/one-2/checkpoints/step-00000004" | cut -f1)
[ "$part" -lt $((whole * 7 / 10)) ] || fail "a checkpoint of $part bytes holds what is frozen"

# refused FREEZE TEXT: ends with 78 and says so.
refused() {
  local status=0
  train 1 refused "${3:-train.freeze}=$1" 2>/dev/null || status=$?
  [ "$status" -eq 78 ] || fail "$1: status $status"
  grep -qF "$2" "$work/said" || fail "$1: $(cat "$work/said")"
}
refused '["model.layer.*"]' 'train.freeze: "model.layer.*" matches no tensor of this model; one is named'
refused '["*"]' 'nothing is left to train'
refused '"*"' 'a list of texts'
groups() {
  refused "$1" "$2" optimizer.groups
}
groups '[{"pattern":"*.lora_B.*","lr":1}]' '"*.lora_B.*" matches no tensor that is trained; one is named'
groups '[{"pattern":"*","lr":1},{"pattern":"*.mlp.*","lr":1}]' 'optimizer.groups[1]: all that "*.mlp.*" matches'
groups '[{"pattern":"*"}]' 'optimizer.groups[0]: found {"pattern":"*"}; expected {"pattern": text} with'
groups '[{"pattern":"*","lr":-1}]' 'numbers from 0'
groups '[{"pattern":"*","rate":1}]' 'optimizer.groups[0]: found'
groups '{"*":1}' 'a list of {pattern: text'
refused 0 'optimizer.layer_decay: found 0; expected a number between 0.001 and 1' optimizer.layer_decay
status=0
train 1 refused model.storage=nf4 2>/dev/null || status=$?
[ "$status" -eq 78 ] && grep -qF 'model.storage is "nf4", but every weight is trained' "$work/said" ||
  fail "nf4 of nothing: status $status, $(cat "$work/said")"
echo "frozen parts keep their bytes, on any number of ranks"
