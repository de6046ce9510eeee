#!/usr/bin/env bash
# A training run on several machines without Slurm, until it is finished (launch/mpirun-loop.sh).
#
#   launch/mpirun-hostfile.sh HOSTS CONFIG [KEY=VALUE...]
#
# HOSTS is a file with one host a line (launch/hosts.example); the ranks are its slots. Each host has
# the program, the libraries and the paths of the configuration at the same places, and lets this
# user in by ssh without a password. FTRUN is the program (ftrun, to be found on the path).
#
# A host that falls off the network ends the attempt within half a minute, and the next one begins:
# it fails while the host is away, so take it out of the file, or let it come back. Any number of
# ranks can go on with a run.
set -euo pipefail

if [ $# -lt 2 ] || [ ! -r "$1" ]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  [ $# -lt 2 ] || echo "mpirun-hostfile: cannot read \"$1\"" >&2
  exit 64
fi
hosts=$1
shift

# mpirun asks every connection for a sign of life: by default only after five minutes, here after 10 s,
# then every 2 s, five times. Ranks that share a core must yield to each other while they wait.
export OMPI_MCA_oob_tcp_keepalive_time="${OMPI_MCA_oob_tcp_keepalive_time:-10}"
export OMPI_MCA_oob_tcp_keepalive_intvl="${OMPI_MCA_oob_tcp_keepalive_intvl:-2}"
export OMPI_MCA_oob_tcp_keepalive_probes="${OMPI_MCA_oob_tcp_keepalive_probes:-5}"
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
exec "$(dirname "$0")/mpirun-loop.sh" mpirun --hostfile "$hosts" --bind-to none \
  "${FTRUN:-ftrun}" train "$@"
