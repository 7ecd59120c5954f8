# serving.bash - sourced after helpers.bash by scripts that start `pare serve` and talk with it.
server_pid=
trap '[ -z "$server_pid" ] || kill -KILL "$server_pid" 2>/dev/null; rm -rf "$work"' EXIT

# serve ARGUMENTS...: starts the server on a free port; $at is its URL, log its log. Ends the script if it does not start.
serve() {
  ran="pare serve $*"
  : >log
  "$program" serve "$@" --listen 0 >served_out 2>log </dev/null &
  server_pid=$!
  at=
  until [ -n "$at" ]; do
    if ! kill -0 "$server_pid" 2>/dev/null; then
      fail "$ran: did not start: $(head -c 500 log)"
      server_pid=
      finish
    fi
    sleep 0.02
    at=$(sed -n 's/.*"event":"ready","url":"\([^"]*\)".*/\1/p' log)
  done
}

# Ends the server by SIGTERM: it must say so, and leave with 0.
stop() {
  kill -TERM "$server_pid"
  wait "$server_pid"
  local status=$?
  server_pid=
  [ "$status" -eq 0 ] || fail "the server left with $status: $(tail -c 500 log)"
  logged '.event == "stopped"'
  [ ! -s served_out ] || fail "the server wrote to standard output: $(head -c 200 served_out)"
}

# ask STATUS PATH CURL-OPTIONS...: the answer's body in out, its head in head.
ask() {
  local wanted=$1 path=$2 status
  shift 2
  ran="$path $*"
  : >out
  status=$(curl -sS --max-time 60 -o out -D head -w '%{http_code}' "$@" "$at$path" 2>curl_err)
  [ "$status" = "$wanted" ] || fail "$ran: $status, expected $wanted: $(head -c 300 out) $(cat curl_err)"
}

# head_has TEXT...: the answer's head has a line that begins so, whatever its case.
head_has() {
  local text
  for text in "$@"; do
    tr -d '\r' <head | grep -qi -- "^$text" || fail "$ran: no '$text' in: $(tr -d '\r' <head | tr '\n' '|')"
  done
}

# A figure of /metrics: figure 'NAME{labels}'; 0 when there is none.
figure() {
  curl -sS --max-time 60 "$at/metrics" | awk -v name="$1" '{at = length($0) - length($NF); if (substr($0, 1, at - 1) == name) {print $NF; found = 1}} END {if (!found) print 0}'
}

# figure_is 'NAME{labels}' VALUE; with a third argument it may take that many seconds to become so.
figure_is() {
  local value tries=$((${3:-0} * 20))
  while value=$(figure "$1"); [ "$value" != "$2" ] && [ "$tries" -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.05
  done
  [ "$value" = "$2" ] || fail "$1 is $value, expected $2"
}

# logged FILTER: the jq filter is true for some line of the log, within 20 s.
logged() {
  local tries=400
  until jq -es "any(.[]; $1)" log >/dev/null 2>&1; do
    tries=$((tries - 1))
    if [ "$tries" -le 0 ]; then
      fail "$ran: not logged: $1 in $(grep -v '"event":"request"' log | tail -c 1500)"
      return
    fi
    sleep 0.05
  done
}

# poke FILE TENSOR OFFSET COUNT: bytes of a tensor of a safetensors file become 0xFF (not a number, for floats).
poke() {
  local len header from
  len=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
  header=$(tail -c +9 "$1" | head -c "$len")
  from=$(jq ".[\"$2\"].data_offsets[0]" <<<"$header")
  [ "$from" != null ] || fail "$1 has no tensor $2"
  head -c "$4" /dev/zero | tr '\0' '\377' | dd of="$1" bs=1 seek=$((8 + len + from + $3)) conv=notrunc 2>dd_err ||
    fail "dd: $(cat dd_err)"
}

# without_self_test DIRECTORY: the stored answer of a quantized model is forgotten.
without_self_test() {
  jq 'del(.self_test)' "$1/pare.json" >"$work/pare.json" && mv "$work/pare.json" "$1/pare.json"
}

# quantized NAME AS: a copy of a shipped model with an int8 form beside it, in files/AS.
quantized() {
  mkdir -p "files/$2"
  cp "$project/models/$1"/* "files/$2/"
  expect 0 quantize "files/$2" -o "files/$2/quantized" --scheme int8 --quiet
}
