#!/usr/bin/env bash
# Proves that every family trains as in transformers: losses, gradient norms and exported weights of
# the references, under the names and with the keys that were read, and the first gradient of each
# tensor; and that each key of config.json means what it means there: changed configs give the
# validation losses that transformers gives.
#
#   tests/program/families.sh FTRUN COMPARE_RUN RANKS FOLDER [FAMILY...]
#
# FOLDER holds a reference for each family: a model directory with train.h5, val.h5, expected.json and
# final.safetensors. Without it the test is skipped.
. "$(dirname "$0")/common.sh"
ftrun=$1 compare=$2 ranks=$3 folder=$4
shift 4
[ -d "$folder" ] || { echo "$folder is not there: skipped"; exit 77; }
[ $# -gt 0 ] || set -- $(ls "$folder")

# Families whose parts are not built yet, with what names them.
not_built=" gpt_oss mixtral qwen3_5-nested qwen3_5_text qwen3_moe qwen3_moe-raw "

# objective NAME: the override that makes a run learn what the reference's does.
objective() {
  case $1 in
    *-mlm) echo objective.name=masked-tokens ;;
    *-classes) echo objective.name=classes ;;
  esac
}

# first_gradients NAME REFERENCE: of each tensor, from a step that every weight can be asked about.
first_gradients() {
  quietly "$ftrun" train "$work/config.json" $(objective "$1") run.dir="$run-first" train.steps=1 \
    optimizer.lr=100 optimizer.eps=1 'optimizer.betas=[0,0]' optimizer.weight_decay=0
  quietly "$ftrun" export "$run-first" --out "$run-first-export" --dtype fp32
  "$compare" gradients "$2" "$run-first" "$run-first-export" && rm -rf "$run-first" "$run-first-export"
}

num_checked=0
for name in "$@"; do
  reference=$folder/$name run=$work/$name
  [ -f "$reference/expected.json" ] || continue
  case $not_built in
    *" $name "*)
      "$ftrun" inspect "$reference" >"$work/said" 2>&1 && fail "$name is not refused"
      grep -q 'is not supported' "$work/said" || fail "$name is refused without a reason"
      continue ;;
  esac
  "$compare" config "$reference" "$run" >"$work/config.json"
  quietly on_ranks "$ranks" "$ftrun" train "$work/config.json" $(objective "$name")
  quietly "$ftrun" export "$run" --out "$run-export" --dtype fp32
  printf '%s, %s ranks: ' "$name" "$ranks"
  "$compare" check "$reference" "$run" "$run-export" || fail "$name on $ranks ranks"
  python3 "$here/families.py" form "$reference" "$run-export" || fail "$name: the export's form"
  if [ "$ranks" -eq 1 ]; then
    first_gradients "$name" "$reference" || fail "$name: first gradients"
    python3 "$here/families.py" keys "$ftrun" "$reference" "$work/config.json" "$work/changed" \
      $(objective "$name") || fail "$name: a key of config.json"
  fi
  rm -rf "$run" "$run-export"
  num_checked=$((num_checked + 1))
done
[ "$num_checked" -gt 0 ] || fail "no reference was found"
echo "families: $num_checked checked"
