# serve.sh - pare serve from end to end: every family of addresses, its answers against the commands', errors in the
# protocol's style, keys, the cache, loading, reloading, the end. No assertion on time.
. "$(dirname "$0")/helpers.bash"
. "$(dirname "$0")/serving.bash"
long() { printf '%*s' "$1" ''; }

serve intent-linear sentiment-linear news-gpt2 nli-minilm wiki-title-bart

# ---- answers are the commands' ----
expect 0 classify sentiment-linear 'great film' --json
cp out said
ask 200 /models/sentiment-linear -d '{"inputs": "great film"}'
jq -es '(.[0][0] | map([.label, .score])) == (.[1] | [.labels, .scores] | transpose)' out said >/dev/null ||
  fail "$ran: $(cat out), the command: $(cat said)"
head_has 'X-Pare-Variant: original' 'Content-Type: application/json' 'X-Request-Id: '
ask 200 /v1/classify -d '{"model": "sentiment-linear", "input": "great film"}'
jq -es '.[0].data[0] as $a | ($a.probs | max) == .[1].score and $a.label == .[1].label' out said >/dev/null ||
  fail "$ran: $(cat out)"
ask 200 /v2/models/sentiment-linear/infer \
  -d '{"id": "7", "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["great film"]}]}'
jq -es '.[0].id == "7" and (.[0].outputs | map({(.name): .data[0]}) | add) as $o | $o.score == .[1].score and $o.label == .[1].label' \
  out said >/dev/null || fail "$ran: $(cat out)"
expect 0 classify nli-minilm 'The team won.' --labels sport,war --json
cp out said
ask 200 /models/nli-minilm -d '{"inputs": "The team won.", "parameters": {"candidate_labels": "sport,war"}}'
jq -es '(.[0] | map([.label, .score])) == (.[1] | [.labels, .scores] | transpose)' out said >/dev/null ||
  fail "$ran: $(cat out)"
expect 0 generate news-gpt2 'Oil prices' --max-tokens 12 --json
text=$(jq -c .text out)
ask 200 /v1/completions -d '{"model": "news-gpt2", "prompt": "Oil prices", "max_tokens": 12, "temperature": 0}'
holds ".choices[0].text == $text and .usage.completion_tokens == 12 and .choices[0].finish_reason == \"length\""
ask 200 /v2/models/news-gpt2/generate -d '{"text_input": "Oil prices", "parameters": {"max_tokens": 12, "temperature": 0}}'
holds ".text_output == $text"
ask 200 /models/news-gpt2 -d '{"inputs": "Oil prices", "parameters": {"max_new_tokens": 12, "return_full_text": false}}'
holds ".[0].generated_text == $text"
berlin='The city of Berlin is the capital of Germany.'
expect 0 summarize wiki-title-bart "$berlin" --json
text=$(jq -c .summary out)
ask 200 /models/wiki-title-bart -d "{\"inputs\": \"$berlin\"}"
holds ".[0].summary_text == $text"
for path in /v1/models /v2 /v2/health/live /v2/health/ready /v2/models/news-gpt2 /v2/models/news-gpt2/ready \
  /v2/models/stats /metrics /openapi.json /; do
  ask 200 $path
done
ask 200 /v2/repository/index -d ''
holds 'map(.name) == ["intent-linear", "sentiment-linear", "news-gpt2", "nli-minilm", "wiki-title-bart"]'
holds 'all(.[]; .state == "READY")'

# ---- streams ----
ask 200 /v1/completions -d '{"model": "news-gpt2", "prompt": "Oil prices", "max_tokens": 12, "temperature": 0}'
text=$(jq -c '.choices[0].text' out)
ask 200 /v1/completions -N -d '{"model": "news-gpt2", "prompt": "Oil prices", "max_tokens": 12, "temperature": 0, "stream": true}'
head_has 'Content-Type: text/event-stream' 'Transfer-Encoding: chunked'
[ "$(tail -n 2 out | head -n 1)" = 'data: [DONE]' ] || fail "$ran: does not end with [DONE]: $(tail -c 100 out)"
grep '^data: {' out | cut -c7- | jq -es "(map(.choices[0].text) | add) == $text and .[-1].choices[0].finish_reason == \"length\"" >/dev/null ||
  fail "$ran: $(head -c 500 out)"
ask 200 /v2/models/news-gpt2/generate_stream -N -d '{"text_input": "Oil prices", "parameters": {"max_tokens": 12, "temperature": 0}}'
grep '^data: {' out | cut -c7- | jq -es "(map(.text_output) | add) == $text" >/dev/null || fail "$ran: $(head -c 500 out)"

# ---- mistakes ----
n=0
ask 404 /v1/classify -d '{"model": "none", "input": "x"}'
holds '.error.type == "not_found_error" and .error.param == "model" and .error.code == 404'
ask 404 /models/none -d '{"inputs": "x"}'
holds '.error | type == "string"'
ask 404 /v1/nowhere
holds '.error.code == 404'
ask 404 /nowhere
holds '.error | type == "string"'
for path in '/%ff%fe' '/v1/%c3(' '/%e2%82'; do ask 404 "$path" -H "X-Request-Id: bytes$((n += 1))"; done
holds '.error | type == "string"'
logged '.event == "request" and .id == "bytes1" and .path == "/%FF%FE" and .method == "GET" and .status == 404'
logged '.event == "request" and .id == "bytes2" and .path == "/v1/%C3("'
logged '.event == "request" and .id == "bytes3" and .path == "/%E2%82"'
ask 415 /v1/classify -H "Content-Encoding: $(printf 'b\377r')" -d x
holds '.error.message | contains("b%FFr")'
ask 405 /v1/classify
head_has 'Allow: POST'
ask 405 /v2/health/live -d x
head_has 'Allow: GET'
ask 400 /v1/classify -d '{"model": "sentiment-linear"}'
holds '.error.param == "input" and .error.type == "invalid_request_error"'
ask 400 /v1/classify -d '{"model": "news-gpt2", "input": "x"}'
ask 400 /v1/completions -d '{"model": "sentiment-linear", "prompt": "x"}'
ask 400 /v1/classify -d '{"mod'
holds '.error.message | test("JSON: line 1, column")'
ask 422 /v2/models/news-gpt2/generate -d '{"text_input": 7}'
ask 400 /v2/models/sentiment-linear/infer -d '{"inputs": []}'
long 2200000 >long
ask 413 /v1/classify --data-binary @long
ask 413 /v1/classify -H 'Transfer-Encoding: chunked' --data-binary @long
ask 200 /v1/models --head
grep -q '"object"' out && fail "$ran: a body: $(head -c 300 out)" # curl --head puts the head there
head_has 'Content-Length: [1-9]'

# ---- bodies that are sent and not ended: together they are bounded, and small ones get through ----
whole() { curl -sS --max-time 60 -o out -D head -w '%{http_code}' -H 'Expect:' --data-binary @most "$at/v1/classify"; }
head -c 2097152 long >most
ran='a body of 2 MiB while others are being sent'
[ "$(whole)" = 400 ] || fail "$ran: $(head -c 300 out)"
open=()
until [ "$(whole)" = 503 ] || [ ${#open[@]} -gt 150 ]; do
  for i in 1 2 3; do
    exec {fd}<>"/dev/tcp/127.0.0.1/${at##*:}"
    printf 'POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 2097152\r\n\r\n' >&"$fd"
    head -c 2097151 most >&"$fd"
    open+=("$fd")
  done
done
[ ${#open[@]} -ge 64 ] || fail "$ran: refused beside ${#open[@]}: $(head -c 300 out)"
head_has 'Retry-After: 1'
holds '.error.type == "unavailable_error" and .error.code == 503'
ask 200 /v1/classify -d '{"model": "sentiment-linear", "input": "great film"}'
for fd in "${open[@]}"; do exec {fd}>&-; done
tries=400
until [ "$(whole)" = 400 ] || [ $((tries -= 1)) -le 0 ]; do sleep 0.05; done
ran='a body of 2 MiB after others went'
[ "$tries" -gt 0 ] || fail "$ran: $(head -c 300 out)"

# ---- connections ----
ask 200 /v2/health/live -H 'X-Request-Id: my-id.1:2'
head_has 'X-Request-Id: my-id.1:2'
ask 200 /v2/health/live -H 'X-Request-Id: no<script>'
head_has 'X-Request-Id: [0-9a-f]'
ran='keep-alive'
curl -sS --max-time 60 -o /dev/null -o /dev/null -w '%{num_connects} ' "$at/v2/health/live" "$at/v2/health/ready" >out
[ "$(cat out)" = '1 0 ' ] || fail "$ran: connections: $(cat out)"

# ---- the cache, the prefix ----
hits='pare_cache_hits_total{model="nli-minilm"}'
before=$(figure "$hits")
ask 200 /v1/classify -d '{"model": "nli-minilm", "input": "A new text.", "labels": ["a", "b"]}'
jq -c .data out >first
ask 200 /v1/classify -d '{"model": "nli-minilm", "input": "A new text.", "labels": ["a", "b"]}'
jq -c .data out | cmp -s - first || fail "$ran: another answer from the cache: $(cat out) $(cat first)"
figure_is "$hits" $((before + 1))
ask 200 /v1/completions -d '{"model": "news-gpt2", "prompt": "The president said on Monday that he would", "max_tokens": 3}'
ask 200 /v1/completions -d '{"model": "news-gpt2", "prompt": "The president said on Monday that nobody", "max_tokens": 3}'
holds '.usage.prompt_tokens_details.cached_tokens >= 4'
reused=$(jq .usage.prompt_tokens_details.cached_tokens out)
[ "$(figure 'pare_prefix_reused_tokens_total{model="news-gpt2"}')" -ge "$reused" ] ||
  fail "$ran: reused tokens are not counted"

# ---- models come and go while requests run ----
figure_is 'pare_model_ready{model="intent-linear"}' 1
ask 200 /v2/repository/models/intent-linear/unload -d ''
figure_is 'pare_model_ready{model="intent-linear"}' 0
ask 404 /v1/classify -d '{"model": "intent-linear", "input": "x"}'
ask 400 /v2/repository/models/intent-linear/unload -d ''
ask 400 /v2/repository/models/never-heard/load -d ''
ask 200 /v2/repository/models/intent-linear/load -d '{}'
figure_is 'pare_model_ready{model="intent-linear"}' 1
holds '.state == "READY"'
ask 200 /v1/classify -d '{"model": "intent-linear", "input": "x"}'
printf 'one\nanother text\nthe third\n' >texts.txt
"$program" load "$at" --data texts.txt --model nli-minilm --clients 3 --requests 150 --duration 600 --timeout 60000 --warmup 0 --json >loaded 2>load_err &
load_pid=$!
for i in 1 2 3 4 5; do ask 200 /v2/repository/models/nli-minilm/load -d ''; done
holds '.version == "6"'
wait "$load_pid" || fail "pare load: $(cat load_err)"
ran='load while the model is swapped'
holds '.requests == 150 and .error_rate == 0 and .status == {"200": 150}' loaded

# ---- the end: what is under way is answered ----
curl -sSN --max-time 60 "$at/v1/completions" -d '{"model": "news-gpt2", "prompt": "Oil", "max_tokens": 200, "stream": true, "temperature": 0}' >out &
curl_pid=$!
tries=2000
until grep -q data out || [ $((tries -= 1)) -le 0 ]; do sleep 0.01; done
stop
wait "$curl_pid" || fail "a stream under way when SIGTERM came: curl's status $?"
ran='SIGTERM in a stream'
grep -q '^data: \[DONE\]' out || fail "$ran: the stream was cut: $(tail -c 200 out)"

# ---- keys ----
printf 'models: [sentiment-linear]\napi_keys: [sesame, other]\n' >files/keys.yaml
serve -c files/keys.yaml
body='{"model": "sentiment-linear", "input": "x"}'
for path in / /metrics /v1/models /v2/health/live /openapi.json /nowhere; do ask 401 $path; done
ask 401 /v1/classify -d "$body"
holds '.error.type == "authentication_error"'
head_has 'WWW-Authenticate: '
ask 401 /v1/classify -H 'Authorization: Bearer sesam' -d "$body"
ask 401 /v1/classify -H 'Authorization: Bearer ' -d "$body"
ask 401 /v1/classify -H 'Authorization: Basic !!!' -d "$body"
ask 200 /v1/classify -H 'Authorization: Bearer sesame' -d "$body"
ask 200 /v1/classify -H 'X-Api-Key: other' -d "$body"
ask 200 /v1/classify -u any:sesame -d "$body"
ask 200 /metrics -H 'X-Api-Key: other'
grep -qE 'sesame|other' log && fail 'a key is in the log'

# ---- SIGHUP: a model comes, another goes; a broken file changes nothing ----
printf 'models: [intent-linear, {name: mood, path: sentiment-linear}]\napi_keys: [sesame, other]\n' >files/keys.yaml
kill -HUP "$server_pid"
logged '.event == "reload" and .level == "info"'
ask 200 /v1/models -H 'X-Api-Key: other'
holds '[.data[].id] == ["intent-linear", "mood"]'
printf 'models: [intent-linear]\nlimits: {bodykb: 3}\n' >files/keys.yaml
kill -HUP "$server_pid"
logged '.event == "reload" and .level == "error" and (.error | test("files/keys.yaml:2: limits.bodykb: unknown key"))'
printf 'models: [intent-linear, {name: mood, path: sentiment-linear}, {name: gone, path: nowhere}]\n' >files/keys.yaml
kill -HUP "$server_pid"
logged '.event == "reload" and .level == "error" and (.error | test("files/keys.yaml:1: "))'
ask 200 /v1/models -H 'X-Api-Key: other'
holds '[.data[].id] == ["intent-linear", "mood"]'

# ---- the address is taken ----
expect 69 serve sentiment-linear --listen "${at#http://}"
says "${at#http://}" 'in use'
stop

# ---- a full queue ----
printf 'models: [nli-minilm]\nlimits: {queue: 1}\ncache: {mb: 0}\n' >files/small.yaml
serve -c files/small.yaml
"$program" load "$at" --data texts.txt --model nli-minilm --clients 12 --requests 120 --duration 600 --timeout 60000 --warmup 0 --json >loaded 2>load_err ||
  fail "pare load: $(cat load_err)"
ran='load of a full queue'
holds '.requests == 120 and .status["200"] >= 1 and .status["429"] >= 1 and .status["200"] + .status["429"] == 120' loaded
figure_is 'pare_queue_rejected_total{model="nli-minilm"}' "$(jq '.status["429"]' loaded)"
stop

rm -r files/*
nothing_left
finish
