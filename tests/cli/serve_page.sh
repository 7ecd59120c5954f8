# serve_page.sh - what a browser gets from a server: the page with its policy, the document, and a question for a key.
. "$(dirname "$0")/helpers.bash"
. "$(dirname "$0")/serving.bash"

serve intent-linear --api-key made-up

# A browser looks for one challenge in each header, and asks for a name and a password where one of them is Basic.
ask 401 /
head_has 'WWW-Authenticate: Basic realm="pare"' 'WWW-Authenticate: Bearer'
ask 401 / --user anybody:wrong
ask 200 / --user anybody:made-up
head_has 'Content-Type: text/html; charset=utf-8' "Content-Security-Policy: default-src 'self' 'unsafe-inline'; img-src data:"
cmp -s out "$project/server/page/index.html" || fail "$ran: another page"
ask 200 /openapi.json --user anybody:made-up
head_has 'Content-Type: application/json'
holds '.openapi == "3.1.0" and (.paths | length > 20)'

# What the page asks for every two seconds.
ask 200 /v2/models/stats --user anybody:made-up
holds '.model_stats[0] | .name == "intent-linear" and .forms.original.open and .rollout.active == "original"'
ask 200 /metrics --user anybody:made-up
head_has 'Content-Type: text/plain; version=0.0.4; charset=utf-8'
prints pare_requests_total pare_queue_requests process_cpu_seconds_total process_resident_memory_bytes

# The browser knows the password by now; a page of somebody else must gain nothing by that.
for site in same-origin same-site none; do
  ask 200 /v2/repository/index --user anybody:made-up --header "Sec-Fetch-Site: $site" --data '{}'
done
ask 403 /v2/repository/models/intent-linear/unload --user anybody:made-up --header 'Sec-Fetch-Site: cross-site' --data '{}'
holds '.error | contains("another site")'
ask 200 / --user anybody:made-up --header 'Sec-Fetch-Site: cross-site'
ask 200 /v2/models/intent-linear/ready --user anybody:made-up

stop
finish
