# serve_answers.sh - which answer belongs to which question: the cache, the shadow, passes of a long question,
# batch mates, numbers that are none. No assertion on time.
. "$(dirname "$0")/helpers.bash"
. "$(dirname "$0")/serving.bash"

# One and the same model as both of its forms; a shadow has nothing to find.
quantized news-gpt2 news
cp -r files/news/quantized files/twin
quantized wiki-title-bart titles
cp -r files/titles/quantized files/title_twin
quantized sentiment-linear-f32 linear
# One logit is not a number: an id that no prompt here has.
cp -r files/news files/column
poke files/column/quantized/model.safetensors transformer.wte.weight_scale 32000 4
without_self_test files/column/quantized
cp -r files/titles files/title_column
poke files/title_column/quantized/model.safetensors model.shared.weight_scale 24000 4
without_self_test files/title_column/quantized
# shorter FILE TENSOR ROWS: the tensor is only its first rows; the others become one that nobody asks for.
shorter() {
  local len header
  len=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
  header=$(tail -c +9 "$1" | head -c "$len" | jq -c --arg t "$2" --argjson rows "$3" '
    .[$t] as $old | ($old.data_offsets[0] + ($old.data_offsets | .[1] - .[0]) / $old.shape[0] * $rows) as $cut |
    .[$t] |= (.shape[0] = $rows | .data_offsets[1] = $cut) |
    .rest = ($old | .shape[0] -= $rows | .data_offsets[0] = $cut)')
  while [ $((${#header} % 8)) -ne 0 ]; do header="$header "; done
  {
    printf "$(printf '\\x%02x' $((${#header} & 255)) $((${#header} >> 8)) 0 0 0 0 0 0)$header"
    tail -c +$((9 + len)) "$1"
  } >"$work/shorter" && mv "$work/shorter" "$1"
}
mkdir files/short && cp "$project"/models/agnews-gpt2/* files/short/
jq '.n_positions = 8' files/short/config.json >config.json && mv config.json files/short/
shorter files/short/model.safetensors transformer.wpe.weight 8
cat >files/pare.yaml <<END
cache: {mb: 8}
batching: {max_tokens: 64, max_wait_us: 300000}
models:
  - {name: cached, path: news, use_quantization: false}
  - {name: twin, path: twin, quantized: news/quantized, rollout: {shadow: {share: 1}}}
  - {name: title_twin, path: title_twin, quantized: titles/quantized, rollout: {shadow: {share: 1}}}
  - {name: watched, path: news, quantized: column/quantized, rollout: {mode: original, shadow: {share: 1}}}
  - {name: watched_titles, path: titles, quantized: title_column/quantized, rollout: {mode: original, shadow: {share: 1}}}
  - {name: column, path: column}
  - {name: title_column, path: title_column}
  - nli-minilm
  - {name: linear, path: linear, rollout: {mode: original, shadow: {share: 1}}}
  - {name: short, path: short, quantized: '$project/models/agnews-gpt2', rollout: {mode: original}}
END
serve -c files/pare.yaml

complete() { # complete STATUS MODEL PROMPT-JSON MORE-JSON
  ask "$1" /v1/completions -d "{\"model\": \"$2\", \"prompt\": $3, \"temperature\": 0$4}"
}

# ---- the cache: eight bytes more of text are not a bias of 0 for id 13 ----
complete 200 cached '"\u0005\u0000\u0000\u0000\u0000\u0000\u0000\u0000hello"' ', "max_tokens": 8'
complete 200 cached '"hello"' ', "max_tokens": 8, "logit_bias": {"13": 0}'
holds '.usage.prompt_tokens < 8'

# ---- the shadow asks the very same question ----
complete 200 twin '"Oil prices"' ', "max_tokens": 12'
complete 200 twin '[47, 73, 76, 1382]' ', "max_tokens": 12'                                # "Oil prices" by its letters
complete 200 twin '"Oil prices"' ', "max_tokens": 6, "logit_bias": {"13": 5}, "stop": "."' # by its options
complete 200 twin '"Oil prices"' ', "max_tokens": 0, "echo": true'                         # an answer of nothing
for title in Berlin 'The river Danube'; do
  ask 200 /models/title_twin -d "{\"inputs\": \"$title is a part of Germany.\"}"
done
ran=shadow
figure_is 'pare_shadow_requests_total{model="twin",scheme="int8"}' 3 20
figure_is 'pare_shadow_abs_confidence_delta_count{model="twin",scheme="int8"}' 3 20
figure_is 'pare_shadow_disagreements_total{model="twin",scheme="int8"}' 0
figure_is 'pare_shadow_abs_confidence_delta_count{model="title_twin",scheme="int8"}' 2 20
figure_is 'pare_shadow_disagreements_total{model="title_twin",scheme="int8"}' 0

# ---- a logit that is not a number, in the shadow and in the answer ----
complete 200 watched '"Oil prices"' ', "max_tokens": 12'
head_has 'X-Pare-Variant: original'
logged '.event == "limit" and .model == "watched" and .reason == "nan" and .evidence.shadow'
ask 200 /models/watched_titles -d '{"inputs": "Berlin is the capital of Germany."}'
logged '.event == "limit" and .model == "watched_titles" and .reason == "nan" and .evidence.shadow'
complete 200 column '"Oil prices"' ', "max_tokens": 12'
head_has 'X-Pare-Variant: original'
logged '.event == "fallback" and .model == "column" and .reason == "nan"'
ask 200 /models/title_column -d '{"inputs": "Berlin is the capital of Germany."}'
head_has 'X-Pare-Variant: original'
text=$(jq -c '.[0].summary_text' out)
logged '.event == "fallback" and .model == "title_column" and .reason == "nan"'
expect 0 summarize wiki-title-bart 'Berlin is the capital of Germany.' --json
holds ".summary == $text"

# ---- a question of many sequences goes in passes: the bits are those of the command ----
labels=$(seq -s , -f 'number %g' 1 40)
expect 0 classify nli-minilm 'The team won.' --labels "$labels" --json
cp out said
before=$(figure 'pare_batch_tokens_count{model="nli-minilm"}')
ask 200 /models/nli-minilm -d "{\"inputs\": \"The team won.\", \"parameters\": {\"candidate_labels\": \"$labels\"}}"
jq -es '(.[0] | map([.label, .score])) == (.[1] | [.labels, .scores] | transpose)' out said >/dev/null ||
  fail "$ran: $(head -c 300 out), the command: $(head -c 300 said)"
passes=$(($(figure 'pare_batch_tokens_count{model="nli-minilm"}') - before))
[ "$passes" -ge 4 ] || fail "$ran: $passes passes"

# ---- a text that the form cannot take is nobody else's fault, whoever waits beside it ----
asking=()
for i in 1 2 3; do
  text='oil prices'
  [ $i -ne 2 ] || text='oil prices rise again and again and again and again'
  curl -sS --max-time 60 -o "said$i" -w '%{http_code}' -d "{\"model\": \"short\", \"input\": \"$text\"}" "$at/v1/classify" >"status$i" &
  asking+=($!)
done
wait "${asking[@]}"
ran='texts together'
[ "$(cat status1 status2 status3)" = 200400200 ] || fail "$ran: $(cat status1 status2 status3)"
holds '.error.message | contains("expected 1 to 8 tokens, found 11")' said2
holds '.data[0].label == "Business"' said1

# ---- the end, while answers are still offered to the shadow ----
asking=()
for i in 1 2 3; do
  while curl -sS --max-time 10 -o "said$i" -d '{"model": "linear", "input": "a great film"}' "$at/v1/classify" 2>"curl_err$i"; do :; done &
  asking+=($!)
done
until [ -s said1 ] && [ -s said2 ] && [ -s said3 ]; do sleep 0.02; done
stop
wait "${asking[@]}"

rm -r files/*
nothing_left
finish
