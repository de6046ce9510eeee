#!/usr/bin/env bash
# Installs the Debian packages that ftrun needs, and nothing else.
#
#   launch/install.sh          what building and running needs
#   launch/install.sh tests    that, and what the tests need
#   launch/install.sh cluster  that, and a Slurm for the tests that start a private one; its services
#                              are neither started nor enabled
#
# Asks apt only for what is missing, so a second run changes nothing. Works as root, or as a user
# who may use sudo. Made for Debian 12.
set -euo pipefail
. "$(dirname "$0")/terminal.sh"

packages=(
  build-essential meson ninja-build pkg-config # the compiler and the build
  libopenmpi-dev openmpi-bin                   # MPI
  libdnnl-dev libopenblas-dev                  # matrix products in bf16 and f32
  libhdf5-dev libcjson-dev                     # files
  zlib1g-dev libzstd-dev                       # compressed data
  libhwloc-dev                                 # which cores belong to which rank
  libpcre2-dev libutf8proc-dev                 # tokenizers
  libxxhash-dev libmd-dev                      # checksums
)
tests=(
  libcmocka-dev                      # unit tests
  clang libomp-dev                   # the second compiler
  libclang-rt-dev                    # its sanitizers and libFuzzer
  python3                            # the layer check (standard library only)
  procps                             # pgrep and pkill: signals to single ranks
  groff zsh man-db dpkg-dev          # manual pages, completions and the Debian package are read
  environment-modules                # and the module file
)
cluster=(
  slurmctld slurmd slurm-client      # Slurm
  slurm-wlm-basic-plugins libpmix2   # how srun starts ranks
  munge                              # who is who
  iproute2                           # hosts in network namespaces
)
services=() # that come with the packages and are not to run

case "${1:-}" in
  "") ;;
  tests) packages+=("${tests[@]}") ;;
  cluster) packages+=("${tests[@]}" "${cluster[@]}"); services=(munge slurmctld slurmd) ;;
  *) say_error "install.sh: \"$1\" is not known; give nothing, \"tests\" or \"cluster\""; exit 64 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  say_error "This machine has no apt-get. ftrun's scripts install Debian packages; on other systems" \
    "install the counterparts of: ${packages[*]}"
  exit 69
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  say "All ${#packages[@]} Debian packages are installed."
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  as_root=(env)
elif command -v sudo >/dev/null; then
  as_root=(sudo env)
else
  say_error "Installing needs root: run this as root or install sudo. Missing: ${missing[*]}"
  exit 77
fi

# Packages ask this file whether they may start services; where there is one, it is the machine's.
policy=/usr/sbin/policy-rc.d
if [ ${#services[@]} -gt 0 ] && [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
log=$(mktemp "${TMPDIR:-/tmp}/ftrun-install.XXXXXX")
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
  apt-get -y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
# A package list that is hours old may name files that are gone: it is fetched anew each time.
if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  say_error "apt-get failed; its whole output is in $log"
  exit 69
fi
rm -f "$log"
for service in "${services[@]}"; do
  case " ${missing[*]} " in
    *" $service "*) "${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1 || true ;;
  esac
done
say "Installed."
