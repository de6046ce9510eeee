#!/usr/bin/env bash
# Proves that `ftrun plan` says what runs then take: the sum of Pss over a node within 5 % and 64 MiB
# a rank, for stages, memory modes, frozen parts and their storage, tied heads, long rows, precisions
# and numbers of ranks; that it plans the recipes in configs/; and what its status is.
#
#   tests/program/plan.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$(realpath "$1") sample_data=$2
grep -q ^Pss: /proc/self/smaps_rollup 2>/dev/null ||
  { echo "skipped: this system does not say what Pss a process has"; exit 77; }

# model NAME TIED: 13 to 16 million parameters.
model() {
  mkdir -p "$work/$1-config"
  cat >"$work/$1-config/config.json" <<JSON
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 6000, "hidden_size": 384,
 "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2,
 "hidden_act": "silu", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
 "tie_word_embeddings": $2, "bos_token_id": 256, "eos_token_id": 257, "torch_dtype": "bfloat16"}
JSON
  quietly "$ftrun" init --config "$work/$1-config/config.json" --seed 5 --out "$work/$1"
}
"$sample_data" stories 600 3 >"$work/stories.jsonl"
model untied false
model tied true
quietly "$ftrun" prep --model "$work/untied" --input "$work/stories.jsonl" --out "$work/data"

# write_config MODEL DATA: $work/config.json
write_config() {
  cat >"$work/config.json" <<JSON
{"model": {"path": "$1"}, "data": {"train": [{"path": "$2"}], "seq_len": 256},
 "train": {"global_batch": 3, "steps": 1}, "optimizer": {"lr": 1e-3},
 "run": {"dir": "$work/run"}}
JSON
}

# member KEY: a number of the plan.
member() {
  sed -nE "s/^ *\"$1\": *([0-9.e+-]+),?$/\1/p" "$work/plan"
}

# agrees RANKS KEY=VALUE...: one step of $work/config.json takes what the plan says.
agrees() {
  local ranks=$1 resident planned
  shift
  rm -rf "$work/run"
  "$ftrun" plan "$work/config.json" "$@" --ranks "$ranks" --ranks-per-node "$ranks" --node-memory 64 \
    --json >"$work/plan" || fail "plan $*"
  planned=$(member node_bytes)
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json" "$@"
  resident=$(sed -nE 's/.*memory of the .* accounted [0-9.]+, resident ([0-9.]+).*/\1/p' "$work/run/log/rank-0.log")
  awk -v n="$ranks" -v r="$resident" -v p="$planned" 'BEGIN {
    p /= 1048576; d = p > r ? p - r : r - p
    exit !(r > 0 && d <= 0.05 * r + n * 64) }' ||
    fail "$ranks ranks, $*: planned $planned bytes, resident $resident MiB"
  awk -v n="$ranks" -v r="$resident" -v p="$planned" -v w="$*" 'BEGIN {
    printf "%d ranks: planned %.1f, resident %.1f MiB  %s\n", n, p / 1048576, r, w }'
  num_checked=$((num_checked + 1))
}

write_config "$work/untied" "$work/data/train"
agrees 1
agrees 1 sharding.stage=2 train.precision=fp32
agrees 2
agrees 2 sharding.stage=0
agrees 2 sharding.stage=1 train.activation_checkpointing=false
agrees 3 sharding.stage=2
agrees 2 optimizer.master=bf16+8 optimizer.state=int8 train.gradient=bf16
agrees 1 optimizer.master=bf16 optimizer.state=int8
agrees 2 sharding.stage=0 optimizer.master=bf16+8 train.gradient=bf16
agrees 2 'train.freeze=["model.layers.[0-4].*","model.embed_tokens.*"]'
agrees 1 'train.freeze=["model.layers.*"]' model.storage=int8
agrees 2 'train.freeze=["model.layers.*"]' model.storage=nf4 sharding.stage=2
agrees 1 data.seq_len=2048 train.micro_batch=3 # rows of many documents
agrees 1 train.ema=0.99
write_config "$work/tied" "$work/data/train"
agrees 2
agrees 1 train.precision=fp32 train.activation_checkpointing=2
agrees 3 sharding.stage=0 train.gradient=bf16

# ---- an encoder, and a family with norms of its own
for family in bert-classes gemma3_text; do
  mkdir "$work/$family"
  cp "$root/tests/hf/families/$family.json" "$work/$family/config.json"
  write_config "$work/$family" "$work/nothing"
  expect 0 "$ftrun" plan "$work/config.json" data.seq_len=32 --ranks 2 --ranks-per-node 2 --node-memory 1
done

# ---- status
write_config "$work/untied" "$work/nothing"
expect 0 "$ftrun" plan "$work/config.json" --ranks 4 --ranks-per-node 2 --node-memory 4
says "no data yet" "fewest nodes" "as configured" "train.gradient=bf16 method.name=lora$" "lora model.storage=nf4$"
expect 0 "$ftrun" plan "$work/config.json" 'train.freeze=["model.layers.*"]' --ranks 4 --ranks-per-node 2 --node-memory 4
says_not "method.name=lora"
expect 0 "$ftrun" plan "$work/config.json" method.name=lora --ranks 4 --ranks-per-node 2 --node-memory 4
says "model.storage=nf4"
says_not "method.name=lora"
expect 1 "$ftrun" plan "$work/config.json" train.micro_batch=3 --ranks 4 --ranks-per-node 2 --node-memory 0.2
says "does not fit" "are missing" "train.micro_batch=1"
expect 64 "$ftrun" plan "$work/config.json" --ranks 4
expect 66 "$ftrun" plan "$work/config.json" model.path="$work/none" --ranks 1 --ranks-per-node 1 --node-memory 1

# ---- recipes: each is planned for the node that its plan beside it names
recipe() {
  local name=$1 ranks=$2 per_node=$3 memory=$4
  mkdir -p "$work/recipes/models/$5"
  printf '%s\n' "$6" >"$work/recipes/models/$5/config.json"
  (cd "$work/recipes" && expect 0 "$ftrun" plan "$root/configs/$name.json" --ranks "$ranks" \
    --ranks-per-node "$per_node" --node-memory "$memory" && cp "$work/said" "$work/plan.txt")
  # what kernels take as scratch is the processor's business
  diff <(grep -vE 'workspace|peak' "$root/configs/$name.plan.txt") \
    <(grep -vE 'workspace|peak' "$work/plan.txt") >&2 ||
    fail "configs/$name.plan.txt is not what ftrun plan says"
}
. "$here/recipes.sh"
echo "$num_checked cases hold"
