# Hosts in network namespaces, for the tests that need several. Sourced after common.sh.

# skip REASON...: this test cannot run here.
skip() {
  printf 'skipped: %s\n' "$*" >&2
  exit 77
}

need_programs() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "there is no $program (launch/install.sh cluster)"
  done
}

# begin_hosts SCRIPTS NUMBER NET: hosts h1… in $work/hosts, NET.1…; ended by end_hosts.
begin_hosts() {
  [ -x "$1/hosts-up" ] || skip "there is no hosts-up in \"$1\""
  [ "$(id -u)" -eq 0 ] || skip "network namespaces need root"
  need_programs ip tc nsenter unshare
  PATH=$PATH:$(cd "$1" && pwd)
  trap end_hosts EXIT
  hosts-up "$2" -d "$work/hosts" -n "$3" >"$work/said" 2>&1 ||
    skip "no network namespaces here: $(tail -n 1 "$work/said")"
}

# Kills what runs on the hosts, so that hosts-down need not wait for it.
end_hosts() {
  local process name
  if [ -e "$work/hosts/hosts.env" ]; then
    for process in /proc/[0-9]*; do
      for name in "$work"/hosts/ns/*.net; do
        [ ! "$process/ns/net" -ef "$name" ] || kill -KILL "${process#/proc/}" 2>/dev/null || true
      done
    done
    hosts-down "$work/hosts" --rm >/dev/null 2>&1
  fi
  [ -n "${keep_work:-}" ] || rm -rf "$work"
}

# The link of a host goes down; what runs there runs on.
cut_host() {
  nsenter --net="$work/hosts/ns/h0.net" -- ip link set "p$1" down
}
