#!/usr/bin/env bash
# Proves that launch/slurm/ftrun.sbatch, as shipped, brings a run to its end under a real Slurm whatever
# ends its attempts: a preemption by a job of higher priority, the time limit, `scontrol requeue`, a
# node that falls off the network, also the one with rank 0; with srun and with mpirun. Each run ends
# equal to the unbroken one. And that it does not try for ever, nor again what cannot succeed.
#
#   tests/cluster/slurm.sh FTRUN SAMPLE_DATA CLUSTER_SCRIPTS
#
# CLUSTER_SCRIPTS has hosts-up, slurm-up and their counterparts: hosts in network namespaces and a
# private Slurm on them, started here and ended here. Skipped (77) where something for it is missing.
. "$(dirname "$0")/../program/common.sh"
. "$root/tests/program/broken.sh"
. "$root/tests/cluster/hosts.sh"
need_programs slurmctld slurmd srun sbatch munged
begin_hosts "$3" 18 10.78.0
trap end_slurm EXIT

# Ending the hosts ends Slurm's daemons there, faster than they end themselves.
end_slurm() {
  keep_work=yes end_hosts
  [ ! -e "$work/slurm/slurm.conf" ] || slurm-down "$work/slurm" >/dev/null 2>&1
  rm -rf "$work"
}

start_slurm() {
  slurm-up -d "$work/slurm" -H "$work/hosts" -p 18100 -c 2 >"$work/said" 2>&1 ||
    skip "Slurm does not start here: $(tail -n 1 "$work/said")"
  # a node is given up after some seconds of silence instead of a minute
  sed -i 's/^SlurmdTimeout=.*/SlurmdTimeout=6\nMessageTimeout=5/' "$work/slurm/slurm.conf"
  on_head scontrol reconfigure
}

on_head() {
  "$work/slurm/in-head" "$@"
}

# What the jobs run: ftrun, in the first attempt with the faults of $fault.
make_program() {
  cat >"$work/ftrun" <<END
#!/bin/sh
[ "\$SLURM_RESTART_COUNT" = "" ] || unset FT_FAULT
exec "$ftrun" "\$@"
END
  chmod +x "$work/ftrun"
}

# submit NAME LAUNCHER SBATCH-OPTION... [-- KEY=VALUE...]
submit() {
  local name=$1 launcher=$2 options=()
  shift 2
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  job_of[$name]=$(FTRUN=$program FTRUN_LAUNCHER=$launcher FTRUN_FRUITLESS=2 FT_FAULT=$fault on_head \
    sbatch --parsable -p low -o "$work/$name.log" "${options[@]}" \
    "$root/launch/slurm/ftrun.sbatch" "$work/config.json" run.dir="$work/$name" "$@")
}

has_finished_step() {
  grep -q "\"step\":$2,\"loss\"" "$work/$1/metrics.jsonl" 2>/dev/null
}

# State of a job (of its first part), as COMPLETED, PENDING …
state_of() {
  on_head scontrol -o show job "${job_of[$1]}" | sed -E '1!d; s/.* JobState=([A-Z_]+).*/\1/'
}

is_over() {
  case $(state_of "$1") in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL) ;; *) false ;; esac
}

broke() {
  cat "$work/$1.log" >&2
  tail -n 20 "$work/slurm/log/slurmctld.log" >&2
  fail "$1: $2"
}

# came_through NAME [CAUSE]: the job was started again (its first attempt was stopped by CAUSE),
# finished, and equals the unbroken run.
came_through() {
  local name=$1 cause=${2:-}
  wait_for 150 is_over "$name" || broke "$name" "not over, but $(state_of "$name")"
  [ "$(state_of "$name")" = COMPLETED ] || broke "$name" "ended as $(state_of "$name")"
  grep -q "attempt 2 of at most" "$work/$name.log" || broke "$name" "was never started again"
  [ -z "$cause" ] || grep -q "stopped by $cause" "$work/$name.log" ||
    broke "$name" "was not stopped by $cause"
  equals "$work/$name" || broke "$name" "does not equal the unbroken run"
  num_good=$((num_good + 1))
}

submit_all() {
  local program=$work/ftrun fault="forward=slow:1"
  submit preempted srun -N 2 -w h1,h2 --signal=B:USR1@30
  submit preempted-mpirun mpirun -N 2 -w h3,h4 --signal=B:USR1@30
  submit requeued srun -N 2 -w h5,h6
  submit requeued-mpirun mpirun -N 2 -w h7,h8
  submit lost-node srun -N 2 -x h[1-8,12-14,18]
  submit lost-first-node srun -N 2 -x h[1-8,12-14,18]
  # a minute is Slurm's shortest limit; it looks twice a minute which jobs to warn, and so early
  fault="forward=slow:3"
  submit time-limit mpirun -N 2 -w h12,h13 -t 1 --signal=B:USR1@55
  submit time-limit-unwarned mpirun -N 1 -w h18 -t 1 --signal=B:CONT@1
  fault=""
  submit mistaken srun -N 1 -w h14 -- model.path="$work/nothing"
  program=$ftrun fault="forward@1=usr1"
  submit nowhere srun -N 1 -w h14
}

# The events, each once its run has something to lose.
break_them() {
  local name
  for name in preempted preempted-mpirun requeued requeued-mpirun lost-node lost-first-node; do
    wait_for 60 has_finished_step "$name" 1 || broke "$name" "did not begin"
  done
  on_head sbatch -p high -N 4 -w h1,h2,h3,h4 -o /dev/null --wrap "sleep 1" >"$work/said"
  on_head scontrol requeue "${job_of[requeued]}"
  on_head scontrol requeue "${job_of[requeued-mpirun]}"
  cut_host "$(nodes_of lost-node | tail -n 1)"
  cut_host "$(nodes_of lost-first-node | head -n 1)"
}

# The numbers of a job's hosts.
nodes_of() {
  on_head scontrol show hostnames "$(on_head squeue -h -j "${job_of[$1]}" -o %N)" | tr -d h
}

# What cannot succeed is not tried again; what never comes anywhere, once more.
not_for_ever() {
  wait_for 60 is_over mistaken || broke mistaken "not over, but $(state_of mistaken)"
  grep -q "attempt 1 ended with status 66" "$work/mistaken.log" || broke mistaken "another status"
  ! grep -q "queued again" "$work/mistaken.log" || broke mistaken "was tried again"
  wait_for 60 is_over nowhere || broke nowhere "not over, but $(state_of nowhere)"
  grep -q "giving up: 2 attempts in a row" "$work/nowhere.log" || broke nowhere "did not give up"
}

# Of an array of two runs, the last task (whose job number is the array's own) is asked to stop: it is
# queued again, and its sibling goes on.
siblings_stay() {
  local program=$ftrun fault="forward=slow:0.3" job k
  job=$(FTRUN=$program FT_FAULT=$fault on_head sbatch --parsable -p low -N 1 -w h14 --array=0-1 -t 60 \
    -o "$work/array-%a.log" "$root/launch/slurm/ftrun.sbatch" "$work/config.json" "run.dir=$work/array-%a")
  for k in 0 1; do
    wait_for 60 has_finished_step "array-$k" 1 || { cat "$work/array-$k.log" >&2; fail "array: task $k did not begin"; }
  done
  on_head scancel --batch --signal=USR1 "${job}_1"
  wait_for 60 grep -q "attempt 2 of at most" "$work/array-1.log" || { cat "$work/array-1.log" >&2; fail "array: not queued again"; }
  for k in 0 1; do
    job_of[array-$k]=${job}_$k
    wait_for 100 is_over "array-$k" || broke "array-$k" "not over"
    equals "$work/array-$k" || broke "array-$k" "does not equal the unbroken run"
    num_good=$((num_good + 1))
  done
  ! grep -q "attempt 2" "$work/array-0.log" || broke array-0 "its sibling's requeue ended it"
}

# The parts of a heterogeneous job are one run; asked to stop, all of it is queued again. mpirun sees the
# first part only.
parts_are_one() {
  local program=$work/ftrun fault="forward=slow:1"
  job_of[parts]=$(FTRUN=$program FT_FAULT=$fault on_head sbatch --parsable -p low -t 60 -o "$work/parts.log" -N 1 -w h1 : \
    -N 2 -w h2,h3 --ntasks-per-node=1 "$root/launch/slurm/ftrun.sbatch" "$work/config.json" run.dir="$work/parts")
  job_of[by-mpirun]=$(FTRUN=$ftrun FTRUN_LAUNCHER=mpirun on_head sbatch --parsable -p low -o "$work/by-mpirun.log" -N 1 -w h4 : \
    -N 1 -w h5 "$root/launch/slurm/ftrun.sbatch" "$work/config.json" run.dir="$work/by-mpirun")
  wait_for 60 has_finished_step parts 1 || broke parts "did not begin"
  grep -q "3 ranks on 3 nodes" "$work/parts.log" || broke parts "has other ranks than nodes"
  on_head scancel --batch --signal=USR1 "${job_of[parts]}"
  came_through parts SIGUSR1
  wait_for 60 is_over by-mpirun || broke by-mpirun "not over"
  grep -q "of 2 parts: mpirun sees the first only" "$work/by-mpirun.log" || broke by-mpirun "was not refused"
}

# The same job twice: the second is refused once, and not tried again on the first one's checkpoints.
twice() {
  local program=$ftrun fault="forward=slow:0.3"
  submit first srun -N 1 -w h14 -- run.dir="$work/shared"
  wait_for 60 has_finished_step shared 1 || broke first "did not begin"
  submit second srun -N 1 -w h13 -- run.dir="$work/shared"
  wait_for 60 is_over second || broke second "not over, but $(state_of second)"
  grep -q "attempt 1 ended with status 73" "$work/second.log" || broke second "another status"
  ! grep -q "queued again" "$work/second.log" || broke second "was tried again"
  wait_for 100 is_over first || broke first "not over"
  equals "$work/shared" || broke first "does not equal the unbroken run"
  num_good=$((num_good + 1))
}

# An interactive shell of several tasks: what is started from it is one process.
by_hand() {
  # the shells of the other tasks have no terminal, and end
  printf '[ "$SLURM_PROCID" = 0 ] || exit 0\n%s inspect %s\n%s train %s run.dir=%s\n' "$ftrun" "$work/model" \
    "$ftrun" "$work/config.json" "$work/by-hand" >"$work/typed"
  on_head timeout 100 script -qec "srun -p low -N1 -n2 -w h14 --pty bash $work/typed" /dev/null </dev/null \
    >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "a shell of srun: status $?"; }
  equals "$work/by-hand" || fail "a shell of srun: the run does not equal the unbroken one"
  num_good=$((num_good + 1))
}

declare -A job_of
prepare_broken
make_program
start_slurm
submit_all
break_them
for name in preempted preempted-mpirun; do came_through "$name" SIGUSR1; done
came_through time-limit "the time limit"
grep -q "USR1 came .* before the limit, of which most is left" "$work/time-limit.log" || broke time-limit "was not warned"
for name in requeued requeued-mpirun lost-node lost-first-node; do came_through "$name"; done
came_through time-limit-unwarned "the time limit"
not_for_ever
siblings_stay
parts_are_one
twice
by_hand
echo "$num_good jobs came through and equal the unbroken run"
