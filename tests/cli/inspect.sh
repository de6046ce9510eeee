#!/usr/bin/env bash
# Proves what `ftrun inspect` promises: it knows every kind of file and directory that ftrun reads
# and writes, reads all of it, and names the file in which anything is damaged.
#
#   tests/cli/inspect.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/../program/common.sh"
ftrun=$1 sample_data=$2
num_checked=0

# expect STATUS PATH WORDS...: inspecting PATH ends with this status and says each of the words.
expect() {
  local status=$1 path=$2 found=0 words
  shift 2
  "$ftrun" inspect "$path" >"$work/said" 2>&1 </dev/null || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/said" >&2; fail "$path: status $found, not $status"; }
  for words in "$@"; do
    grep -qF -- "$words" "$work/said" || { cat "$work/said" >&2; fail "$path: not said: $words"; }
  done
  num_checked=$((num_checked + 1))
}

# flip FILE OFFSET [BIT]: one bit of one byte becomes the other.
flip() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1")
  printf "\\x$(printf %x $((byte ^ (1 << ${3:-4}))))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# damaged FILE OFFSET WORDS...: inspecting $victim (or FILE) with that bit flipped names FILE.
damaged() {
  local file=$1 offset=$2
  shift 2
  flip "$file" "$offset"
  expect 65 "${victim:-$file}" "$file" "$@"
  flip "$file" "$offset"
}

"$sample_data" questions 60 3 >"$work/questions.jsonl"
quietly "$ftrun" init --config "$here/../program/identity-tied.json" --seed 5 --out "$work/model"
quietly "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/data"
cat >"$work/config.json" <<END
{"model": {"path": "$work/model"},
 "data": {"train": [{"path": "$work/data/train"}],
          "validation": [{"name": "questions", "path": "$work/data/validation"}], "seq_len": 300},
 "train": {"global_batch": 2, "micro_batch": 1, "steps": 2},
 "optimizer": {"lr": 1e-3},
 "checkpoint": {"every": 1},
 "run": {"dir": "$work/run", "seed": 9}}
END
quietly on_ranks 2 "$ftrun" train "$work/config.json"

# ---- a model directory
victim=$work/model weights=$work/model/model.safetensors
for at in 9 40 200 3001 500000; do damaged "$weights" "$at"; done
damaged "$weights" 500001 'the checksum of bytes'
victim=
expect 0 "$work/model" 'model directory' llama 'layers        2' 'vocabulary    263, tied' 'F32 (' '1 of 1 files have them: verified' 'files verified'
expect 0 "$work/model/config.json" 'model directory'
expect 0 "$work/model/model.safetensors" 'safetensors file' 'F32 ('
cp -r "$work/model" "$work/broken"
rm "$work/broken/ftrun.sha256" # as another program's, which knows none of these names
sed 's/"ftrun\.\(xxh3\|chunk_bytes\|chunks_xxh3\|tensors_xxh3\)":/"other.\1":/g' "$weights" >"$work/broken/model.safetensors"
expect 0 "$work/broken" 'no checksums (ftrun.sha256)' '0 of 1 files have them: made by another program' 'values        all finite'
size=$(stat -c %s "$weights")
printf '\0\0\x80\x7f' | dd of="$work/broken/model.safetensors" bs=1 seek=$((size - 4)) conv=notrunc status=none
expect 65 "$work/broken" "$work/broken/model.safetensors" 'is not finite'
truncate -s $((size - 1)) "$work/broken/model.safetensors"
expect 65 "$work/broken" "$work/broken/model.safetensors" 'cut off'
expect 65 "$work/broken/model.safetensors" "$work/broken/model.safetensors" 'cut off'
cp "$work/model/model.safetensors" "$work/broken"
sed -i 's/"hidden_size": 120/"hidden_size": 240/' "$work/broken/config.json"
expect 65 "$work/broken" "$work/broken" 'model.embed_tokens.weight has shape [263, 120]; expected [263, 240]'
sed -i 's/"model_type": "llama"/"model_type": "mamba"/' "$work/broken/config.json"
expect 65 "$work/broken" "$work/broken/config.json" mamba
rm "$work/broken/config.json" "$work/broken/model.safetensors"
expect 0 "$work/broken" 'weights       none' 'tokenizer     263 tokens'
printf '{' >"$work/broken/tokenizer.json"
expect 65 "$work/broken" "$work/broken/tokenizer.json"

# ---- token shards
shard=$work/data/train/00000.h5
expect 0 "$shard" 'token shard' 'kind          sft' 'vocabulary    263' 'checksum      verified' "$(sha256sum <"$work/model/tokenizer.json" | cut -c 1-64)"
expect 0 "$work/data/train" "$shard"
expect 0 "$work/data" "$shard" "$work/data/validation/00000.h5" "$work/data/test/00000.h5"
documents=$(sed -n 's/^  documents *//p' <("$ftrun" inspect "$shard"))
tokens=$(sed -n 's/^  tokens *//p' <("$ftrun" inspect "$shard"))
# the file ends with its datasets: tokens, loss_mask, offsets, the hashes of their chunks, the checksum
size=$(stat -c %s "$shard")
num_hashes=$(((tokens + 4095) / 4096 * 2 + (documents + 1 + 4095) / 4096))
offsets_at=$((size - 8 - 8 * num_hashes - 8 * (documents + 1)))
mask_at=$((offsets_at - (tokens + 7) / 8 * 8))
tokens_at=$((mask_at - (4 * tokens + 7) / 8 * 8))
victim=$work/data
damaged "$shard" $((tokens_at + 3)) "the checksum of bytes $tokens_at to"
damaged "$shard" $((mask_at + 5)) "the checksum of bytes $mask_at to"
damaged "$shard" $((offsets_at + 15)) "the checksum of bytes $offsets_at to"
damaged "$shard" 30
for at in 60 3000 $((tokens_at)) $((mask_at + 7)) $((size - 1)); do damaged "$shard" "$at"; done
flip "$shard" $((mask_at + 7)) 0 # what only the checksum can tell: another mask
expect 65 "$shard" "$shard" 'the checksum of bytes'
flip "$shard" $((mask_at + 7)) 0
cp "$shard" "$work/cut.h5"
truncate -s $((offsets_at - 4)) "$work/cut.h5"
expect 65 "$work/cut.h5" "$work/cut.h5" 'cut off'

# ---- checkpoints and runs
first=$work/run/checkpoints/step-00000001 last=$work/run/checkpoints/step-00000002
slices=rank-00001-of-00002.h5
expect 0 "$last" checkpoint 'step          2' 'ranks         2' 'master: ' 'all bytes verified'
expect 0 "$last/$slices" 'all bytes verified'
expect 0 "$work/run" 'run directory' 'to step 2' "$first" "$last" 'best          step'
expect 0 "$work/run/metrics.jsonl" 'run directory'
cp -r "$last" "$work/moved"
expect 0 "$work/moved" 'step          2'
size=$(stat -c %s "$first/$slices")
for victim in "$first" "$work/run"; do
  for at in 20 500 4200 $((size / 3)) $((size / 2)) $((size - 1)); do
    damaged "$first/$slices" "$at"
  done
  grep -qF "$last: checkpoint" "$work/said" || [ "$victim" = "$first" ] || fail "the checkpoint behind a damaged one was not looked at"
  damaged "$first/manifest.json" 300
done
victim=
expect 0 "$work/run"
rm "$work/moved/manifest.json"
expect 65 "$work/moved" "$work/moved" 'never finished'
echo '{"step":' >>"$work/run/metrics.jsonl"
expect 65 "$work/run" "$work/run/metrics.jsonl:"

# ---- any bit of any file that has checksums: a seeded sample (tests/io and tests/checkpoint flip all)
RANDOM=7
sampled() {
  local file=$1 victim=$2 i at
  for ((i = 0; i < 15; i++)); do
    at=$(((RANDOM * 32768 + RANDOM) % $(stat -c %s "$file")))
    flip "$file" "$at" $((i % 8))
    expect 65 "$victim" "$file"
    flip "$file" "$at" $((i % 8))
  done
  expect 0 "$victim"
}
quietly "$ftrun" export "$work/run" --out "$work/exported" --dtype bf16
rm "$work/run/metrics.jsonl"
for name in model.safetensors config.json tokenizer.json tokenizer_config.json; do
  sampled "$work/exported/$name" "$work/exported"
done
for ((i = 0; i < 15; i++)); do # a damaged list of checksums names itself, or itself and another file
  at=$((RANDOM % $(stat -c %s "$work/exported/ftrun.sha256")))
  flip "$work/exported/ftrun.sha256" "$at" $((i % 8))
  expect 65 "$work/exported" ftrun.sha256
  flip "$work/exported/ftrun.sha256" "$at" $((i % 8))
done
(cd "$work/exported" && sha256sum --quiet -c ftrun.sha256) || fail "sha256sum does not read ftrun.sha256"
sampled "$shard" "$work/data"
sampled "$last/$slices" "$last"
sampled "$last/manifest.json" "$work/run"

# ---- what it does not know
expect 66 "$work/absent" absent
expect 65 "$work/questions.jsonl" 'questions.jsonl'
mkdir "$work/empty"
expect 65 "$work/empty" 'is neither'
found=0
"$ftrun" inspect >"$work/said" 2>&1 || found=$?
[ $found -eq 64 ] || fail "no path: status $found"

echo "$num_checked inspections did what they promise"
