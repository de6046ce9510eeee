#!/usr/bin/env bash
# Proves that what a run adds to a model leaves it whole: a run's adapter directory, laid over the model,
# evaluates to the run's own loss to the last bit; merged, to almost that; a run that goes on from it
# begins there, on any number of ranks; for maps that files hold as one tensor, and turned ones, too.
#
#   tests/program/adapter.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2
words_are=-F
sizes='"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
  "vocab_size": 300, "max_position_embeddings": 512'
cat >"$work/phi3.json" <<END
{"model_type": "phi3", $sizes, "num_key_value_heads": 2, "pad_token_id": 0, "torch_dtype": "bfloat16"}
END
cat >"$work/gpt2.json" <<END
{"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 300, "n_positions": 512,
 "torch_dtype": "bfloat16"}
END

loss() {
  grep -o '"loss":[^,]*' "$work/said" | cut -d: -f2
}

for family in phi3 gpt2; do
  model=$work/$family
  quietly "$ftrun" init --config "$model.json" --seed 1 --out "$model"
  [ -d "$work/data" ] || prepare_run "$model" 3 "$work/run"
  options=("model.path=$model" train.precision=fp32)
  # gpt2's head is its embedding: as a target it becomes a matrix of its own, or one part stands for both
  embedding=$([ "$family" = gpt2 ] && echo wte || echo embed_tokens)
  for dora in ends both false true; do
    run=$work/$family-$dora
    method=("method.dora=$dora")
    [ "$dora" != ends ] || method=("method.targets=[\"$embedding\",\"lm_head\"]" method.dropout=0.2)
    [ "$dora" != both ] || method=("method.targets=[\"$embedding\"]" method.ensure_weight_tying=true)
    quietly "$ftrun" train "$work/config.json" "${options[@]}" "run.dir=$run" optimizer.lr=1e-2 \
      method.name=lora method.rank=4 "${method[@]}"
    quietly "$ftrun" export "$run" --out "$run-adapter"
    quietly "$ftrun" export "$run" --merge --dtype fp32 --out "$run-merged"
    quietly "$ftrun" inspect "$model" --adapter "$run-adapter"
    own=$(tail -n 1 "$run/metrics.jsonl" | grep -o '"loss":[^,]*' | cut -d: -f2)
    quietly "$ftrun" eval "$work/config.json" "${options[@]}" --adapter "$run-adapter"
    [ "$(loss)" = "$own" ] || fail "$family, dora $dora: the adapter has loss $(loss), the run $own"
    quietly "$ftrun" eval "$work/config.json" "${options[@]}" --model "$run-merged"
    awk "BEGIN { d = $(loss) - $own; exit !(d < 1e-6 && d > -1e-6) }" || fail "$family: merged $(loss), $own"
  done
done

# going on from an adapter, with a frozen base in codes, in other layouts
go_on=("${options[@]}" "model.adapter=$run-adapter" model.storage=nf4 train.steps=2)
quietly "$ftrun" train "$work/config.json" "${go_on[@]}" "run.dir=$work/one"
quietly on_ranks 3 "$ftrun" train "$work/config.json" "${go_on[@]}" "run.dir=$work/three" sharding.stage=2
cmp <(essence "$work/one") <(essence "$work/three") || fail "other bits on 3 ranks"

# refused TEXT OPTION...: a run does not begin, and says this.
refused() {
  local text=$1
  shift
  expect 78 "$ftrun" train "$work/config.json" "$@" "run.dir=$work/no"
  says "$text"
}

refused "method.rank is 5, but model.adapter $run-adapter has 4" "${go_on[@]}" method.rank=5
refused 'method.targets: "lm_heads" names no map that the method can stand beside' "${options[@]}" method.name=lora \
  'method.targets=["lm_heads"]'
refused 'method.dora: lm_head is a target' "${options[@]}" method.name=lora method.dora=true \
  'method.targets=["lm_head"]'
refused 'method.targets: transformer.wte is in method.save_modules, too' "${options[@]}" method.name=lora \
  'method.targets=["wte"]' 'method.save_modules=["wte"]'
refused 'lm_head of this model is its embedding' "${options[@]}" method.name=lora method.ensure_weight_tying=true \
  'method.save_modules=["lm_head"]'
refused 'mlp.c_proj is trained whole, and method.name "ia3" scales its input' "${options[@]}" method.name=ia3 \
  'method.save_modules=["mlp.c_proj"]'

for command in "eval $work/config.json" "export --out $work/none"; do
  # shellcheck disable=SC2086
  expect 64 "$ftrun" $command --model "$model" --adapter "$run-adapter" --ema
  says '--model and --adapter exclude --ema'
done
echo "adapters are what runs were"
