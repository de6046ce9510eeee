#!/usr/bin/env bash
# Proves that output that cannot be written ends nothing: with a reader that has gone away (`| head`, a
# closed connection) or a full device, train, prep, init and export do all that they were asked for; the
# commands whose output is the result end with status 74 and say so.
#
#   tests/program/output.sh FTRUN SAMPLE_DATA
. "$(dirname "$0")/common.sh"
ftrun=$1 sample_data=$2

# unread STATUS COMMAND...: neither standard output nor error has a reader when the command begins.
unread() {
  local status=$1 found=0
  shift
  (trap - PIPE; sleep 0.1; exec "$@") </dev/null > >(exec true) 2> >(exec true) || found=$?
  [ "$found" -eq "$status" ] || fail "without a reader: $*: status $found, not $status"
}

# full STATUS COMMAND...: standard output goes to a device that is full.
full() {
  local status=$1 found=0
  shift
  "$@" >/dev/full 2>"$work/said" </dev/null || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/said" >&2; fail "a full device: $*: status $found, not $status"; }
}

# result COMMAND...: what is printed is the result.
result() {
  unread 74 "$@"
  full 74 "$@"
  says 'error: .*standard output cannot be written to'
}

"$sample_data" questions 24 3 >"$work/questions.jsonl"
unread 0 "$ftrun" init --config "$here/identity-tied.json" --seed 5 --out "$work/model"
unread 0 "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/data" --validation 0.5
full 0 "$ftrun" prep --model "$work/model" --input "$work/questions.jsonl" --out "$work/other"

cat >"$work/config.json" <<END
{"model": {"path": "$work/model"},
 "data": {"train": [{"path": "$work/data/train"}],
          "validation": [{"name": "questions", "path": "$work/data/validation"}],
          "seq_len": 300},
 "train": {"global_batch": 4, "micro_batch": 2, "steps": 2},
 "optimizer": {"lr": 1e-3},
 "run": {"dir": "$work/run", "seed": 9}}
END
unread 0 "$ftrun" train "$work/config.json"
[ "$("$ftrun" inspect "$work/run" --latest | cut -d' ' -f1,2)" = "2 yes" ] || fail "the run is not finished"
unread 0 "$ftrun" export "$work/run" --out "$work/exported"
expect 0 "$ftrun" inspect "$work/exported"
unread 0 "$ftrun" gate "$work/run" --max questions.loss=50
result "$ftrun" eval "$work/config.json"
result "$ftrun" generate --model "$work/exported" --prompt Bram --max-tokens 3
result "$ftrun" tokenize --model "$work/model" --chat "$work/questions.jsonl"
result "$ftrun" inspect "$work/run"
result "$ftrun" inspect "$work/run" --latest
result "$ftrun" status "$work/run"
result "$ftrun" train "$work/config.json" --print run.dir
result "$ftrun" help train.steps
full 74 "$ftrun" --version
echo "what cannot be written ended nothing"
