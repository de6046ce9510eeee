#!/usr/bin/env bash
# Proves that `ftrun bench` measures a shape and a configuration on one rank and on two, that its
# parts add up to its step, and that it refuses what cannot be.
#
#   tests/program/bench.sh FTRUN
. "$(dirname "$0")/common.sh"
ftrun=$(realpath "$1")
keys="peak_bf16_flops peak_fp32_flops memory_bandwidth disk_write_rate model_flops share_of_peak
  tokens_per_second step_seconds exposed_communication matmuls_alone_share"
parts="matmul_forward matmul_backward_input matmul_backward_weight matmul_head attention elementwise
  loss optimizer communication data other"
shape=(--shape 32,96,2,4,2,300 --rows 3 --seq-len 17 --micro-batch 1 --steps 1)

# number KEY: its value in the last object; fails without one.
number() {
  local line
  line=$(grep -E "^ *\"$1\": -?[0-9]" "$work/json") || fail "no number $1 in $(cat "$work/json")"
  line=${line#*: }
  printf '%s\n' "${line%,}"
}

# measured: every key is there, rates are positive, and the parts add up to the step.
measured() {
  local key
  for key in $keys; do
    case $key in
    exposed_communication) number "$key" >/dev/null ;;
    disk_write_rate) grep -qE "\"$key\": ([1-9]|null)" "$work/json" || fail "no $key" ;;
    *) awk -v v="$(number "$key")" 'BEGIN { exit !(v > 0) }' || fail "$key is not positive" ;;
    esac
  done
  for key in $parts; do number "$key"; done |
    awk -v step="$(number step_seconds)" '{ sum += $1; if ($1 < 0) bad = 1 }
      END { d = sum - step; exit bad || d > 0.02 * step || d < -0.02 * step }' ||
    fail "the parts do not add up to the step: $(cat "$work/json")"
}

# bench RANKS ARGUMENTS...
bench() {
  local ranks=$1
  shift
  on_ranks "$ranks" "$ftrun" bench "$@" --json >"$work/json" 2>"$work/said" </dev/null ||
    { cat "$work/said" >&2; fail "bench $* on $ranks ranks"; }
  measured
}

# refused STATUS WORDS ARGUMENTS...
refused() {
  local status=$1 words=$2 found=0
  shift 2
  "$ftrun" bench "$@" >"$work/said" 2>&1 </dev/null || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/said" >&2; fail "$*: status $found, not $status"; }
  grep -qF -- "$words" "$work/said" || { cat "$work/said" >&2; fail "not said: $words"; }
}

# ---- a shape: one rank has three rounds, two ranks have a round in which one has no micro-batch
cd "$work"
bench 1 "${shape[@]}"
! compgen -G ".ftrun-bench*" >/dev/null || fail "the file of the disk's measurement was left"
bench 2 "${shape[@]}" --disk none --stage 2 --activation-checkpointing on
grep -q '"disk_write_rate": null' "$work/json" || fail "--disk none was not heard"
grep -q '"tokens": 51,' "$work/json" || fail "three rows of 17 tokens are 51"
bench 1 "${shape[@]}" --disk none --precision fp32 --stage 0
bench 2 "${shape[@]}" --disk none --master bf16+8 --state int8 --gradient bf16 \
  --activation-checkpointing 2
# Of a parameter: 3 bytes, 2 and two scales of 256, 2 and a sum of squares of 4096.
awk -v p=43936 -v master="$(number master_weights_bytes)" -v state="$(number optimizer_state_bytes)" \
  -v gradient="$(number gradients_bytes)" 'BEGIN {
    padded = master / 3
    exit !(padded >= p && padded < 1.1 * p && state == 2.03125 * padded && gradient > 2 * padded &&
           gradient < 2.02 * padded) }' || fail "bytes of the memory modes: $(cat "$work/json")"

# ---- a frozen base with low-rank parts: per layer 4 x (2 x 32 + 32 + 16 + 32 + 16 + ...) weights
bench 2 "${shape[@]}" --disk none --lora 4 --storage nf4
trained=$((2 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 96))))
grep -q "\"trained\": $trained," "$work/json" || fail "not $trained trained: $(cat "$work/json")"
awk -v frozen="$(number frozen_weights_bytes)" 'BEGIN { exit !(frozen < 43936) }' ||
  fail "frozen weights in nf4 take a byte and more: $(cat "$work/json")"

# ---- a configuration, whose model has a config.json and nothing else
mkdir model
cp "$here/identity-tied.json" model/config.json
cat >config.json <<END
{"model": {"path": "model"}, "data": {"train": [{"path": "nowhere"}], "seq_len": 16},
 "train": {"global_batch": 4, "micro_batch": 2, "steps": 1}, "optimizer": {"lr": 1e-3},
 "run": {"dir": "run"}}
END
bench 2 config.json train.global_batch=2 --micro-batch 1 --steps 2 --disk none
bench 1 config.json method.name=lora model.storage=int8 --steps 1 --disk none
awk -v trained="$(number trained)" -v all="$(number parameters)" \
  'BEGIN { exit !(trained > 0 && trained < all) }' || fail "the method was not heard"
"$ftrun" bench config.json --steps 1 --disk none >"$work/said" 2>&1 || fail "as text"
for words in "bf16 peak" "tokens/s" "matmuls alone" "waiting for communication"; do
  grep -qF "$words" "$work/said" || fail "not said: $words"
done

# ---- refusals
refused 66 "nowhere does not exist" config.json model.path=nowhere
refused 64 "one of them"
refused 64 "one of them" config.json "${shape[@]}"
refused 64 "six numbers" --shape 32,96,2,4,2
refused 64 "six numbers" --shape 32,96,2,4,2,300,1
refused 64 "multiple of the heads" --shape 33,96,2,4,2,300
refused 64 "num_key_value_heads" --shape 32,96,2,4,3,300
refused 64 "no multiple" "${shape[@]}" --micro-batch 2
refused 64 "on, off or a number" "${shape[@]}" --activation-checkpointing maybe
refused 64 "fp32, bf16+8 or bf16" "${shape[@]}" --master fp16
refused 64 "fp32 or int8" "${shape[@]}" --state bf16
refused 64 "expected bf16, int8 or nf4" "${shape[@]}" --storage int4
refused 64 "says what is trained" config.json --lora 4
refused 78 "every weight is trained" "${shape[@]}" --storage int8
refused 66 "no such directory" "${shape[@]}" --disk nowhere
