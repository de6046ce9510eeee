# What the end-to-end tests share. Sourced with the paths of ftrun (and others) as arguments.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/launch/terminal.sh"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

work=$(mktemp -d "${TMPDIR:-/tmp}/ftrun-program.XXXXXX")
trap 'rm -rf "$work"' EXIT

# fail MESSAGE...: ends the test.
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# quietly COMMAND...: shows what the command said only if it fails; returns its status.
quietly() {
  local status=0
  "$@" >"$work/said" 2>&1 </dev/null || status=$?
  [ "$status" -eq 0 ] || { printf '%s\n' "$*"; cat "$work/said"; } >&2
  return "$status"
}

# on_ranks N COMMAND...: one rank runs without mpirun, as every command can.
on_ranks() {
  local ranks=$1
  shift
  if [ "$ranks" -eq 1 ]; then "$@"; else mpirun --oversubscribe -np "$ranks" "$@"; fi
}
