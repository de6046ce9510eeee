# What the launch scripts share: how they speak, and the environment of MPI programs. Sourced.

if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
  bold='' dim='' red='' green='' plain=''
fi

# A stage of the work, with the time since the script began.
stage() {
  printf '\n%s== %s%s %s(%d s)%s\n' "$bold" "$*" "$plain" "$dim" "$SECONDS" "$plain"
}

say() {
  printf '%s\n' "$*"
}

say_error() {
  printf '%s%s%s\n' "$red" "$*" "$plain" >&2
}

# Open MPI refuses root unless told twice, and ranks that share cores must yield when idle. Ranks
# are not bound to cores: ftrun itself divides a node's cores among its ranks.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_hwloc_base_binding_policy=none
# mpirun's event loop warns of a closed file now and then when several ranks end a job at the same time
# (one abort in forty, measured); with poll(2) instead of epoll it does not. That is Open MPI 4's; a build
# of Open MPI 5 may have no loop but epoll's, and does not start with this.
case $(mpirun --version 2>/dev/null | head -n 1) in
  *"(Open MPI) 4."*) export EVENT_NOEPOLL=1 ;;
esac
