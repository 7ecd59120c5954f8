# first_report.sh - docs/first-report.md, command by command as it stands there: five kinds of real, trained model, each to a report.
. "$(dirname "$0")/helpers.bash"

ln -s "$project/data" data
ln -s "$project/models" models
commands=$(sed -n '/^```$/,/^```$/{/^```/d;p}' "$project/docs/first-report.md")
[ "$(grep -c '^pare compare' <<<"$commands")" -eq 6 ] || fail "comparisons found: $(grep -c '^pare compare' <<<"$commands")"
ran=first-report
while IFS= read -r line; do
  case $line in pare\ *) ;; *) fail "not a command: $line" && continue ;; esac
  eval "set -- $line"
  shift
  expect 0 "$@"
done <<<"$commands"

# Every page is there and speaks of its model.
for page in nli news generation titles intent spam; do
  [ -s "$page.html" ] || { fail "no $page.html"; continue; }
  grep -q 'REPORT\|pare report' "$page.html" || fail "$page.html is no report"
done
grep -q 'ROUGE' titles.html || fail 'no ROUGE for summaries'
grep -q 'erplexity' generation.html || fail 'no perplexity of a language model'
grep -q 'Accuracy' intent.html || fail 'no accuracy of the fastai model'
nothing_left
finish
