# serve_faults.sh - pare serve when something is wrong with a model: whatever is, no request fails for it, and the log
# says what happened. Two forms of a model side by side: rollout, shadow, rollback. No assertion on time.
. "$(dirname "$0")/helpers.bash"
. "$(dirname "$0")/serving.bash"

quantized sentiment-linear-f32 mood
quantized news-gpt2 news
quantized agnews-gpt2 nan
rm -f files/nan/quantized/pare.json # also without the provenance of the rest
cp -r files/mood files/flipped
poke files/flipped/quantized/model.safetensors classifier.weight 0 8000
cp -r files/mood files/cut
truncate -s 9000 files/cut/quantized/model.safetensors
cp -r files/mood files/alone
rm files/alone/model.safetensors
cp -r files/news files/midway
# The twelfth position is not a number: a prompt of two tokens goes wrong in the middle of its answer.
poke files/midway/quantized/model.safetensors transformer.wpe.weight_scale 44 4
without_self_test files/midway/quantized
poke files/nan/quantized/model.safetensors transformer.ln_f.weight 0 64
mkdir files/gone
cp "$project"/models/agnews-gpt2/* files/gone/
cat >files/pare.yaml <<'END'
cache: {mb: 0}
models:
  - mood
  - {name: both, path: mood, rollout: {mode: ab, quantized_share: 0.5}}
  - {name: watched, path: mood, keep_original: true, rollout: {shadow: {share: 1}}}
  - {name: switched, path: mood, rollout: {mode: original}}
  - news
  - flipped
  - cut
  - {name: alone, path: alone, keep_original: true}
  - nan
  - midway
  - {name: gone, path: gone, use_quantization: false}
END
serve -c files/pare.yaml

classify() { # classify MODEL STATUS VARIANT [CURL-OPTIONS]
  local model=$1 status=$2 variant=$3
  shift 3
  ask "$status" /v1/classify -d "{\"model\": \"$model\", \"input\": \"a great film about the world cup\"}" "$@"
  head_has "X-Pare-Variant: $variant"
}

# ---- the quantized form answers, with the same words as the commands ----
classify mood 200 quantized
expect 0 classify files/mood 'a great film about the world cup' --json
holds '.model_used == "quantized"'
score=$(jq .score out)
classify mood 200 quantized
holds "(.data[0].probs | max) == $score"
ask 200 /v1/completions -d '{"model": "news", "prompt": "Oil prices", "max_tokens": 20, "temperature": 0}'
head_has 'X-Pare-Variant: quantized'

# ---- both answer: the request's name decides, each time the same ----
for round in 1 2; do
  for id in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    ask 200 /v1/classify -H "X-Request-Id: visitor-$id" -d '{"model": "both", "input": "x"}'
    echo "$id $(tr -d '\r' <head | grep -i '^X-Pare-Variant')"
  done >"round$round"
done
ran='mode ab'
cmp -s round1 round2 || fail "$ran: the same ids were answered by other forms"
[ "$(grep -c quantized round1)" -ge 2 ] && [ "$(grep -c original round1)" -ge 2 ] || fail "$ran: $(cat round1)"

# ---- a shadow computes what the other form would have said ----
for i in 1 2 3 4 5; do ask 200 /v1/classify -d "{\"model\": \"watched\", \"input\": \"text $i\"}"; done
ran='shadow'
figure_is 'pare_shadow_requests_total{model="watched",scheme="int8"}' 5 20
figure_is 'pare_shadow_disagreements_total{model="watched",scheme="int8"}' 0
figure_is 'pare_shadow_abs_confidence_delta_count{model="watched",scheme="int8"}' 5 20

# ---- back and forth by call ----
classify switched 200 original
ask 200 /v2/repository/models/switched/load -d '{"parameters": {"variant": "quantized"}}'
holds '.active == "quantized"'
classify switched 200 quantized
ask 200 /v2/repository/models/switched/load -d '{"parameters": {"variant": "original"}}'
classify switched 200 original
logged '.event == "promotion" and .model == "switched" and .reason == "call"'
logged '.event == "rollback" and .model == "switched"'

# ---- weights that are not those that were written: noticed before anything is answered ----
classify flipped 200 original
logged '.event == "fallback" and .model == "flipped" and .reason == "self_test"'
classify cut 200 original
logged '.event == "fallback" and .model == "cut" and .reason == "load"'
figure_is 'pare_fallback_total{model="flipped",reason="self_test"}' 1
expect 0 classify "$project/models/sentiment-linear-f32" 'a great film about the world cup' --json
score=$(jq .score out)
for model in flipped cut; do
  classify $model 200 original
  holds "(.data[0].probs | max) == $score"
done
# An original that is missing is no reason not to answer.
classify alone 200 quantized
logged '.event == "model" and .model == "alone" and (.reason | test("did not open"))'

# ---- answers that are no numbers ----
seq -f 'text number %g' 1 40 >texts.txt
expect 0 load "$at" --data texts.txt --model nan --clients 4 --requests 40 --duration 600 --timeout 60000 --warmup 0 --json
holds '.requests == 40 and .error_rate == 0 and .status == {"200": 40}'
logged '.event == "fallback" and .model == "nan" and .reason == "nan"'
classify nan 200 original
expect 0 classify "$project/models/agnews-gpt2" 'a great film about the world cup' --json
score=$(jq .score out)
classify nan 200 original
holds "(.data[0].probs | max) == $score"
# In the middle of an answer: what was said stands, and the original goes on.
ask 200 /v1/completions -N -d '{"model": "midway", "prompt": "Oil prices", "max_tokens": 30, "temperature": 0, "stream": true}'
[ "$(tail -n 2 out | head -n 1)" = 'data: [DONE]' ] || fail "$ran: was cut: $(tail -c 300 out)"
grep '^data: {' out | cut -c7- >chunks
holds 'has("error") | not' chunks
jq -es '.[-1].choices[0].finish_reason == "length"' chunks >/dev/null || fail "$ran: $(tail -n 1 chunks)"
text=$(jq -s 'map(.choices[0].text) | add' chunks)
ask 200 /v1/completions -d '{"model": "news", "prompt": "Oil prices", "max_tokens": 9, "temperature": 0}'
jq -es --argjson said "$text" '.[0].choices[0].text as $begin | $said | startswith($begin)' out >/dev/null ||
  fail "$ran: the quantized form began with $(cat out), all was $text"
logged '.event == "fallback" and .model == "midway" and .reason == "nan"'
ask 200 /v1/completions -d '{"model": "midway", "prompt": "Oil prices", "max_tokens": 30, "temperature": 0}'
head_has 'X-Pare-Variant: original'
holds '.usage.completion_tokens == 30'

# ---- files are cut, and removed, under a model that is open ----
classify gone 200 original
jq -c .data out >first
truncate -s 100 files/gone/model.safetensors
classify gone 200 original
jq -c .data out | cmp -s - first || fail "$ran: another answer after the file was cut: $(cat out)"
ask 400 /v2/repository/models/gone/load -d ''
rm -r files/gone files/mood
classify gone 200 original
classify mood 200 quantized
ask 400 /v2/repository/models/gone/load -d ''
holds '.error | test("gone")'
classify gone 200 original
jq -c .data out | cmp -s - first || fail "$ran: another answer after the file was removed: $(cat out)"
stop
grep '"event":"request"' log | jq -es 'all(.[]; .status < 500)' >/dev/null || fail 'a request failed'

rm -r files/*
nothing_left
finish
