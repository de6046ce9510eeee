#!/usr/bin/env bash
# Speed of learning from pairs on a reference that is known already, beside plain training on the same
# documents: runs of both in turn, the median of their steps' tokens/s.
#
#   tests/bench/preference.sh FTRUN DIR [ROUNDS]
#
# DIR is emptied first. The model has 17 million parameters; a step has 8 documents of some 256 tokens.
set -euo pipefail
ftrun=$(realpath "$1") work=$2 rounds=${3:-3} steps=6
rm -rf "$work"
mkdir -p "$work"
cat >"$work/shape.json" <<'END'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8000, "hidden_size": 384,
 "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2,
 "hidden_act": "silu", "max_position_embeddings": 1024, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
 "tie_word_embeddings": false, "bos_token_id": 256, "eos_token_id": 257, "torch_dtype": "bfloat16"}
END
"$ftrun" init --config "$work/shape.json" --seed 1 --out "$work/model" 2>/dev/null

# words SEED: 190 letters.
words() {
  awk -v s="$1" 'BEGIN { srand(s); for (i = 0; i < 38; i++) printf "%c%c%c%c ", 97 + rand() * 26, 97 + rand() * 26, 97 + rand() * 26, 97 + rand() * 26 }'
}
for i in $(seq 24); do
  prompt="Question $i?" better=$(words $((2 * i))) worse=$(words $((2 * i + 1)))
  printf '{"prompt":"%s","chosen":"%s","rejected":"%s"}\n' "$prompt" "$better" "$worse" >>"$work/pairs.jsonl"
  printf '{"prompt":"%s","completion":"%s"}\n{"prompt":"%s","completion":"%s"}\n' \
    "$prompt" "$better" "$prompt" "$worse" >>"$work/documents.jsonl"
done
for set in pairs documents; do
  "$ftrun" prep --model "$work/model" --input "$work/$set.jsonl" --out "$work/$set" --validation 0 --test 0 >/dev/null 2>&1
done

# run NAME DOCUMENTS OBJECTIVE ROUND: adds the tokens/s of each step but the first to $work/NAME.rates.
run() {
  cat >"$work/$1.json" <<END
{"model": {"path": "$work/model"}, "objective": {"name": "$3"},
 "data": {"train": [{"path": "$work/$1/train"}], "seq_len": 512, "packing": false, "shuffle": false},
 "train": {"global_batch": $2, "micro_batch": $(($2 / 4)), "steps": $steps},
 "optimizer": {"lr": 1e-5}, "schedule": {"warmup_steps": 0}, "checkpoint": {"every": 1000},
 "run": {"dir": "$work/run-$1-$4"}}
END
  "$ftrun" train "$work/$1.json" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
  sed -nE 's/.*"step":([0-9]+).*"tokens_per_second":([0-9.]+).*/\1 \2/p' "$work/run-$1-$4/metrics.jsonl" |
    awk '$1 > 1 { print $2 }' >>"$work/$1.rates"
}
for round in $(seq "$rounds"); do
  run documents 8 tokens "$round"
  run pairs 4 dpo "$round"
done
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }
plain=$(median "$work/documents.rates") pairs=$(median "$work/pairs.rates")
awk -v a="$plain" -v b="$pairs" 'BEGIN { printf "tokens/s, medians: plain %.0f, dpo %.0f: %.3f\n", a, b, b / a }'
