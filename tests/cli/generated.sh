#!/usr/bin/env bash
# Proves that what is generated from the argument tables can be used: manual pages without a warning
# of groff, a bash completion that completes commands, options, values, keys and files with spaces in
# their names, a zsh completion that zsh can read. Where groff or zsh are missing, their part is left out.
#
#   tests/cli/generated.sh FTRUN
. "$(dirname "$0")/../program/common.sh"
ftrun=$1
commands=$("$ftrun" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')

# ---- manual pages
for command in "" $commands; do
  "$ftrun" help --man $command >"$work/page"
  grep -q '^\.TH "FTRUN' "$work/page" || fail "no manual page of $command"
  if command -v groff >/dev/null && command -v preconv >/dev/null; then
    groff -k -man -Tutf8 -ww "$work/page" >"$work/shown" 2>"$work/said"
    [ ! -s "$work/said" ] || { cat "$work/said" >&2; fail "groff warns of the page of \"$command\""; }
  else
    cp "$work/page" "$work/shown"
  fi
  for option in $([ -z "$command" ] || "$ftrun" "$command" --help | sed -nE 's/^ +(-., )?--([a-z-]+).*/\2/p'); do
    grep -qF -- "${option//-/\\-}" "$work/page" || fail "the page of $command does not tell of --$option"
  done
done
"$ftrun" help --man train >"$work/page"
grep -qF 'train.global_batch' "$work/page" || fail "the page of train does not tell of keys"

# ---- bash
"$ftrun" help --completion=bash >"$work/ftrun.bash"
bash -n "$work/ftrun.bash"
num_completed=0
# completes "WORDS..." EXPECTED...: the last word becomes each of these.
completes() {
  local line=$1 expected found
  shift
  found=$(cd "$work/files" && bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ftrun
    printf "%s\n" "${COMPREPLY[@]}"' - "$work/ftrun.bash" $line "${last-}" 2>&1)
  for expected in "$@"; do
    grep -qxF -- "$expected" <<<"$found" || { printf '%s\n' "$found" >&2; fail "\"$line ${last-}\" is not completed to $expected"; }
  done
  num_completed=$((num_completed + 1))
}
mkdir -p "$work/files/a folder"
touch "$work/files/a file.json"
last=tr completes ftrun train
last= completes ftrun train eval prep help --version
last=--ch completes 'ftrun train' --check
last=train.st completes 'ftrun train x.json' train.steps=
last=a completes 'ftrun train' 'a file.json' 'a folder'
last=a completes 'ftrun export x --out' 'a folder'
last= completes 'ftrun export x --dtype' bf16 fp32
last=b completes 'ftrun export x --step' best
last=ex completes 'ftrun help' export
[ "$num_completed" -eq 9 ] || fail "only $num_completed completions were tried"

# ---- zsh
"$ftrun" help --completion=zsh >"$work/_ftrun"
for command in $commands; do
  grep -q "^    $command)$" "$work/_ftrun" || fail "zsh: no case for $command"
done
! command -v zsh >/dev/null || zsh -n "$work/_ftrun"

# ---- what is refused
for words in '--completion fish' '--man nosuch' 'train eval'; do
  found=0
  "$ftrun" help $words >"$work/said" 2>&1 || found=$?
  [ "$found" -eq 64 ] || fail "help $words: status $found"
done
echo "$(wc -w <<<"$commands") commands have manual pages and completions"
