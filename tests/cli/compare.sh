# compare.sh - the main job: verdicts as exit codes, files written whatever the verdict, nothing left behind.
. "$(dirname "$0")/helpers.bash"

# Gates whose verdict does not hang on timing. One scheme cannot be 99 % smaller; 200 items cannot settle 0.01 points.
printf 'max_accuracy_drop_pp: 50\nmin_size_reduction: 0.1\n' >pass.yaml
printf 'max_accuracy_drop_pp: 50\nmin_size_reduction: 0.99\n' >fail.yaml
printf 'max_accuracy_drop_pp: 0.01\nmin_size_reduction: 0.1\n' >unsure.yaml

expect 0 quantize agnews-gpt2 -o int8 --scheme int8
expect 0 compare agnews-gpt2 --schemes nf4 int8 --data "$agnews_csv" --limit 200 --iterations 60 --gate pass.yaml \
  --report report.html --output record.json --markdown report.md --samples samples.jsonl
prints Accuracy Recommendations nf4 int8 'Verdict: PASS'
holds '.gate.verdict == "PASS" and ([.models[].name] == ["agnews-gpt2","nf4","int8"]) and .dataset.n == 200' record.json
holds '.models | all(.accuracy.n == 200 and .latency_ms.n == 60)' record.json
holds '.models | all(.latency_ms.p95 != null and .latency_ms.p99 == null)' record.json
grep -q '<html' report.html || fail 'no HTML page'
grep -qE '(src|href)="https?:' report.html && fail 'the page refers to the outside'
grep -q '^|' report.md || fail 'no table in the Markdown'
# The samples give the record again.
[ "$(wc -l <samples.jsonl)" -eq $((3 * (200 + 60))) ] || fail "samples: $(wc -l <samples.jsonl) lines"
for model in agnews-gpt2 nf4 int8; do
  correct=$(jq -c "select(.model == \"$model\" and .label != null and .label == .prediction)" samples.jsonl | wc -l)
  holds "[.models[] | select(.name == \"$model\")][0].accuracy.correct == $correct" record.json
done
nothing_left

mkdir verdict
expect 1 compare agnews-gpt2 int8 --data "$agnews_csv" --limit 200 --iterations 6 --gate fail.yaml \
  --report verdict/r.html --output verdict/r.json --markdown verdict/r.md --samples verdict/s.jsonl
says 'fail.yaml' FAIL
holds '.gate.verdict == "FAIL"' verdict/r.json
holds '[.gate.checks[] | select(.name == "min_size_reduction").status] == ["FAIL"]' verdict/r.json
for file in r.html r.json r.md s.jsonl; do
  [ -s "verdict/$file" ] || fail "$file is not written when the gate fails"
done
expect 2 compare agnews-gpt2 int8 --data "$agnews_csv" --limit 200 --iterations 6 --gate unsure.yaml --output r.json
says INCONCLUSIVE
holds '.gate.verdict == "INCONCLUSIVE"' r.json
holds '.gate.checks | any(.status == "INCONCLUSIVE" and (.reason | length) > 0)' r.json
nothing_left

# What is wrong is said before the long work, and leaves no file.
printf 'max_acuracy_drop_pp: 1\n' >typo.yaml
expect 65 compare agnews-gpt2 int8 --data "$agnews_csv" --limit 8 --gate typo.yaml --output files/r.json
says typo.yaml max_acuracy_drop_pp
expect 74 compare agnews-gpt2 int8 --data "$agnews_csv" --limit 8 --report no/such/dir/r.html --output files/r.json
says no/such/dir
expect 66 compare agnews-gpt2 ./none --data "$agnews_csv" --limit 8 --output files/r.json
expect 65 compare agnews-gpt2 nli-minilm --data "$agnews_csv" --limit 8 --output files/r.json
says labels
expect 64 compare agnews-gpt2 --schemes int8,int9 --data "$agnews_csv" --limit 8 --output files/r.json
says int9
printf 'text,label\na,Weather\n' >other.csv
expect 65 compare agnews-gpt2 --schemes int8 --data other.csv --output files/r.json
nothing_left

# Ended in the middle of the work, by whatever signal: what lay in the temporary folder goes all the same.
for signal in TERM KILL; do
  "$program" compare agnews-gpt2 --schemes f16,nf4,int8 --data "$agnews_csv" --output files/r.json >out 2>err &
  for ((i = 0; i < 2000; i++)); do
    [ -n "$(find tmp -name config.json -print -quit)" ] && break
    sleep 0.005
  done
  kill -$signal $! || fail "SIG$signal: compare had ended by itself"
  wait $! 2>wait_err
  for ((i = 0; i < 1000; i++)); do
    [ -z "$(ls -A tmp)" ] && break
    sleep 0.01
  done
  ran="compare ended by SIG$signal"
  nothing_left
done

# Columns, label indices, a table without labels, zero-shot with the data's own names.
printf '%s\t%s\n' kind body 3 'New processor doubles the speed of laptops' \
  sports 'The striker scored twice in the final' >odd.tsv
expect 0 eval agnews-gpt2 --data odd.tsv --text-column body --label-column kind --json
holds '.accuracy.n == 2 and .accuracy.correct == 2'
printf 'Some text\nMore text\n' >plain.txt
expect 0 eval agnews-gpt2 --data plain.txt --json
holds '.accuracy == null and .accuracy_reason == "the data has no labels" and .confidence.mean > 0'
expect 0 eval nli-minilm --data "$agnews_csv" --limit 12 --json \
  --labels 'World=world politics,Sports=sports,Business="business, finance",Sci/Tech=science and technology'
holds '.accuracy.n == 12 and .accuracy.correct >= 3'
holds '[.per_class[].label] == ["World","Sports","Business","Sci/Tech"]'
expect 0 eval nli-minilm --data "$mnli_jsonl" --limit 100
prints Accuracy
nothing_left
finish
