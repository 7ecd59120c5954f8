# study.sh - a study file: its records, what is derived from them, its reports, and what it may not say.
. "$(dirname "$0")/helpers.bash"

cp "$agnews_csv" news.csv
cat >study.yaml <<'YAML'
title: A study of one classifier
review_days: 3
parts:
  - {name: news, title: News, model: agnews-gpt2, data: news.csv, schemes: [int8, nf4], ship: int8, limit: 120, iterations: 60, samples: 2, train_samples: 38253}
acceptance:
  - {metric: size_reduction, min: 50}
  - {metric: latency_p99_ms, max: 300}
targets: [{metric: accuracy, model: original, min: 1}]
plan:
  - {metric: size_mb, min: 6, max: 8, name: smaller than planned}
  - {metric: size_mb, min: 5, max: 6, name: as planned}
  - {metric: size_mb, min: 1, max: 5, tolerance: 0.2, name: a little more}
  - {metric: size_mb, min: 1, max: 2, name: far more}
costs: {currency: EUR, copies: 10, storage_price_gb_month: 2, downloads_month: 1000, transfer_price_gb: 0.5, investment: 100, instance_memory_mb: 1000}
composite:
  components: [{metric: size_reduction, weight: 3, zero: 0, full: 50}, {metric: accuracy, weight: 1, zero: 200, full: 300}]
  bands: [{from: 0, verdict: poor}, {from: 70, verdict: good}]
checklist:
  - {text: measured, metric: compression, min: 3}
  - {text: not yet, metric: compression, min: 30, state: done}
  - {text: by hand, state: done}
claims:
  - {text: "four times smaller", metric: compression, min: 3}
  - {text: "ten times smaller", metric: compression, min: 10}
notes: ["The file shrinks to {size_reduction} less; the original has {news:original:size_mb}."]
YAML
# P99 from 60 runs is not known, so the study cannot pass.
expect 2 compare --study study.yaml --output s.json --markdown s.md --report s.html --text s.txt
says INCONCLUSIVE
holds '.kind == "study" and .verdict == "INCONCLUSIVE" and (.parts | length) == 1 and .parts[0].ship == "int8"' s.json
holds '.parts[0].samples | length == 2' s.json
holds '[.derived.acceptance[].status] == ["PASS", "INCONCLUSIVE"]' s.json
holds '[.derived.plan[].status] == ["Exceeded", "Met", "Acceptable", "Missed"]' s.json
holds '[.derived.checklist[].state] == ["done", "open", "done"]' s.json
holds '[.derived.claims[].status] == ["supported", "rejected"]' s.json
holds '.derived.composite | .score == 75 and .verdict == "good"' s.json
# The sheet of costs, recomputed from the sizes.
holds '(.parts[0].record.models | (.[0].size_bytes - .[1].size_bytes) / 1e9) as $gb
  | (.derived.costs.savings_year - ($gb * 10 * 2 * 12 + $gb * 1000 * 12 * 0.5)) | fabs < 1e-9' s.json
holds '.derived.costs | (.returns[0].payback_months - 12 * 100 / .savings_year) | fabs < 1e-9' s.json
holds '.derived.notes[0] | test("^The file shrinks to 7[0-9.]+ % less; the original has 21\\.[0-9]+ MB\\.$")' s.json
for file in s.md s.html s.txt; do
  grep -q 'A study of one classifier' "$file" || fail "$file has no title"
  expect 0 report s.json --check "$file"
done
grep -q 'REPORT END' s.txt || fail 'the plain form has no end'

grep -q 'class="verdict unsure"' s.html || fail 'the verdict has no colour'
# A change that is not measurable is marked, and only known changes are coloured.
holds '.parts[0].record.models[1].against_base.accuracy_delta.ci95 | .[0] <= 0 and .[1] >= 0' s.json
if jq -e '.parts[0].record.models | .[1].accuracy.value != .[0].accuracy.value' s.json >/dev/null; then
  grep -q '^| Accuracy .*≈' s.md || fail 'a change within its interval is not marked'
fi

# One changed figure or word is found, in the report and in the record.
sed 's/Model size | 21.30 MB/Model size | 20.30 MB/' s.md >false.md
expect 65 report s.json --check false.md
says 'false.md:' 'does not support'
sed 's/measurably faster/much faster/; s/no measurable change/better/' s.txt >false.txt
expect 65 report s.json --check false.txt
jq '.derived.summary[0] = "int8: ten times smaller"' s.json >false.json
expect 70 report false.json
says 'derived.summary.0'
jq '.parts[0].record.models[1].accuracy.value = 1' s.json >false.json
expect 70 report false.json
says accuracy
jq '.verdict = "PASS"' s.json >false.json
expect 70 report false.json
says verdict
printf '{"kind": "study"}' >false.json
expect 70 report false.json
printf '{"a": 1}' >false.json
expect 65 report false.json

# A limit that is not met is a FAIL, one that is met a PASS; both write their files.
sed '/latency_p99/d' study.yaml >pass.yaml
expect 0 compare --study pass.yaml --limit 40 --iterations 5 --output p.json
holds '.verdict == "PASS" and .parts[0].record.dataset.n == 40' p.json
sed 's/size_reduction, min: 50/size_reduction, min: 99/' pass.yaml >fail.yaml
expect 1 compare --study fail.yaml --limit 40 --iterations 5 --markdown f.md
says FAIL
[ -s f.md ] || fail 'no report of a failed study'

# Texts to calibrate on lie beside the study file, whatever folder the command runs in; they are missed or too many by name.
mkdir -p elsewhere
cp news.csv elsewhere/ranges.csv
sed 's/schemes: \[int8, nf4\]/calibrate: ranges.csv, schemes: [int8, int8-static]/' pass.yaml >elsewhere/static.yaml
cp news.csv elsewhere/news.csv
expect 0 compare --study elsewhere/static.yaml --limit 20 --iterations 5 --output c.json
holds '[.parts[0].record.models[].calibration.file] == [null, null, "ranges.csv"]' c.json
expect 0 report c.json
sed 's/calibrate: ranges.csv, //' elsewhere/static.yaml >elsewhere/missed.yaml
expect 64 compare --study elsewhere/missed.yaml --limit 20 --iterations 5
says int8-static 'needs texts to calibrate on'
sed 's/, int8-static//' elsewhere/static.yaml >elsewhere/many.yaml
expect 64 compare --study elsewhere/many.yaml --limit 20 --iterations 5
says 'none of the schemes calibrates'
sed 's/ranges.csv/gone.csv/' elsewhere/static.yaml >elsewhere/gone.yaml
expect 66 compare --study elsewhere/gone.yaml --limit 20 --iterations 5
says gone.csv

# What is wrong in a study file is named with its line, before any work.
refused() { # TEXT SED_EXPRESSION
  sed -E "$2" study.yaml >bad.yaml
  expect 65 compare --study bad.yaml --output files/x.json
  says bad.yaml: "$1"
}
refused 'unknown key' 's/review_days/reviewdays/'
refused 'expected the name of a metric' 's/metric: size_reduction, min: 50/metric: sise, min: 50/'
refused 'no limit' 's/, min: 50\}/}/'
refused 'expected a figure from the records' 's/^notes:.*/notes: ["It is 50 % smaller"]/'
refused 'expected a figure from the records' 's/^notes:.*/notes: ["It is 3 times smaller"]/'
refused 'expected a figure from the records' 's/^notes:.*/notes: ["It is smaller by 4x"]/'
refused 'expected the name of a part, found nws' 's/news:original:size_mb/nws:original:size_mb/'
refused 'expected the name of a part, found old' 's/metric: size_reduction, min: 50/metric: size_reduction, part: old, min: 50/'
refused 'min no larger than max' 's/min: 6, max: 8/min: 8, max: 6/'
refused 'found an empty list' 's/^notes:.*/notes: []/'
refused 'name of a metric in braces' 's/\{size_reduction\}/{shrink}/'
refused 'expected done, open or in progress' 's/state: done\}$/state: finished}/'
refused 'expected a whole number' 's/limit: 120/limit: 0/'
refused 'missing key title' '/^title/d'
refused 'expected schemes or candidates' 's/schemes: \[int8, nf4\], //'
refused 'found again' 's/^review_days: 3/title: again/'
refused 'no alias' 's/^review_days: 3/subject: \&a text\nrationale: [*a, *a]/'
refused 'no alias' '1s/^/--- \&a\n/;s/^review_days: 3/review_days: *a/'
printf "[1]" >bad.yaml
expect 65 compare --study bad.yaml --output files/x.json
sed 's/ship: int8/ship: int4/' study.yaml >bad.yaml
expect 65 compare --study bad.yaml --limit 8 --iterations 2 --output files/x.json
says ship int4
expect 66 compare --study none.yaml
# A file that the second part lacks stops the study before the first is measured.
sed 's/^acceptance:/  - {name: more, model: agnews-gpt2, data: missing.csv, schemes: [int8]}\n&/' study.yaml >bad.yaml
expect 66 compare --study bad.yaml --output files/x.json
says 'part more' missing.csv
expect 64 compare agnews-gpt2 --study study.yaml
nothing_left
finish
