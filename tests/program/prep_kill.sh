#!/usr/bin/env bash
# Proves that a preparation that is killed, at any moment, goes on with the pieces that it had made,
# on another number of ranks, and comes to the bytes of the one that nothing stopped; that nothing is
# in OUT before all of it is; and that 1, 2 and 3 ranks come to the same bytes.
#
#   tests/program/prep_kill.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2

prepare() {
  quietly "$ftrun" init --config "$here/identity-untied.json" --seed 5 --out "$work/model"
  mkdir "$work/input"
  for i in $(seq 10 33); do "$sample_data" questions 120 "$i" >"$work/input/$i.jsonl"; done
  for i in 1 2 3; do printf '{"prompt":"%s?","chosen":"yes","rejected":"no"}\n' "$i" "$i$i"; done \
    >"$work/input/pairs.jsonl"
}

# prep RANKS [OPTION...]: to $work/out; what was said goes to $work/said; returns the status.
prep() {
  local ranks=$1 status=0
  shift
  on_ranks "$ranks" "$ftrun" prep --model "$work/model" --input "$work/input" --out "$work/out" --clean \
    --rule near_duplicates=drop --rule contamination=drop "$@" >"$work/said" 2>&1 </dev/null || status=$?
  return "$status"
}

# sum: of the names and bytes of all that is in OUT.
sum() {
  (cd "$work/out" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
}

# whole NAME: OUT is what it is without faults, and nothing is left beside it.
whole() {
  [ "$(sum)" = "$wanted" ] || fail "$1: other bytes"
  [ ! -e "$work/out.prep" ] && [ ! -e "$work/out/.prep" ] || fail "$1: the work folder is left"
  rm -rf "$work/out"
}

# killed NAME FAULT RANKS: by the program itself, at a place; then it goes on.
killed() {
  local status=0
  FT_FAULT=$2 prep 1 || status=$?
  [ "$status" -eq 137 ] || fail "$1: status $status"
  [ ! -d "$work/out/train" ] || fail "$1: something is in OUT"
  prep "$3" || { cat "$work/said" >&2; fail "$1: does not go on"; }
  grep -Eq "going on with an interrupted preparation: $4 of 25 pieces" "$work/said" || fail "$1: begins anew"
  whole "$1"
}

# From outside, wherever it is just then.
killed_at_random() {
  local process
  "$ftrun" prep --model "$work/model" --input "$work/input" --out "$work/out" --clean \
    --rule near_duplicates=drop --rule contamination=drop >"$work/said" 2>&1 </dev/null &
  process=$!
  until ls "$work"/out.prep/piece-*.json >"$work/ls" 2>&1 || ! kill -0 $process 2>"$work/ls"; do sleep 0.01; done
  kill -9 $process 2>"$work/ls" || true
  wait $process 2>"$work/ls" || true
  rm -f "$work/lock"
  [ -d "$work/out" ] || prep 2 || { cat "$work/said" >&2; fail "killed from outside: does not go on"; }
  whole "killed from outside"
}

# In an OUT with other shards, while sets are put into their places.
killed_while_replacing() {
  local status=0
  for at in 1 3 4 5; do
    status=0
    prep 1 --seed 7 --overwrite || fail "other shards are not made"
    FT_FAULT="prep.commit@$at=kill" prep 1 --overwrite || status=$?
    [ "$status" -eq 137 ] || fail "killed while replacing: status $status"
    prep 1 || { cat "$work/said" >&2; fail "killed while replacing: does not go on"; }
    whole "killed while replacing ($at)"
  done
}

prepare
prep 1
wanted=$(sum)
rm -rf "$work/out"
for ranks in 2 3; do
  prep $ranks
  whole "$ranks ranks"
done
killed "killed after a piece" prep.piece@1=kill 2 1
killed "killed after many" prep.piece@17=kill 3 17
killed_at_random
killed_while_replacing
echo "killed preparations went on and came to the same bytes"
