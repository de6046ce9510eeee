# What the tests of broken runs share: a small run, what it gives when nothing breaks it, and the
# proof that a broken one, resumed, gives the same. Sourced after common.sh with the arguments of the
# test: FTRUN SAMPLE_DATA.
ftrun=$1 sample_data=$2 num_good=0

prepare() {
  quietly "$ftrun" init --config "$here/identity-untied.json" --seed 5 --out "$work/model"
  prepare_run "$work/model" 7 "$work/run"
}

# remembered RUN: what the newest checkpoint carries beside the weights, but for times.
remembered() {
  sed -n '/"extra"/,/}/p' "$(ls -d "$1"/checkpoints/*/manifest.json | tail -1)" |
    sed "s/,$//; /checkpoint_seconds/d"
}

# train RANKS [KEY=VALUE...]: what was said goes to $work/said; returns the status.
train() {
  local ranks=$1 status=0
  shift
  on_ranks "$ranks" timeout 100 "$ftrun" train "$work/config.json" "$@" >"$work/said" 2>&1 \
    </dev/null || status=$?
  return "$status"
}

# must NAME CONDITION...: the condition holds, or the test ends with what the run said.
must() {
  local name=$1
  shift
  "$@" || { cat "$work/said" >&2; fail "$name: not so: $*"; }
}

# equals RUN: a finished run has the metrics, the best step, the bookkeeping and the weights of the
# unbroken one.
equals() {
  essence "$1" | diff "$work/wanted" - >&2 && cmp "$work/wanted-best" "$1/best" >&2 &&
    remembered "$1" | diff "$work/wanted-remembered" - >&2 &&
    [ "$(export_sum "$1")" = "$wanted_sum" ]
}

# go_on NAME RANKS: the stopped run, resumed, equals the unbroken one.
go_on() {
  local name=$1 ranks=$2
  must "$name, going on" train "$ranks"
  essence "$work/run" >"$work/found"
  diff "$work/wanted" "$work/found" >&2 || fail "$name: metrics differ from the unbroken run's"
  [ "$(export_sum "$work/run")" = "$wanted_sum" ] || fail "$name: exported weights differ"
  cmp -s "$work/wanted-best" "$work/run/best" || fail "$name: best differs"
  remembered "$work/run" | diff "$work/wanted-remembered" - >&2 || fail "$name: the checkpoints differ"
  rm -rf "$work/run"
  num_good=$((num_good + 1))
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}

# newest: the step of the newest committed checkpoint, 0 if there is none.
newest() {
  ls -d "$work"/run/checkpoints/*/manifest.json 2>/dev/null | tail -1 |
    sed -E 's/.*step-0*([0-9]+).*/\1/'
}

# The unbroken run, which the others must equal.
prepare_broken() {
  prepare
  must "unbroken run" train 1
  essence "$work/run" >"$work/wanted"
  wanted_sum=$(export_sum "$work/run")
  cp "$work/run/best" "$work/wanted-best"
  remembered "$work/run" >"$work/wanted-remembered"
  rm -rf "$work/run"
}
