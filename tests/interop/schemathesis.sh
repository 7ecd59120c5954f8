#!/bin/sh
# Requests made up from /openapi.json by schemathesis, right and wrong ones, against a running server: no answer may be a
# server's fault or one that the document does not name, and what is wrong must be refused.
# schemathesis.sh PARE_PROGRAM PROJECT_DIR PYTHON [SECONDS]: PYTHON has the package schemathesis.
set -eu
pare=$1
project=$2
python=$3
seconds=${4:-120}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

# Keys, so that requests without one are tried too; short answers, so that many requests are.
cat >"$work/pare.yaml" <<END
listen: "127.0.0.1:0"
api_keys: [made-up]
generation: {max_tokens: 8}
limits: {body_kb: 64, texts: 16}
models:
  - news-gpt2
  - intent-linear
  - nli-minilm
  - wiki-title-bart
  - {name: spare, path: intent-linear}
END
PARE_MODELS=$project/models "$pare" serve -c "$work/pare.yaml" 2>"$work/log" &
server=$!
tries=0
until address=$(sed -n 's/.*"event":"ready","url":"\([^"]*\)".*/\1/p' "$work/log") && [ -n "$address" ]; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ] || ! kill -0 "$server"; then
    cat "$work/log" >&2
    exit 1
  fi
  sleep 0.1
done

cd "$work"
status=0
SCHEMATHESIS_HOOKS=schemathesis_hooks PYTHONPATH=$here "$python" -m schemathesis.cli --config-file "$here/schemathesis.toml" \
  run "$address/openapi.json" --header "Authorization: Bearer made-up" --phases examples,coverage,fuzzing --max-examples 60 \
  --max-time "$seconds" --request-timeout 60 --continue-on-failure --seed 1 --warnings off --no-color || status=$?

# Nothing would be shown by requests that were all refused.
for request in "POST /v1/completions" "POST /v1/classify" "POST /models/" "POST /v2/models/[^/]*/infer" "POST /v2/models/[^/]*/generate" \
  "POST /v2/models/[^/]*/generate_stream" "POST /v2/repository/models/spare/load" "GET /v2/models/[^/]*/stats"; do
  answered=$(grep "\"method\":\"${request%% *}\",\"path\":\"${request#* }" "$work/log" | grep -c '"status":200' || true)
  echo "$request: $answered answered with 200"
  [ "$answered" -ge 5 ] || status=1
done
grep '"level":"error"' "$work/log" | grep -v '"status":503' && status=1
kill -0 "$server" || status=1
kill -TERM "$server"
wait "$server" || { echo "the server ended with $?" >&2; status=1; }
server=
exit $status
