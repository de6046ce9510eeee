#!/usr/bin/env bash
# From a bare Debian 12 to a fine-tuned model in a few minutes, with every number printed.
#
#   launch/quickstart.sh [RANKS]        2 ranks unless told
#
# Installs Debian packages, builds ftrun, makes sample texts and a small random byte-level model,
# trains it on stories, then fine-tunes it on questions mixed with some of the stories, and shows
# what was learnt, what was forgotten, and answers before and after. Everything it makes lies in
# runs/quickstart, which a second run makes anew.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/terminal.sh

ranks=${1:-2}
case "$ranks" in
  *[!0-9]* | "" | 0) say_error "quickstart.sh: \"$ranks\" is not a number of ranks"; exit 64 ;;
esac
here=runs/quickstart
ftrun=build/src/cli/ftrun

# Asked before and after; none of them is in the training data.
prompts=(
  "Bram has 6 apples and finds 7 more. How many apples does he have?"
  "Mara is at the mill. Bram carries a lamp. What does Bram carry?"
  "What is the opposite of blunt?"
  "What is 7 plus 8?"
)

# show COMMAND...: prints it as one would type it, and runs it.
show() {
  printf '%s$ %s%s\n' "$dim" "$*" "$plain"
  "$@"
}

# validation_loss RUN SET first|last: from the run's metrics.
validation_loss() {
  awk -v set="\"$2\":{\"loss\":" -v which="$3" '
    /"validation"/ && (at = index($0, set)) {
      value = substr($0, at + length(set))
      sub(/[,}].*/, "", value)
      if (which == "last" || found == "") found = value
    }
    END { printf "%.3f", found }' "$1/metrics.jsonl"
}

# tokens_per_second RUN: over all steps but the first, which also warms caches up.
tokens_per_second() {
  awk '/"grad_norm"/ {
      t = s = $0
      sub(/.*"tokens":/, "", t); sub(/.*"seconds":/, "", s)
      if (steps++) { tokens += t + 0; seconds += s + 0 }
    }
    END { if (seconds > 0) printf "%.0f", tokens / seconds; else printf "0" }' "$1/metrics.jsonl"
}

# answers MODEL: fills the array `answered`, one line a prompt.
answers() {
  local prompt
  answered=()
  for prompt in "${prompts[@]}"; do
    answered+=("$("$ftrun" generate --model "$1" --chat --temperature 0 --max-tokens 60 \
      --prompt "$prompt" 2>/dev/null | tr '\n' ' ' | cut -c 1-64)")
  done
}

stage "Debian packages"
launch/install.sh

stage "Build"
[ -f build/build.ninja ] || show meson setup --buildtype=release build >/dev/null
ninja -C build src/cli/ftrun tools/sample_data | tail -n 1

stage "Sample data and a random model"
rm -rf "$here"
mkdir -p "$here"
without=()
for prompt in "${prompts[@]}"; do without+=(-e "$prompt"); done
build/tools/sample_data stories 8000 1 >"$here/stories.jsonl"
build/tools/sample_data questions 6000 2 | grep -vF "${without[@]}" >"$here/questions.jsonl"
say "Two files about one small village, written by a program: 8000 stories, and 6000 questions"
say "with answers (the four asked at the end are not among them). One of each:"
head -n 1 "$here/stories.jsonl" | cut -c 1-100
head -n 1 "$here/questions.jsonl" | cut -c 1-160
show "$ftrun" init --config configs/tiny-model.json --seed 1 --out "$here/random"
show "$ftrun" prep --model "$here/random" --input "$here/stories.jsonl" --out "$here/data/stories"
show "$ftrun" prep --model "$here/random" --input "$here/questions.jsonl" --out "$here/data/questions"

stage "Training on stories"
show mpirun -np "$ranks" "$ftrun" train configs/quickstart-stories.json
show "$ftrun" export "$here/stories" --out "$here/storyteller"
answers "$here/storyteller"
before=("${answered[@]}")

stage "Fine-tuning on questions, with one part in ten of stories"
show mpirun -np "$ranks" "$ftrun" train configs/quickstart-questions.json
show "$ftrun" export "$here/questions" --out "$here/model"
answers "$here/model"
after=("${answered[@]}")

stage "What was learnt, and what was forgotten"
row() { printf '  %-34s %10s %12s\n' "$@"; }
row "validation loss (nats a byte)" stories questions
row "random model" "$(validation_loss "$here/stories" stories first)" \
  "$(validation_loss "$here/stories" questions first)"
row "after training on stories" "$(validation_loss "$here/stories" stories last)" \
  "$(validation_loss "$here/stories" questions last)"
row "after fine-tuning on questions" "$(validation_loss "$here/questions" stories last)" \
  "$(validation_loss "$here/questions" questions last)"
for i in "${!prompts[@]}"; do
  printf '\n  %s%s%s\n' "$bold" "${prompts[$i]}" "$plain"
  printf '    before  %s%s%s\n' "$dim" "${before[$i]}" "$plain"
  printf '    after   %s%s%s\n' "$green" "${after[$i]}" "$plain"
done

stage "Where things are"
say "  speed            $(tokens_per_second "$here/questions") tokens/s on $ranks ranks"
say "  runs             $here/stories, $here/questions"
say "  metrics          $here/questions/metrics.jsonl (and tensorboard/ beside it)"
say "  exported model   $here/model (a Hugging Face directory)"
say ""
say "Ask it something else:"
say "  $ftrun generate --model $here/model --chat --temperature 0 --prompt \"What does Bram do?\""
