#!/usr/bin/env bash
# Proves that `ftrun gate` ends with 0, 1 or 2 as docs/report.md says, for every name that it lists.
#
#   tests/report/gate.sh FTRUN MAKE_RUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$(realpath "$1") make_run=$(realpath "$2")
num_checked=0

# gate STATUS WORDS ARGUMENTS...: ends with STATUS and says WORDS.
gate() {
  local status=$1 words=$2 found=0
  shift 2
  "$ftrun" gate "$@" >"$work/said" 2>&1 || found=$?
  [ "$found" -eq "$status" ] || { cat "$work/said" >&2; fail "gate $*: status $found, not $status"; }
  grep -qF -- "$words" "$work/said" || { cat "$work/said" >&2; fail "gate $*: not said: $words"; }
  num_checked=$((num_checked + 1))
}

run=$work/run
mkdir "$run"
cat >"$run/metrics.jsonl" <<'END'
{"step":0,"validation":{"questions":{"loss":2.0,"perplexity":7.38905609893065,"targets":10,"accuracy":0.5},"a.b":{"loss":1.0,"perplexity":2.718281828459045,"targets":10}}}
{"step":1,"loss":2.25,"grad_norm":1.5,"lr":0.001,"rewards":{"margin":0.25}}
{"step":2,"loss":2.125,"grad_norm":null,"lr":0.001,"rewards":{"margin":0.5}}
{"step":2,"validation":{"questions":{"loss":1.5,"perplexity":4.4816890703380645,"targets":10,"accuracy":0.875},"a.b":{"loss":1.0625,"perplexity":2.89,"targets":10}}}
{"step":3,"loss":2.0,"grad_norm":2.0,"lr":0.001,"rewards":{"margin":0.75}}
{"step":4,"validation":{"questions":{"loss":1.75,"perplexity":5.754602676005731,"targets":10,"accuracy":0.75},"a.b":{"loss":1.25,"perplexity":3.49,"targets":10}}}
END
echo 2 >"$run/best"

gate 1 'FAILS  forgetting is 0.25 at step 4' "$run" --max forgetting=0.2
gate 0 'holds  forgetting is 0.25 at step 4' "$run" --max forgetting=0.25
gate 0 'holds  forgetting is 0.0625 at step 2' "$run" --max forgetting=0.2 --step best
gate 0 'holds  questions.forgetting is -0.25' "$run" --max questions.forgetting=0
gate 0 'a.b.loss is 1.25' "$run" --max a.b.loss=1.25
gate 1 'FAILS  questions.accuracy is 0.75' "$run" --min questions.accuracy=0.9
gate 0 'questions.accuracy is 0.875 at step 2' "$run" --min questions.accuracy=0.8 --step 2
gate 0 'questions.perplexity is 5.7546' "$run" --max questions.perplexity=6
gate 0 'loss is 2 at step 3' "$run" --max loss=2
gate 0 'rewards.margin is 0.75' "$run" --min rewards.margin=0.7
gate 1 'holds  loss' "$run" --max loss=2 --min rewards.margin=2
gate 1 'FAILS  rewards.margin' "$run" --max loss=2 --min rewards.margin=2
gate 0 'lr is 0.001 at step 1' "$run" --max lr=1e-3 --step 1

gate 2 'there is no number "nosuch" in this run; there are: forgetting, questions.loss' "$run" --max nosuch=1
gate 2 'no evaluation 3' "$run" --max questions.loss=1 --step 3
gate 2 'no evaluation 3' "$run" --max forgetting=1 --step 3
gate 2 'null in the metrics' "$run" --max grad_norm=1 --step 2
gate 2 'no --max and no --min' "$run"
gate 2 'expected NAME=VALUE' "$run" --max loss
gate 2 'expected a number' "$run" --max loss=x
gate 2 'the run directory is missing' --max loss=1
gate 2 'no such run directory' "$work/absent" --max loss=1
gate 2 'expected a step, best or latest' "$run" --max loss=1 --step x
rm "$run/best"
gate 2 'best' "$run" --max loss=1 --step best
sed -i 1d "$run/metrics.jsonl"
gate 2 'forgetting' "$run" --max forgetting=1
printf 'x\n' >>"$run/metrics.jsonl"
gate 2 'metrics.jsonl:6' "$run" --max loss=1
echo "$num_checked gates opened and shut as they should"
