#!/usr/bin/env bash
# quality.sh PROGRAM PROJECT_DIR - what quantization costs the shipped models, on all of their data, against fixed limits.
# Flips are texts whose label changes, either way; sizes are in per cent of f32_bytes, 4 bytes a parameter. The values do not depend
# on the machine (docs/measured.md). Some minutes; exit 1 when a limit is missed.
set -euo pipefail
program=$(realpath "$1")
project=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work
unset PARE_ISA
passed=0 failed=0

# compare MODEL DATA SCHEMES [OPTIONS...]: the record in $work/MODEL.json
compare() {
  local model=$1 data=$2 schemes=$3
  shift 3
  "$program" compare "$project/models/$model" --data "$project/data/$data" --schemes "$schemes" --iterations 1 \
    --output "$work/$model.json" "$@" >/dev/null
}

# limit MODEL SCHEME WHAT FILTER MOST UNIT: the jq filter's value, of the candidate of that scheme, is at most MOST.
limit() {
  local model=$1 scheme=$2 what=$3 filter=$4 most=$5 unit=$6 value ok=ok
  value=$(jq -r ".f32_bytes as \$f32_bytes | .models[1:][] | select(.scheme == \"$scheme\") | $filter" "$work/$model.json")
  [[ $value =~ ^[0-9] ]] || value=nan # null would compare as the smallest
  if [ "$value" != nan ] && jq -en "$value <= $most" >/dev/null; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    ok=MISS
  fi
  printf '%-12s %-12s %-14s %10.3g %10.3g  %-6s %s\n' "$model" "$scheme" "$what" "$value" "$most" "$unit" "$ok"
}

flips='100 * (1 - .against_base.identical_rate)'
size='100 * .size_bytes / $f32_bytes'
kl='.against_base.kl_mean'

printf '%-12s %-12s %-14s %10s %10s  %-6s %s\n' model scheme measured value limit unit ok
compare agnews-gpt2 ag_news_test.csv int8,int8-tensor,int4,nf4
limit agnews-gpt2 int8 flips "$flips" 0.2 '%'
limit agnews-gpt2 int8-tensor flips "$flips" 0.2 '%'
limit agnews-gpt2 int4 flips "$flips" 0.6 '%'
limit agnews-gpt2 nf4 flips "$flips" 0.5 '%'
limit agnews-gpt2 int8 size "$size" 27 '%'
limit agnews-gpt2 int4 size "$size" 15 '%'
limit agnews-gpt2 nf4 size "$size" 17 '%'
compare nli-minilm mnli_dev_2000.jsonl int8,llm-int8 --max-tokens 128
limit nli-minilm int8 flips "$flips" 1.2 '%'
limit nli-minilm int8 'mean KL' "$kl" 5.5e-4 nats
limit nli-minilm llm-int8 flips "$flips" 1.5 '%'
limit nli-minilm llm-int8 'mean KL' "$kl" 6.5e-4 nats

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
