#!/usr/bin/env bash
# Proves what validation.prompts promises: evaluations generate the same texts on 1, 2 and 3 ranks, at
# every stage, drawn or not, and of a run that went on elsewhere; they change nothing else; they are
# those of `ftrun generate` with the exported weights; the report shows them; `plan` counts their room;
# what cannot be continued is refused by name before the first step.
#
#   tests/program/samples.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2
model=$work/model
quietly "$ftrun" init --config "$here/identity-tied.json" --seed 1 --out "$model"
prepare_run "$model" 4 "$work/run"
prompts=("What is 3 plus 4?" "Once upon" "a" "What is 9 times 9?" "Hi")
for prompt in "${prompts[@]}"; do printf '{"prompt": "%s"}\n' "$prompt"; done >"$work/prompts.jsonl"

# train RANKS RUN KEY=VALUE...
train() {
  local ranks=$1 run=$2
  shift 2
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json" "run.dir=$work/$run" train.precision=fp32 validation.every=4 "$@"
}

# samples RUN: the lists of its evaluations.
samples() {
  grep -o '^{"step":[0-9]*\|"samples":.*' "$work/$1/metrics.jsonl" | grep -B 1 samples
}

# others RUN: everything else that does not depend on the time.
others() {
  essence "$work/$1" | sed 's/,"samples":.*/}/'
}

with=("validation.prompts=$work/prompts.jsonl" validation.sample_tokens=24)
train 1 plain
train 1 one "${with[@]}"
train 3 three "${with[@]}" sharding.stage=0
train 3 parts "${with[@]}" train.steps=2
train 2 parts "${with[@]}"
[ "$(samples one | grep -c samples)" -eq 2 ] || fail "not a list for each evaluation"
[ "$(samples one | tail -n 1 | grep -o '"prompt"' | wc -l)" -eq 5 ] || fail "not a sample for each prompt"
[ "$(samples one | grep -c 'samples.*"text":"[^"]')" -eq 2 ] || fail "no texts"
cmp <(samples one) <(samples three) || fail "other texts on three ranks"
cmp <(samples one | tail -n 1) <(samples parts | tail -n 1) || fail "other texts of a run that went on"
cmp <(others plain) <(others one) || fail "samples change the training"

quietly "$ftrun" export "$work/one" --dtype fp32 --out "$work/exported"
for prompt in "${prompts[@]}"; do
  ids=$("$ftrun" generate --model "$work/exported" --json --prompt "$prompt" --max-tokens 0 2>/dev/null |
    sed 's/"ids".*//' | grep -o '[0-9]\+' | wc -l)
  "$ftrun" generate --model "$work/exported" --json --prompt "$prompt" --max-tokens $((24 - ids)) 2>/dev/null |
    sed 's/.*"text":"\(.*\)"}$/\1/'
done >"$work/generated"
samples one | tail -n 1 | sed 's/"},{/"}\n{/g' | sed 's/.*"text":"\(.*\)"}.*/\1/' | cmp - "$work/generated" ||
  fail "generate says something else"

drawn=("${with[@]}" validation.sample_temperature=2 train.steps=1)
train 1 drawn-one "${drawn[@]}"
train 3 drawn-three "${drawn[@]}"
cmp <(samples drawn-one) <(samples drawn-three) || fail "other texts are drawn on three ranks"
[ "$(samples drawn-one | head -n 2)" != "$(samples one | head -n 2)" ] || fail "nothing was drawn"

quietly "$ftrun" report "$work/one" --out "$work/page.html"
grep -q 'id="samples"' "$work/page.html" || fail "the report shows no samples"

# node_bytes KEY=VALUE...: what plan counts.
node_bytes() {
  "$ftrun" plan "$work/config.json" --ranks 1 --ranks-per-node 1 --node-memory 4 --json "$@" 2>/dev/null |
    sed -n 's/.*"activations": *\([0-9]*\).*/\1/p'
}
[ "$(node_bytes)" -lt "$(node_bytes "${with[@]}")" ] || fail "plan counts no room for samples"

refuse() { # STATUS WORDS KEY=VALUE...
  local status=$1 words=$2
  shift 2
  expect "$status" "$ftrun" train "$work/config.json" "run.dir=$work/refused" "$@"
  says "$words"
}
refuse 65 'validation.prompts: prompt 4 of .* has 19 tokens.*validation.sample_tokens \(19\)' "${with[0]}" validation.sample_tokens=19
refuse 66 'validation.prompts: .*missing' "validation.prompts=$work/missing"
printf '{"text": 3}\n' >"$work/bad.jsonl"
refuse 65 'validation.prompts: .*bad.jsonl:1: has no "prompt"' "validation.prompts=$work/bad.jsonl"
refuse 78 'validation.sample_tokens is 9999, but .* allows 512 positions' "${with[0]}" validation.sample_tokens=9999
refuse 78 'validation.prompts: .*data.validation has none' "${with[0]}" 'data.validation=[]'
echo "$num_checked mistakes and the texts of all runs are as promised"
