# serve_waiting.sh - requests that wait: who leaves gives up his place while the streams are taken, and who is late is
# told so although others still have theirs.
. "$(dirname "$0")/helpers.bash"
. "$(dirname "$0")/serving.bash"
mkdir -p files
cp -r "$project/models/news-gpt2" files/news
long='{"model": "news", "prompt": "Oil", "n": 64, "max_tokens": 250, "temperature": 1, "seed": 5}'
short='{"model": "news", "prompt": "Gas", "max_tokens": 1, "temperature": 0}'

# ---- places ----
printf 'models: [news]\ngeneration: {streams: 1}\nlimits: {queue: 4}\n' >files/pare.yaml
serve -c files/pare.yaml
curl -sS --max-time 600 -o long_out "$at/v1/completions" -d "$long" 2>/dev/null &
long_pid=$!
figure_is pare_queue_requests 1 20
for i in 1 2 3; do # the long one has the stream; these get impatient
  curl -sS --max-time 0.3 -o /dev/null "$at/v1/completions" -d "${short/Gas/Gas $i}" 2>/dev/null
done
figure_is 'pare_cancelled_total{model="news"}' 3 20
kill -0 "$long_pid" 2>/dev/null && figure_is pare_queue_requests 1
ask 200 /v1/completions -d "$short"
wait "$long_pid"
jq -e '.choices | length == 64' long_out >/dev/null || fail "the long answer: $(head -c 300 long_out)"
stop

# ---- deadlines ----
printf 'models: [news]\ngeneration: {streams: 1}\nlimits: {timeout_ms: 150}\n' >files/pare.yaml
serve -c files/pare.yaml
curl -sS --max-time 600 -o long_out -w '%{http_code}' "$at/v1/completions" -d "$long" >long_code 2>/dev/null &
ask 504 /v1/completions -d "${long/\"n\": 64/\"n\": 63}"
wait $!
[ "$(cat long_code)" = 504 ] || fail "the long one: $(cat long_code) $(head -c 300 long_out)"
figure_is 'pare_deadline_exceeded_total{model="news"}' 2 20
ask 200 /v1/completions -d "$short"
stop
finish
