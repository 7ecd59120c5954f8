#!/usr/bin/env bash
# cross.sh NATIVE CROSS PROJECT_DIR - the program built for 64-bit Arm, run under qemu-user, against the one built for this
# machine: every quantized file and every answer must be the same bytes (logits are printed with all the digits a float
# has). Each answer is asked of three CPUs, so that each NEON table answers once. Some minutes; exit 1 on a difference.
set -euo pipefail
native=$(realpath "$1")
cross=$(realpath "$2")
project=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir native cross
export TMPDIR=$work PARE_MODELS=$project/models NO_COLOR=1
unset PARE_ISA QEMU_CPU
same=0 different=0
text='Oil prices fall as markets fear slower growth.'
cpus=(max neoverse-n1 cortex-a53)
tables=(neon_i8mm neon_dot neon)

verdict() { # WHAT FILE FILE: are they the same bytes
  if cmp -s "$2" "$3"; then
    same=$((same + 1))
  else
    different=$((different + 1))
    echo "DIFFERS  $1"
    diff "$2" "$3" | cut -c -300 | head -6 || true
  fi
}

# answers ARGUMENTS...: the same from this machine's program and from the other on every CPU
answers() {
  "$native" "$@" --json --quiet >wanted
  [ -s wanted ] || { echo "no answer to pare $*"; exit 1; }
  local cpu
  for cpu in "${cpus[@]}"; do
    QEMU_CPU=$cpu qemu-aarch64-static "$cross" "$@" --json --quiet >got || echo "exit $?" >>got
    verdict "$cpu: pare $*" wanted got
  done
  echo "compared pare ${*//$work/.}"
}

# quantizes SCHEME [OPTIONS...]: a shipped model, by both programs, and its answers
quantizes() {
  local scheme=$1 file
  shift
  (cd native && "$native" quantize agnews-gpt2 -o "$scheme" --scheme "$scheme" --quiet "$@" >/dev/null)
  (cd cross && qemu-aarch64-static "$cross" quantize agnews-gpt2 -o "$scheme" --scheme "$scheme" --quiet "$@" >/dev/null)
  for file in native/"$scheme"/*; do verdict "$scheme: ${file##*/}" "$file" "cross/$scheme/${file##*/}"; done
  answers logits "$work/cross/$scheme" --text "$text"
}

for i in "${!cpus[@]}"; do # each CPU must choose its table, or the comparison below shows less than it says
  QEMU_CPU=${cpus[i]} qemu-aarch64-static "$cross" classify sentiment-linear "$text" -v >/dev/null 2>err
  grep -q "^pare: ${tables[i]}, " err || { echo "${cpus[i]} is expected to choose ${tables[i]}: $(head -1 err)"; exit 1; }
done

answers logits agnews-gpt2 --text "$text"
answers logits agnews-gpt2 --text "$text" --isa scalar
answers logits agnews-gpt2 --text "$text" --threads 3
answers logits nli-minilm --text "$text" --pair 'Oil is cheaper now.'
answers logits clinc-awd --text "$text"
answers classify intent-linear "$text" 'Wake me at seven'
answers classify sentiment-linear-f32 "$text"
answers classify nli-minilm "$text" --labels business,sport
answers generate news-gpt2 'The company said' --max-tokens 12
answers summarize wiki-title-bart "$text"
head -9 "$project/data/ag_news_test.csv" >calibrate.csv
quantizes int16
quantizes int8
quantizes int8-static --calibrate ../calibrate.csv
quantizes llm-int8
quantizes int4
quantizes nf4
quantizes nf4-dq
echo "$same the same, $different different"
[ "$different" -eq 0 ]
