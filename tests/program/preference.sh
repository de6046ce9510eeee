#!/usr/bin/env bash
# Proves, of learning from pairs and rated answers: every loss is what a few lines of awk make of the
# documents' log-probabilities, which `eval` gives one by one; so is a run of several steps, with its
# rewards; and each objective has the same bits on 1, 2 and 3 ranks, in stages 0 to 3, and of a run that
# went on elsewhere, which asks the reference model for nothing twice.
#
#   tests/program/preference.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1
pairs=4

init() {
  quietly "$ftrun" init --config "$work/tiny.json" --seed "$1" --out "$work/$2"
}

# prepare NAME: $work/NAME.jsonl becomes the shard $work/NAME/train.
prepare() {
  quietly "$ftrun" prep --model "$work/model" --input "$work/$1.jsonl" --out "$work/$1" --validation 0 --test 0
}

cat >"$work/tiny.json" <<'END'
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 320, "hidden_size": 32,
 "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
 "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
 "initializer_range": 0.2, "tie_word_embeddings": false, "bos_token_id": 256, "eos_token_id": 257,
 "pad_token_id": 258, "torch_dtype": "float32"}
END
init 1 model
init 2 other

# ---- documents: pairs, the same as rated answers, and each alone; document 2i is chosen, 2i+1 rejected
prompts=('Add 1 and 2.' 'Say hi!' 'Name a colour of the sky at night.' 'Why?')
answers=('3' 'twelve' 'hi there' 'no' 'Black, mostly.' 'sky' 'Because.' 'I do not know, do you?')
sets=''
alone() { # NAME PROMPT ANSWER
  printf '{"prompt":"%s","completion":"%s"}\n' "$2" "$3" >"$work/$1.jsonl"
  prepare "$1"
  sets="$sets${sets:+,}{\"name\":\"$1\",\"path\":\"$work/$1/train\"}"
}
for i in 0 1 2 3; do
  printf '{"prompt":"%s","chosen":"%s","rejected":"%s"}\n' "${prompts[i]}" "${answers[2 * i]}" "${answers[2 * i + 1]}"
done >"$work/pairs.jsonl"
for i in 0 1 2 3; do # rated: the chosen one of even pairs, the rejected one of odd pairs
  label=$([ $((i % 2)) -eq 0 ] && echo true || echo false)
  printf '{"prompt":"%s","completion":"%s","label":%s}\n' "${prompts[i]}" "${answers[2 * i + i % 2]}" "$label"
done >"$work/rated.jsonl"
prepare pairs
prepare rated
for d in 0 1 2 3 4 5 6 7; do alone "d$d" "${prompts[d / 2]}" "${answers[d]}"; done
for i in 0 1 2 3; do
  before=$(((i + 3) % 4))
  alone "m$i" "${prompts[i]}" "${answers[2 * before + before % 2]}"
done

# config FILE SHARD VALIDATION-SETS
config() {
  cat >"$1" <<END
{"model": {"path": "$work/model"},
 "data": {"train": [{"path": "$2"}], "validation": [$3], "seq_len": 128, "packing": false, "shuffle": false},
 "train": {"global_batch": $pairs, "micro_batch": 1, "steps": 3, "precision": "fp32"},
 "optimizer": {"lr": 3e-3}, "schedule": {"name": "constant", "warmup_steps": 0},
 "validation": {"every": 3}, "checkpoint": {"every": 3, "keep": 4}, "run": {"dir": "$work/run"}}
END
}
config "$work/pairs.json" "$work/pairs/train" "{\"name\":\"val\",\"path\":\"$work/pairs/train\"}"
config "$work/rated.json" "$work/rated/train" "{\"name\":\"val\",\"path\":\"$work/rated/train\"}"
config "$work/alone.json" "$work/d0/train" "$sets"

# logps MODEL: lines "NAME LOGP TARGETS" of every document.
logps() {
  "$ftrun" eval "$work/alone.json" --model "$work/$1" >"$work/evaluated" 2>"$work/said" ||
    { cat "$work/said" >&2; fail "eval of $1"; }
  tr -d ' \n' <"$work/evaluated" | grep -oE '"[dm][0-9]":\{[^}]*' |
    sed -E 's/"(..)":\{"loss":([^,]*),.*"targets":([0-9]+).*/\1 \2 \3/' | awk '{ printf "%s %.17g %s\n", $1, -$2 * $3, $3 }'
}
logps model >"$work/logps.model"
logps other >"$work/logps.other"
[ "$(wc -l <"$work/logps.model")" -eq 12 ] || fail "eval says nothing of some documents"

# expected POLICY REFERENCE NAME LOSS BETA EPSILON: "loss chosen rejected" by the formulas of
# docs/objectives.md, from log-probabilities alone.
expected() {
  awk -v name="$3" -v loss="$4" -v B="$5" -v E="$6" '
    function sg(x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)) }
    function ls(x) { return x >= 0 ? -log(1 + exp(-x)) : x - log(1 + exp(x)) }
    function soft(x) { return -(1 - E) * ls(x) - E * ls(-x) }
    function odds(m) { return m - log(1 - exp(m)) }
    function pair(a, b, na, nb,   z, q) {
      if (name == "simpo") return soft(B * (a / na - b / nb) - 1)
      if (name == "orpo") return -B * ls(odds(a / na) - odds(b / nb))
      z = B * (a - b); q = sg(z)
      if (loss == "sigmoid" || loss == "conservative") return soft(z)
      if (loss == "hinge") return z < 1 ? 1 - z : 0
      if (loss == "ipo") return (a / na - b / nb - 1 / (2 * B)) ^ 2
      if (loss == "robust") return (-(1 - E) * ls(z) + E * ls(-z)) / (1 - 2 * E)
      if (loss == "sigmoid_norm") return -ls(B * (a / na - b / nb))
      if (loss == "apo_zero") return 1 - sg(B * a) + sg(B * b)
      if (loss == "apo_down") return sg(B * a) + 1 - q
      if (loss == "sppo_hard") return (a - 1 / (2 * B)) ^ 2 + (b + 1 / (2 * B)) ^ 2
      if (loss == "exo_pair") return q * (log(q) - log(1 - E)) + (1 - q) * (log(1 - q) - log(E))
      if (loss == "nca_pair") return -ls(B * a) - ls(-B * a) / 2 - ls(-B * b) / 2
      if (loss == "bco_pair") return -ls(B * a) - ls(-B * b)
    }
    NR == FNR { pi[$1] = $2; n[$1] = $3; next }
    { rho[$1] = $2 }
    function ratio(d) { return name == "dpo" || name == "kto" ? pi[d] - rho[d] : pi[d] }
    function reward(d) { return B * ratio(d) / (name == "simpo" || name == "orpo" ||
                                                name == "cpo" && loss == "ipo" ? n[d] : 1) }
    END {
      for (i = 0; i < 4 && name != "kto"; i++) {
        c = "d" 2 * i; r = "d" 2 * i + 1
        sum += pair(ratio(c), ratio(r), n[c], n[r]) / 4
        good += reward(c) / 4; bad += reward(r) / 4; nll -= pi[c]; tokens += n[c]
      }
      if (name == "cpo") sum += nll / tokens
      for (i = 0; i < 4 && name == "kto"; i++) z += ratio("m" i) / 4
      if (z < 0) z = 0
      for (i = 0; i < 4 && name == "kto"; i++) {
        d = "d" 2 * i + i % 2; s = i % 2 ? -1 : 1
        sum += (i % 2 ? 0.5 : 2) * (1 - sg(s * B * (ratio(d) - z))) / 4
        if (i % 2) bad += reward(d) / 2; else good += reward(d) / 2
      }
      printf "%.12g %.12g %.12g\n", sum, good, bad
    }' "$work/logps.$1" "$work/logps.$2"
}

# row RUN STEP: "loss chosen rejected" of the metrics.
row() {
  sed -nE "s/^\{\"step\":$2,\"loss\":([^,]*),.*\"chosen\":([^,]*),\"rejected\":([^,]*),\"margin.*/\1 \2 \3/p" \
    "$work/$1/metrics.jsonl"
}

# near FOUND EXPECTED WHAT: three numbers each.
near() {
  awk -v f="$1" -v e="$2" 'BEGIN {
    n = split(f, a, " "); split(e, b, " ")
    for (i = 1; i <= 3; i++) { d = a[i] - b[i]; if (d < 0) d = -d; s = b[i] < 0 ? -b[i] : b[i]
      if (d > 2e-5 * (1 + s)) bad = 1 }
    exit bad || n != 3 }' || fail "$3: $1, expected $2"
  num_checked=$((num_checked + 1))
}

# train RANKS RUN DATA KEY=VALUE...
train() {
  local ranks=$1 run=$2 data=$3
  shift 3
  quietly on_ranks "$ranks" "$ftrun" train "$work/$data.json" "run.dir=$work/$run" "$@"
}

# ---- every loss, of one step against another model
loss() { # NAME LOSS BETA EPSILON KEY=VALUE...
  local name=$1 loss=$2 beta=$3 epsilon=$4 data=pairs
  shift 4
  [ "$name" != kto ] || data=rated
  rm -rf "$work/one"
  train 1 one "$data" "objective.name=$name" "objective.loss=$loss" "objective.beta=$beta" \
    "objective.label_smoothing=$epsilon" train.steps=1 data.validation=[] "$@"
  near "$(row one 1)" "$(expected model other "$name" "$loss" "$beta" "$epsilon")" "$name, $loss"
}
reference=objective.reference=$work/other
for loss in sigmoid hinge ipo sigmoid_norm apo_zero apo_down sppo_hard nca_pair bco_pair; do
  loss dpo "$loss" 0.3 0 "$reference"
done
for loss in conservative robust exo_pair; do loss dpo "$loss" 0.3 0.1 "$reference"; done
loss simpo sigmoid 2 0
loss simpo sigmoid 2 0.1
loss cpo sigmoid 0.2 0.1
loss cpo hinge 0.2 0
loss cpo ipo 0.2 0
loss orpo sigmoid 0.2 0 objective.nll=0
loss kto sigmoid 0.3 0 objective.desirable_weight=2 objective.undesirable_weight=0.5 "$reference"

# ---- a run of three steps: what it says of each step is what eval says of the weights before it
train 1 dpo-1 pairs objective.name=dpo checkpoint.every=1
near "$(row dpo-1 1)" "0.69314718056 0 0" "before the first step nothing differs"
for step in 1 2; do
  quietly "$ftrun" export "$work/dpo-1" --step "$step" --dtype fp32 --out "$work/step-$step"
  logps "step-$step" >"$work/logps.step-$step"
  near "$(row dpo-1 $((step + 1)))" "$(expected "step-$step" model dpo sigmoid 0.1 0)" "dpo, step $((step + 1))"
done

# ---- the same bits, however the run is laid out, and whatever happened to it
# facts RUN: what of its rows must not depend on that: numbers of its steps, and what evaluations before
# the first and after the last step say, rewards among it.
facts() {
  sed -E 's/"(lr|seconds|tokens_per_second|mfu|rss_bytes)":[^,]*,?//g; /^\{"step":1,"validation"/d' "$work/$1/metrics.jsonl"
}

# same NAME DATA RANKS STAGE RANKS STAGE KEY=VALUE...: a whole run, and one that goes on, beside a lone rank's
same() {
  local name=$1 data=$2 ranks=$3 stage=$4 later=$5 later_stage=$6
  shift 6
  [ -d "$work/$name-1" ] || train 1 "$name-1" "$data" "objective.name=$name" "$@"
  train "$ranks" "$name-n" "$data" "objective.name=$name" "sharding.stage=$stage" "$@"
  train "$later" "$name-r" "$data" "objective.name=$name" "sharding.stage=$later_stage" train.steps=1 "$@"
  train "$ranks" "$name-r" "$data" "objective.name=$name" "sharding.stage=$stage" "$@"
  local run
  for run in n r; do
    cmp <(facts "$name-1") <(facts "$name-$run") || fail "$name-$run: other bits"
    [ ! -f "$work/$name-1/reference.h5" ] || cmp "$work/$name-1/reference.h5" "$work/$name-$run/reference.h5" ||
      fail "$name-$run: another reference"
  done
  num_checked=$((num_checked + 2))
}
same dpo pairs 3 0 2 3
same simpo pairs 2 1 3 2
same cpo pairs 3 3 2 0
same orpo pairs 2 2 3 1
same kto rated 3 2 2 1
same reward pairs 2 0 3 3 objective.centre=0.01
grep -q 'log-probabilities of' "$work/dpo-1/log/rank-0.log" || fail "the reference model was not asked"
rm -rf "$work/again"
cp -r "$work/dpo-1" "$work/again"
train 2 again pairs objective.name=dpo train.steps=4
[ "$(grep -c 'log-probabilities of' "$work/again/log/rank-0.log")" -eq 1 ] || fail "the reference model was asked again"

# ---- what frozen weights are kept in, the reference model has as well: nothing differs at first
for storage in int8 nf4; do
  rm -rf "$work/coded"
  train 1 coded pairs objective.name=dpo method.name=lora "model.storage=$storage" train.steps=1
  near "$(row coded 1)" "0.69314718056 0 0" "LoRA on $storage"
done
expect 78 "$ftrun" train "$work/pairs.json" "run.dir=$work/coded" objective.name=dpo method.name=lora model.storage=nf4 \
  train.steps=2 "model.path=$work/other" --allow model.path
says 'reference.h5 is of another model than .*/other'

# ---- reference.h5 that cannot be trusted
cp "$work/dpo-1/reference.h5" "$work/whole.h5"
refused() { # WORDS
  expect 65 "$ftrun" train "$work/pairs.json" "run.dir=$work/dpo-1" objective.name=dpo train.steps=4
  says 'reference.h5' "$1"
}
head -c 4200 "$work/whole.h5" >"$work/dpo-1/reference.h5"
refused 'cut off'
size=$(wc -c <"$work/whole.h5")
{ head -c $((size - 8)) "$work/whole.h5"; printf 'damaged!'; } >"$work/dpo-1/reference.h5"
refused 'computed again'
rm "$work/dpo-1/reference.h5"
train 1 dpo-1 pairs objective.name=dpo train.steps=4
cmp "$work/dpo-1/reference.h5" "$work/whole.h5" || fail "another reference.h5 after it was removed"

# ---- what cannot be learnt from
expect 65 "$ftrun" train "$work/pairs.json" "run.dir=$work/no"
says 'preference data, which objective.name dpo, simpo, cpo, orpo and reward learns' 'tokens takes kinds text and sft'
expect 65 "$ftrun" train "$work/rated.json" "run.dir=$work/no" objective.name=dpo
says 'unpaired data, which objective.name kto learns from'
expect 78 "$ftrun" train "$work/pairs.json" "run.dir=$work/no" objective.name=simpo "$reference"
says 'objective.reference is .*"simpo" compares with no model'
expect 78 "$ftrun" train "$work/pairs.json" "run.dir=$work/no" objective.name=reward train.freeze='["score*"]'
says 'score, has to be trained'

echo "$num_checked cases hold"
