#!/usr/bin/env bash
# Proves of prefixes, prompts and bottlenecks that a run's adapter directory, laid over the untouched model,
# evaluates to the run's own loss to the last bit (so what is frozen has kept its bytes); that the same bits
# come on 1 and 3 ranks, in other stages, with layers computed again, and from a run that was interrupted;
# that validation, where nothing depends on rows of data, is the same packed and unpacked; that generation
# reads the adapter; and that what a method cannot do is refused by name.
#
#   tests/program/methods.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2
words_are=-F

# Windows that are shorter than documents, and a table of positions.
cat >"$work/mistral.json" <<END
{"model_type": "mistral", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 512,
 "sliding_window": 24, "tie_word_embeddings": true, "torch_dtype": "bfloat16"}
END
cat >"$work/gpt2.json" <<END
{"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 300, "n_positions": 512,
 "torch_dtype": "bfloat16"}
END
for family in mistral gpt2; do
  quietly "$ftrun" init --config "$work/$family.json" --seed 1 --out "$work/$family"
done
prepare_run "$work/mistral" 3 "$work/run"

# train RANKS RUN KEY=VALUE...
train() {
  local ranks=$1 run=$2
  shift 2
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json" "run.dir=$work/$run" "$@"
}

loss() {
  grep -o '"loss":[^,]*' "$1" | tail -n 1
}

number=0
# holds FAMILY KEY=VALUE...: all of the above for one method.
holds() {
  local model=$work/$1
  shift
  local method=("model.path=$model" train.precision=fp32 optimizer.lr=1e-2 "$@")
  number=$((number + 1))
  local run=one-$number adapter=$work/adapter-$number
  train 1 "$run" "${method[@]}"
  train 3 three "${method[@]}" sharding.stage=$((number % 3)) train.activation_checkpointing=true
  train 3 parts "${method[@]}" train.steps=2
  train 1 parts "${method[@]}" sharding.stage=0
  for other in three parts; do
    cmp <(essence "$work/$run") <(essence "$work/$other") || fail "$*: other bits, run $other"
  done
  quietly "$ftrun" export "$work/$run" --out "$adapter"
  quietly "$ftrun" export "$work/parts" --out "$work/parts-adapter"
  diff -r "$adapter" "$work/parts-adapter" >"$work/said" || fail "$*: other weights, $(cat "$work/said")"
  for packing in true false; do
    quietly "$ftrun" eval "$work/config.json" "${method[@]:0:3}" --adapter "$adapter" "data.packing=$packing"
    mv "$work/said" "$work/eval-$packing"
  done
  [ "$(loss "$work/eval-true")" = "$(loss "$work/$run/metrics.jsonl")" ] ||
    fail "$*: the adapter has $(loss "$work/eval-true"), the run $(loss "$work/$run/metrics.jsonl")"
  awk -v a="$(loss "$work/eval-true" | cut -d: -f2)" -v b="$(loss "$work/eval-false" | cut -d: -f2)" \
    'BEGIN { d = a - b; exit !(a > 0 && d < 1e-3 && d > -1e-3) }' || fail "$*: another loss unpacked"
  generated "$model" >"$work/alone"
  generated "$model" --adapter "$adapter" >"$work/with"
  cmp -s "$work/alone" "$work/with" && fail "$*: generation does not read the adapter"
  rm -rf "$work"/{three,parts,parts-adapter}
}

# generated MODEL OPTION...: the logits after a prompt.
generated() {
  quietly "$ftrun" generate --model "$1" "${@:2}" --prompt 'What is it?' --max-tokens 3 --logits --json || return
  grep -o '"logits".*' "$work/said"
}

holds mistral method.name=prefix method.virtual_tokens=5
holds gpt2 method.name=prompt method.virtual_tokens=7 'method.init=text:What is it?'
holds mistral method.name=adapter method.reduction=4 method.placement=houlsby method.activation=silu
holds gpt2 method.name=adapter method.reduction=8

# a run goes on from an adapter where that ended
quietly "$ftrun" train "$work/config.json" "model.adapter=$work/adapter-1" train.precision=fp32 \
  "run.dir=$work/on" train.steps=1
[ "$(loss <(head -n 1 "$work/on/metrics.jsonl"))" = "$(loss "$work/one-1/metrics.jsonl")" ] ||
  fail "a prefix that is trained on begins elsewhere"

# refused TEXT KEY=VALUE...
refused() {
  local text=$1
  shift
  expect 78 "$ftrun" train "$work/config.json" "run.dir=$work/no" "$@"
  says "$text"
  expect 78 "$ftrun" plan "$work/config.json" "$@" --ranks 1 --ranks-per-node 1 --node-memory 1
  says "$text"
}
refused 'method.init is "word"; it may be' method.name=prompt method.init=word
refused 'method.init is "vocabulary", which only a "prompt" can begin with' method.name=prefix method.init=vocabulary
refused 'data.seq_len is 300' method.name=prompt method.virtual_tokens=213
says "allows 512 positions (max_position_embeddings), of which 213 are the method's virtual tokens'" \
  'set data.seq_len to at most 299'
refused 'method.init is "text:", without a text' method.name=prompt method.init=text:
for form in gemma2,'those of a gemma2 model stand elsewhere' granite,'this granite model multiplies them by 0.22'; do
  sed "s/mistral/${form%%,*}/; s/\"vocab_size\"/\"residual_multiplier\": 0.22, &/; s/\"sliding_window\": 24,//" \
    "$work/mistral.json" >"$work/form.json"
  [ "${form%%,*}" = granite ] || sed -i 's/"residual_multiplier": 0.22, //' "$work/form.json"
  quietly "$ftrun" init --config "$work/form.json" --seed 1 --out "$work/${form%%,*}"
  refused "${form#*,}" "model.path=$work/${form%%,*}" method.name=adapter
done
expect 78 "$ftrun" export "$work/one-1" --merge --out "$work/no"
says 'prefix'
echo "what stands before documents and behind branches is the same everywhere"
