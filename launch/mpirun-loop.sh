#!/usr/bin/env bash
# Runs a training command until it is finished, on machines without Slurm: again after a stop (status
# 75) and after a crash, and not for ever.
#
#   launch/mpirun-loop.sh [OPTION...] mpirun -np 4 ftrun train CONFIG [KEY=VALUE...]
#
#   -f FRUITLESS  give up after so many attempts in a row that left no newer checkpoint (3)
#   -a ATTEMPTS   give up after so many attempts altogether (100)
#   -p SECONDS    pause after a crash, for networks and daemons to come to rest (5)
#
# A run is finished when its last checkpoint says so: launchers lose statuses (Open MPI 5 ends with 0
# when a host is lost). What another attempt would not change is not tried again: a wrong command line,
# configuration, model or data, numbers that are not finite, too little memory, a run directory that
# another job uses (status 64, 65, 66, 71, 73, 78). An attempt has brought something when the newest
# checkpoint is its own.
#
# TERM, INT (Ctrl-C), HUP, USR1 and USR2 sent to this script reach mpirun as USR1, which stops the
# run with a checkpoint; it is not started again then. A second one ends mpirun at once.
# The status is that of the last attempt; 75 if it was asked to stop.
set -uo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
  exit "$1"
}

fruitless_allowed=3 attempts_allowed=100 pause=5
while getopts +f:a:p:h option; do
  case $option in
    f) fruitless_allowed=$OPTARG ;;
    a) attempts_allowed=$OPTARG ;;
    p) pause=$OPTARG ;;
    h) usage 0 ;;
    *) usage 64 >&2 ;;
  esac
done
shift $((OPTIND - 1))
for number in "$fruitless_allowed" "$attempts_allowed" "1$pause"; do
  case $number in
    *[!0-9]* | "" | 0) echo "mpirun-loop: a number was expected with -f, -a and -p" >&2; exit 64 ;;
  esac
done

# See launch/terminal.sh: no warning of Open MPI 4's event loop when several ranks end at the same time.
# Later versions need not have another loop than that of epoll.
[ $# -gt 0 ] || usage 64 >&2
case $("$1" --version 2>/dev/null | head -n 1) in
  *"(Open MPI) 4."*) export EVENT_NOEPOLL="${EVENT_NOEPOLL:-1}" ;;
esac

# ---- the words after "ftrun train" name the run directory
words=("$@")
train=-1
for i in "${!words[@]}"; do
  if [ "$i" -gt 0 ] && [ "${words[$i]}" = train ]; then train=$i; break; fi
done
if [ "$train" -lt 1 ]; then
  echo "mpirun-loop: there is no \"ftrun train\" in: $*" >&2
  exit 64
fi
ftrun=${words[$((train - 1))]}
run_dir=$("$ftrun" train "${words[@]:$((train + 1))}" --print run.dir) || exit

# Sets step (of the newest committed checkpoint; -1: there is none), finished (yes, no) and attempt
# (the name of the attempt that left it).
look() {
  read -r step finished attempt < <("$ftrun" inspect "$run_dir" --latest) || step=-1 finished=no attempt=-
}

# The command, with a name for this attempt where the words of (the first) ftrun end.
name_attempt() {
  local i
  command=() name=$1
  for i in "${!words[@]}"; do
    [ "$i" -le "$train" ] || [ "${words[$i]}" != : ] || [ -z "$1" ] || { command+=("run.attempt=$1"); set -- ""; }
    command+=("${words[$i]}")
  done
  [ -z "$1" ] || command+=("run.attempt=$1")
}

# ---- signals: a flag, because `wait` returns early when one comes
asked=0 signalled=0 launcher=
pass_on() {
  signalled=1 asked=$((asked + 1))
  [ -n "$launcher" ] || return 0
  if [ "$asked" -eq 1 ]; then
    echo "mpirun-loop: asked to stop; passing it on" >&2
    kill -USR1 "$launcher" 2>/dev/null
  else
    kill -TERM "$launcher" 2>/dev/null
  fi
}
trap pass_on TERM INT HUP USR1 USR2

# Who reads the messages may go away (a closed connection, | head), which ends mpirun itself: it writes to
# a process that lives on, and passes on what can be.
relay() {
  local line
  trap '' PIPE TERM INT HUP USR1 USR2
  while IFS= read -r line; do printf '%s\n' "$line" 2>/dev/null; done
}
trap '' PIPE
if [ -p /dev/stdout ] || [ -p /dev/stderr ]; then exec > >(relay) 2> >(relay >&2); fi

# Job control gives the launcher a process group of its own, so that Ctrl-C reaches only this script:
# mpirun would turn it into a kill.
set -m
number=0 fruitless=0 status=75
while [ "$asked" -eq 0 ]; do
  number=$((number + 1))
  name_attempt "$(uname -n)-$$-$number-$(date +%s)"
  "${command[@]}" </dev/null &
  launcher=$!
  while :; do
    signalled=0
    wait "$launcher"
    status=$?
    [ "$signalled" -eq 1 ] || break
  done
  launcher=
  look
  case $status in
    0) [ "$finished" = no ] || exit 0 ;;
    64 | 65 | 66 | 71 | 73 | 78) exit "$status" ;;
  esac
  [ "$asked" -eq 0 ] || break
  if [ "$attempt" = "$name" ]; then fruitless=0; else fruitless=$((fruitless + 1)); fi
  said="attempt $number ended with status $status and step $step as the newest checkpoint"
  [ "$step" -ge 0 ] || said="attempt $number ended with status $status, without any checkpoint"
  [ "$status" -ne 0 ] || said="$said, which is not the run's end"
  if [ "$fruitless" -ge "$fruitless_allowed" ]; then
    echo "mpirun-loop: $said: giving up, $fruitless in a row brought no step forward" >&2
    exit "$((status == 0 ? 75 : status))"
  fi
  if [ "$number" -ge "$attempts_allowed" ]; then
    echo "mpirun-loop: $said: giving up after $number attempts" >&2
    exit "$((status == 0 ? 75 : status))"
  fi
  echo "mpirun-loop: $said: going on" >&2
  if [ "$status" -ne 75 ] && [ "$pause" -gt 0 ]; then
    sleep "$pause" &
    wait $!
  fi
done
exit 75
