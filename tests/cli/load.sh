# load.sh - the load generator against a server whose answers are known (tests/tools/http_server.c). No assertion on
# speed: only counts, what was sent, and what follows from a delay. A call that does not end is ended, and fails. How the
# search for a rate goes is tests/unit/load_search.c's.
server=$(realpath "$3")
. "$(dirname "$0")/helpers.bash"

exec 3< <(exec "$server" "$work/requests")
server_pid=$!
limit=60 # seconds for one call
bare=$program
printf '#!/bin/sh\nexec timeout -k 5 %s "%s" "$@"\n' $limit "$bare" >limited
chmod +x limited
program=$work/limited
trap 'kill "$server_pid" 2>/dev/null; rm -rf "$work"' EXIT
read -r port <&3 || fail 'the test server did not start'
at=http://127.0.0.1:$port
# Uniform arrivals without a warm-up: the count is the rate times the duration.
even='--arrivals uniform --warmup 0 --json'

expect 0 load "$at/ok" --rate 200 --duration 0.5 $even
lines 1
holds '.requests == 100 and .status == {"200": 100} and .error_rate == 0 and .first_error == null'
holds '[.errors[]] == [0, 0, 0, 0, 0, 0, 0]'
holds '.mode == "open" and .arrivals == "uniform" and .rate.asked == 200 and .duration_s == 0.5 and .interrupted == false'
holds '.bytes == {"sent": 0, "received": (100 * 11)}'
holds '.latency_ms | .n == 100 and .min <= .p50 and .p50 <= .p90 and .p90 <= .p95 and .p95 <= .max and .mean <= .max'
holds '.latency_ms.p99 == null and .latency_ms.p99_reason == "n too small: 100 requests, 299 needed"'
holds '.latency_ms.min >= .service_ms.min and .cpu_percent >= 0 and .max_rate_under_slo == null'
holds '.max_rate_under_slo_reason | test("--find-rate")'
holds '.ttft_ms == null and .tpot_ms == null and .tokens_per_s == null and (has("trials") | not)'
[ "$(grep -c '^GET /ok - $' requests)" -eq 100 ] || fail "$ran: the server saw $(wc -l <requests) requests"
expect 0 load "$at/ok" --rate 1000 --duration 0.1 --arrivals uniform --warmup 0
prints "GET $at/ok" 'open loop, uniform arrivals' 'asked 1000/s' '100 requests' 'latency ms' 'status  200: 100' 'errors  0' 'n small'
expect 0 load "127.0.0.1:$port/ok" --rate 1000 --duration 0.3 $even --histogram
holds '.requests == 300 and (.latency_ms.p99 | type == "number") and ([.latency_ms.histogram[][1]] | add) == 300'
holds '.latency_ms.histogram | (map(.[0]) | . == (sort | unique))'

# The warm-up is sent and not counted; the same seed draws the same arrivals.
: >requests
expect 0 load "$at/ok" --rate 100 --duration 0.2 --warmup 0.3 --arrivals uniform --json
holds '.requests == 20'
[ "$(wc -l <requests)" -eq 50 ] || fail "$ran: warm-up and all: $(wc -l <requests) requests"
expect 0 load "$at/ok" --rate 900 --duration 0.13 --warmup 0 --seed 5 --json
holds '.arrivals == "poisson" and .requests > 40 and .requests < 400'
drawn=$(jq .requests out)
expect 0 load "$at/ok" --rate 900 --duration 0.13 --warmup 0 --seed 5 --json
holds ".requests == $drawn"

# A closed loop, and an end by count.
: >requests
expect 0 load "$at/last" --clients 3 --requests 40 --warmup 0 --json
holds '.requests == 40 and .mode == "closed" and .arrivals == null and .rate.asked == null and .connections == 3'
holds '.connects == 40 and .lag_ms.max == 0 and .latency_ms == .service_ms and .rate.sent > 0'
[ "$(wc -l <requests)" -eq 40 ] || fail "$ran: $(wc -l <requests) requests"
expect 0 load "$at/ok" --clients 2 --requests 10 --warmup 0
prints 'closed loop, 2 clients' '10 requests'
expect 0 load "$at/last" --clients 2 --requests 10 --warmup 0
prints '10 connections were opened for 10 requests'
expect 0 load "$at/ok" --clients 2 --requests 50 --warmup 0 --json
holds '.connects >= 1 and .connects <= 2'

# A connection that the server gave up in between is opened anew.
expect 0 load "$at/rude" --clients 4 --requests 100 --warmup 0 --json
holds '.requests == 100 and .status == {"200": 100}'
expect 0 load "$at/rude" --rate 100 --duration 0.3 $even
holds '.requests == 30 and .status == {"200": 30}'

# Times: a delay is in every latency; behind a single busy connection it counts from the schedule.
expect 0 load "$at/delay/50" --rate 100 --duration 0.2 $even
holds '.requests == 20 and .latency_ms.min >= 50 and .service_ms.min >= 50'
expect 0 load "$at/delay/50" --rate 100 --requests 10 --connections 1 $even
# The tenth was due after 90 ms and could not be done before 500 ms.
holds '.requests == 10 and .service_ms.min >= 50 and .latency_ms.max >= 410 and .lag_ms.max >= 360'
holds '.latency_ms.mean - .service_ms.mean >= 180'
# A server that does one at a time, 2 ms each: the last of 150, due after 99.3 ms at the latest, waits for all the others.
expect 0 load "$at/serial/2" --rate 1500 --duration 0.1 $even
holds '.requests == 150 and .error_rate == 0 and .latency_ms.max >= 200'

# Every kind of failure, counted in the denominator.
failing() { # failing PATH ERROR STATUSES REASON
  expect 0 load "$at/$1" --rate 100 --duration 0.1 $even
  holds ".requests == 10 and .errors.$2 == 10 and ([.errors[]] | add) == 10 and .error_rate == 1 and .status == $3"
  holds '.latency_ms.n == 10 and .latency_ms.min == null and .latency_ms.p50 == null'
  holds '.latency_ms.p50_reason == "10 of 10 requests failed" and .service_ms.n == 0 and .rate.answered == 0'
  jq -e --arg text "$4" '.first_error | contains($text)' out >/dev/null || fail "$ran: first_error: $(jq .first_error out)"
}
failing status/429 http_429 '{"429": 10}' 'status 429: {"error":"as asked"}'
failing status/404 http_4xx '{"404": 10}' 'status 404'
failing status/503 http_5xx '{"503": 10}' 'status 503'
failing status/302 other '{"302": 10}' 'status 302'
failing close other '{}' 'returned nothing'
expect 0 load "$at/hang" --rate 100 --duration 0.1 --timeout 100 $even
holds '.requests == 10 and .errors.timeout == 10 and .status == {} and (.first_error | test("[Tt]imeout"))'
expect 0 load "$at/hang" --rate 100 --duration 0.1 --timeout 10000 --connections 1 --requests 3 --timeout 200 $even
holds '.requests == 3 and .errors.timeout + .errors.unsent == 3 and .errors.timeout >= 1'
expect 0 load "$at/status/500" --clients 2 --requests 10 --warmup 0
prints 'errors  10 (100 %)  http_5xx: 10' 'first error: status 500'

# What is sent: a body per text, in turn; the path and form of each kind.
printf 'text,label\n"say ""hi"", \\ now",a\ntwo,b\nthree,c\n' >texts.csv
sent() { # sent COUNT LINE: the server saw exactly this line so often
  local seen
  seen=$(grep -cxF -- "$2" requests)
  [ "$seen" -eq "$1" ] || fail "$ran: $seen times, not $1: $2 in: $(head -3 requests)"
}
one='--clients 1 --warmup 0 --json'
: >requests
expect 0 load "$at" --data texts.csv --requests 7 --model news --api-key k1 $one
holds '.requests == 7 and .texts == 3'
sent 3 'POST /v1/classify Bearer k1 {"model":"news","input":"say \"hi\", \\ now"}'
sent 2 'POST /v1/classify Bearer k1 {"model":"news","input":"three"}'
jq -e '.bytes.sent' out >/dev/null
grep -q k1 out && fail "$ran: the key is in the output"
printf 'k2\nsecond line\n' >key
expect 0 load "$at/keyed" --api-key-file key --requests 1 $one
sent 1 'GET /keyed Bearer k2 '
expect 66 load "$at" --api-key-file none.key
expect 65 load "$at" --api-key-file /dev/null
printf 'k\xff\n' >key
expect 65 load "$at" --api-key-file key
says 'key line 1'
expect 64 load "$at" --api-key-file key --api-key k
: >requests
expect 0 load "$at/" --data texts.csv --limit 2 --requests 2 --kind hf --model org/name $one
sent 1 'POST /models/org/name - {"inputs":"two"}'
expect 0 load "$at" --data texts.csv --limit 2 --requests 2 --kind infer --model m $one
sent 1 'POST /v2/models/m/infer - {"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["two"]}]}'
expect 0 load "$at/v2/models/x/infer" --data texts.csv --limit 2 --requests 2 $one
sent 1 'POST /v2/models/x/infer - {"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["two"]}]}'
expect 0 load "$at" --data texts.csv --limit 2 --requests 2 --kind generate --model m --max-tokens 9 $one
sent 1 'POST /v2/models/m/generate - {"text_input":"two","parameters":{"max_tokens":9}}'
expect 0 load "$at" --data texts.csv --requests 3 --kind completions --max-tokens 5 $one
sent 1 'POST /v1/completions - {"prompt":"two","max_tokens":5}'
holds '.tokens_per_s > 0 and .ttft_ms == null'
holds '(.tokens_per_s * .duration_s | round) == 21'
expect 0 load "$at/v1/completions" --body '{"prompt":"{text}"}' --data texts.csv --requests 3 $one
holds '(.tokens_per_s * .duration_s | round) == 21'
expect 0 load "$at/own?x=1" --body '{"a":"{text}","b":"{text}"}' --data texts.csv --limit 2 --requests 2 \
  --header 'Authorization: mine' $one
sent 1 'POST /own?x=1 mine {"a":"two","b":"two"}'
expect 0 load "$at/fixed" --body '{"a":1}' --requests 2 $one
sent 2 'POST /fixed - {"a":1}'
# Shuffled: every text as often, in an order the seed fixes.
seq 1 20 >many.txt
: >requests
expect 0 load "$at" --data many.txt --shuffle --seed 3 --requests 20 $one
[ "$(sort -u requests | wc -l)" -eq 20 ] || fail "$ran: not each text once"
cp requests first
: >requests
expect 0 load "$at" --data many.txt --shuffle --seed 3 --requests 20 $one
cmp -s first requests || fail "$ran: another order with the same seed"
sed 's/.*:"\(.*\)"}/\1/' requests | cmp -s - many.txt && fail "$ran: not shuffled"

# Streams: events are counted, the usage goes before them, times are in order.
expect 0 load "$at" --data texts.csv --kind completions --stream --requests 5 $one
holds '.requests == 5 and .ttft_ms.n == 5 and .tpot_ms.n == 5 and (.tokens_per_s * .duration_s | round) == 40'
holds '.ttft_ms.max <= .latency_ms.max'
expect 0 load "$at/sse/3/30" --body '{}' --stream --requests 1 $one
# Three events 30 ms apart, six tokens: five steps between the first and the last.
holds '.requests == 1 and .latency_ms.min >= 60 and .ttft_ms.min + 5 * .tpot_ms.min <= .latency_ms.max + 0.01'
expect 0 load "$at/sse/3/1" --body '{}' --stream --requests 2 --clients 1 --warmup 0
prints 'first token' 'per token' 'tokens/s'
expect 0 load "$at/sse-error" --body '{}' --stream --requests 2 $one
holds '.errors.other == 2 and (.first_error | test("inside the stream"))'

# The search for a rate.
expect 0 load "$at/ok" --find-rate --p99-ms 60000 --rate 2000 --max-rate 2000 --duration 0.1 --warmup 0 --timeout 60000 --json
lines 1
holds '.max_rate_under_slo == 2000 and (.max_rate_under_slo_reason | test("--max-rate"))'
holds '.slo == {"p99_ms": 60000, "max_error_rate": 0.001} and (.trials | length == 2 and all(.meets and .requests >= 299))'
holds '.trials[1].check and (.trials[0].check | not) and .rate.asked == 2000'
holds '.trials | all(.first_error == null and ([.errors[]] | add) == 0)'
expect 0 load "$at/delay/30" --find-rate --p99-ms 20 --rate 50 --warmup 0 --duration 0.1 --json
holds '.max_rate_under_slo == null and (.max_rate_under_slo_reason | test("longer than the limit")) and .trials == []'
holds '.service_ms.min >= 30 and .requests == 10 and .mode == "closed"'
expect 0 load "$at/status/500" --find-rate --p99-ms 60000 --rate 50 --warmup 0 --duration 0.1
prints 'no rate: not one of the first requests' 'first error: status 500'
# Every 250th request is refused: few enough, and told by kind, in JSON and in the table.
refused='--find-rate --p99-ms 60000 --max-error-rate 0.02 --rate 2000 --max-rate 2000 --duration 0.1 --warmup 0 --timeout 60000'
expect 0 load "$at/every/250/503" $refused --json
holds '.max_rate_under_slo == 2000 and ((10 + ([.trials[].requests] | add)) / 250 | floor) == ([.trials[].errors.http_5xx] | add)'
holds '.trials | all(.meets and .errors.http_5xx >= 1 and ([.errors[]] | add) == .errors.http_5xx and .error_rate > 0)'
holds '.trials | all(.first_error | startswith("status 503"))'
expect 0 load "$at/every/250/503" $refused
prints 'rate /s' holds '(check)' '2000 requests per second keep P99 <= 60000 ms' 'no higher rate was tried'
grep -qE 'holds( \(check\))?  http_5xx: [1-9]' out || fail "$ran: no errors in the rows: $(head -3 out)"

# Ctrl-C ends the sending; what was measured is printed. What is under way when it comes is not counted.
wait_for() { # wait_for COUNT: requests at the server
  local tries
  for ((tries = 0; tries < limit * 20; tries++)); do
    [ "$(wc -l <requests)" -ge "$1" ] && return
    sleep 0.05
  done
  fail "$ran: only $(wc -l <requests) requests"
}
ended() { # ended PID: within the limit, with 0
  timeout "$limit" tail -s 0.05 --pid="$1" -f /dev/null || { fail "$ran: did not end"; kill -KILL "$1"; }
  wait "$1"
}
: >requests
ran='load interrupted'
"$bare" load "$at/ok" --rate 100 --duration 600 --warmup 0 --json >out 2>err &
wait_for 20
kill -TERM $!
ended $! || fail "$ran: exit $?"
holds '.interrupted and .requests >= 1 and .duration_s < 600 and .error_rate == 0'
: >requests
ran='search interrupted'
"$bare" load "$at/ok" --find-rate --p99-ms 60000 --rate 100 --duration 600 --warmup 0 --json >out 2>err &
wait_for 15
# timeout(1) sends two signals, an impatient person as well: the output survives the second, whenever it comes.
kill -TERM $!
kill -TERM $! 2>/dev/null
ended $!
holds '.interrupted and .max_rate_under_slo == null and .max_rate_under_slo_reason == "interrupted" and .trials == []'

# Wrong usage.
expect 64 load
says 'expected one URL'
expect 64 load "$at" "$at"
expect 64 load ''
expect 64 load ftp://127.0.0.1/
says 'expected http or https, found ftp'
for host in example.com 10.0.0.1 0.0.0.0 127.0.0.1.example.com '[::2]' localhost.example; do
  expect 64 load "http://$host:1/"
  says 'is not this machine' --remote
done
for options in '--rate 0' '--rate x' '--rate -1' '--rate nan' '--rate 1e9' '--duration 0' '--warmup -1' '--timeout 0' '--connections 99999' \
  '--arrivals even' '--clients 2 --rate 3' '--clients 2 --arrivals uniform' '--find-rate' '--p99-ms 5' '--find-rate --p99-ms 0' \
  '--find-rate --p99-ms 5 --clients 2' '--max-rate 5' '--kind hf' '--kind hf --data texts.csv' '--kind hff --data texts.csv' \
  '--shuffle' '--body x --kind hf' '--body {text}' '--body x --data texts.csv' '--stream' '--stream --data texts.csv' \
  '--header novalue' '--seed -1'; do
  # shellcheck disable=SC2086
  expect 64 load "$at" $options
done
expect 64 load "$at/own" --data texts.csv
says '--kind NAME or --body TEMPLATE'
expect 64 load "$at" --header $'A: b\r\nC: d'
expect 64 load "$at" --kind clasify --data texts.csv
says 'did you mean classify'
expect 66 load "$at" --data none.csv
says none.csv
expect 65 load "$at" --data texts.csv --text-column none

# Nobody there: the URL and the reason.
kill "$server_pid"
timeout "$limit" tail -s 0.05 --pid="$server_pid" -f /dev/null || fail 'the test server did not end'
expect 74 load "$at/ok"
says "$at/ok" 'cannot connect' 'refused'

nothing_left
finish
