# prometheus.sh - rules and dashboard speak of metrics that the server has; where promtool is installed, it agrees.
. "$(dirname "$0")/helpers.bash"
ran=prometheus
folder=$project/docs/prometheus

exported=$(grep -ohE '"(pare|process)_[a-z0-9_]+"' "$project"/server/*.c | tr -d '"' | sort -u)
[ "$(wc -l <<<"$exported")" -ge 30 ] || fail "metrics found in server/: $exported"
records=$(sed -nE 's/^ *- record: //p' "$folder/pare.rules.yml")
[ -n "$records" ] || fail "no recorded names in pare.rules.yml"
for file in pare.rules.yml grafana.json; do
  # a name of the server's own, not part of a recorded one (level:name:operation)
  names=$(sed -E 's/[a-z_]+:[a-z0-9_]+:[a-z0-9_]+//g' "$folder/$file" | grep -oE '\b(pare|process)_[a-z0-9_]+' | sort -u)
  [ "$(wc -l <<<"$names")" -ge 10 ] || fail "names found in $file: $names"
  for name in $names; do
    grep -qxE "$name|${name%_bucket}|${name%_sum}|${name%_count}" <<<"$exported" || fail "$file: no metric $name"
  done
  for name in $(grep -oE 'model[a-z_]*:[a-z0-9_]+:[a-z0-9_]+' "$folder/$file" | sort -u); do
    grep -qxF "$name" <<<"$records" || fail "$file: nothing records $name"
  done
done
jq -e '[.panels[] | select(.type != "row") | .targets | length] | length >= 20 and min >= 1' "$folder/grafana.json" >/dev/null || fail "grafana.json: panels without a query"
[ "$(jq '[.panels[].id] | length - (unique | length)' "$folder/grafana.json")" = 0 ] || fail "grafana.json: panel ids come twice"

if command -v promtool >/dev/null; then
  (cd "$folder" && promtool check rules pare.rules.yml && promtool test rules pare.rules.test.yml) >out 2>&1 || fail "promtool: $(cat out)"
fi
finish
