#!/usr/bin/env bash
# Proves that what ranks find out by themselves is compared before anything is begun, by --check too:
# a configuration that was edited on one host is rank 0's on all; another program, model, data set,
# run directory or variable is refused, naming rank, host and both values. Hosts are folders here: each
# rank has its own, with relative paths in the configuration.
#
#   tests/program/hosts_differ.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
. "$here/broken.sh"
ftrun=$(realpath "$ftrun") # ranks begin in other folders
export FT_PATIENCE=1

# begin_hosts: folders a and b with the same model, data and configuration.
begin_hosts() {
  rm -rf "$work/a" "$work/b"
  mkdir "$work/a"
  cp -r "$work/model" "$work/data" "$work/a"
  sed "s|$work/||g" "$work/config.json" >"$work/a/config.json"
  cp -r "$work/a" "$work/b"
  ln -s "$work/run" "$work/a/run"
  ln -s "$work/run" "$work/b/run"
}

# on_hosts WORD...: rank 0 in folder a, rank 1 in b. $program_b: rank 1's program.
on_hosts() {
  local status=0
  rm -rf "$work/run"
  mkdir "$work/run"
  timeout 100 mpirun --oversubscribe -np 1 -wdir "$work/a" "$ftrun" train config.json "$@" : \
    -np 1 -wdir "$work/b" $variable_b "${program_b:-$ftrun}" train config.json "$@" >"$work/said" 2>&1 </dev/null || status=$?
  return "$status"
}

# refused NAME STATUS WORDS...: a run and its check end with the status, say each of the words, and
# leave no checkpoint.
refused() {
  local name=$1 status=$2 found check word
  shift 2
  for check in --check ""; do
    found=0
    on_hosts $check || found=$?
    must "$name $check: status $found" [ "$found" -eq "$status" ]
    for word in "$@"; do must "$name $check" grep -q -- "$word" "$work/said"; done
    must "$name $check: said once" [ "$(grep -c 'ftrun: error' "$work/said")" -eq 1 ]
    must "$name $check: no checkpoint" [ -z "$(newest)" ]
  done
}

configurations() {
  local edit
  for edit in 's/"lr": 1e-3/"lr": 0.5/' 's/"seed": 9/"seed": 8/' 's/"steps": 7/"steps": 9/' \
    's/"global_batch": 12/"global_batch": 4/' 's/.*//'; do
    begin_hosts
    sed -i "$edit" "$work/b/config.json"
    must "$edit" on_hosts
    essence "$work/run" | diff "$work/wanted" - >&2 || fail "$edit: metrics are not those of rank 0's"
    [ "$(cd "$work/a" && export_sum "$work/run")" = "$wanted_sum" ] || fail "$edit: weights are not those of rank 0's"
  done
}

models_and_data() {
  begin_hosts
  "$sample_data" questions 200 8 >"$work/others.jsonl"
  quietly "$ftrun" prep --model "$work/model" --input "$work/others.jsonl" --out "$work/b/data" --overwrite
  refused "other data" 65 "data.train\[0\] data/train is not the same on all ranks" "(rank 0): 239 documents" \
    "(rank 1): [0-9]* documents" "copy the same shards"
  begin_hosts
  rm -r "$work/b/model"
  quietly "$ftrun" init --config "$here/identity-untied.json" --seed 6 --out "$work/b/model"
  refused "another model" 65 "the model model is not the same on all ranks" "weights"
  # no checksums, as in models from elsewhere, and one bit that differs, of a tensor of half a kilobyte
  begin_hosts
  python3 - "$work" <<'END'
import json, struct, sys
for host in "ab":
    path = f"{sys.argv[1]}/{host}/model/model.safetensors"
    file = open(path, "rb").read()
    size = struct.unpack("<Q", file[:8])[0]
    header, data = json.loads(file[8 : 8 + size]), bytearray(file[8 + size :])
    header.pop("__metadata__")
    data[header["model.layers.1.post_attention_layernorm.weight"]["data_offsets"][0] + 2] ^= host == "b"
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)
END
  refused "another tensor" 65 "the model model is not the same on all ranks" "copies of model with other times"
  begin_hosts
  rm -r "$work/b/data"
  refused "missing data" 66 "rank 1 (host " "data/train: no such file"
}

# prepares STATUS WORDS...: two hosts make shards of records.jsonl in a folder that both see.
prepares() {
  local status=$1 found=0 words
  shift
  mkdir -p "$work/run"
  rm -rf "$work/run/made"
  mpirun --oversubscribe -np 1 -wdir "$work/a" "$ftrun" prep --model model --input records.jsonl --out run/made : \
    -np 1 -wdir "$work/b" "$ftrun" prep --model model --input records.jsonl --out run/made >"$work/said" 2>&1 </dev/null ||
    found=$?
  must "prep: status $found" [ "$found" -eq "$status" ]
  for words in "$@"; do must prep grep -q -- "$words" "$work/said"; done
  [ "$status" -eq 0 ] || must prep [ ! -e "$work/run/made" ]
}

preparations() {
  begin_hosts
  cp "$work/questions.jsonl" "$work/a/records.jsonl"
  cp "$work/questions.jsonl" "$work/b/records.jsonl"
  touch -d yesterday "$work/b/records.jsonl"
  prepares 0
  tr a e <"$work/questions.jsonl" >"$work/b/records.jsonl"
  prepares 65 "records.jsonl is not the same on all ranks" "(rank 1): [0-9]* bytes, content"
  cp -p "$work/a/records.jsonl" "$work/b"
  sed -i 's/reserved_1/reserved_A/' "$work/b/model/tokenizer.json"
  rm "$work/b/model/ftrun.sha256"
  prepares 65 "what documents are made with is not the same on all ranks" "(rank 1): tokenizer"
}

programs() {
  local program_b=$work/program-b
  begin_hosts
  cp "$ftrun" "$program_b"
  printf '\0' >>"$program_b"
  refused "another build" 64 "the program is not the same on all ranks" "build"
  program_b=$ftrun
  variable_b="env FTRUN_LOGITS_BYTES=65536" refused "a variable" 64 "FTRUN_LOGITS_BYTES is not the same on all ranks" unset 65536
}

run_directories() {
  begin_hosts
  rm "$work/b/run"
  mkdir -p "$work/b/run/checkpoints" "$work/b/run/log"
  refused "a run directory of its own" 78 "rank 1 (host .*run.dir run: this host does not see what rank 0"
}

variable_b=
prepare_broken
configurations
models_and_data
preparations
programs
run_directories
echo "ranks that differ are refused by name; the configuration is rank 0's"
