# classify.sh - known answers, every way in, and answers that depend on nothing but the text.
. "$(dirname "$0")/helpers.bash"

printf '%s\n' 'Oil prices fall as OPEC raises output and stocks rally on Wall Street' \
  'The striker scored twice as the home team won the cup final' \
  'NASA launches a new space telescope to study distant galaxies' >texts.txt
expected='Business Sports Sci/Tech'

expect 0 classify agnews-gpt2 --input texts.txt --json
lines 3
[ "$(jq -r .label out | xargs)" = "$expected" ] || fail "labels are $(jq -r .label out | xargs), expected $expected"
holds '(.scores | add) > 0.9999 and (.scores | add) < 1.0001 and .scores == (.scores | sort | reverse)'
holds '.logits == (.logits | sort | reverse)'
cp out from_file

# The same from standard input, as arguments, one by one, in another format, on other threads, on the plainest
# instruction set.
"$program" classify agnews-gpt2 - --json <texts.txt >out 2>err || fail "classify -: $(cat err)"
cmp -s out from_file || fail 'standard input answers differ from a file'
"$program" classify agnews-gpt2 --input - --json <texts.txt >out 2>err
cmp -s out from_file || fail '--input - differs from a file'
mapfile -t texts <texts.txt
expect 0 classify agnews-gpt2 "${texts[@]}" --json
cmp -s out from_file || fail 'arguments answer otherwise than a file'
: >alone
for text in "${texts[@]}"; do "$program" classify agnews-gpt2 "$text" --json >>alone; done
cmp -s alone from_file || fail 'a text alone is answered otherwise than in a batch'
jq -Rc '{text: .}' texts.txt >texts.jsonl
expect 0 classify agnews-gpt2 --input texts.jsonl --json --threads 1
cmp -s out from_file || fail 'JSONL on one thread is answered otherwise'
{ printf 'kind\tbody\n'; sed 's/^/x\t/' texts.txt; } >texts.tsv
expect 0 classify agnews-gpt2 --input texts.tsv --text-column body --json
cmp -s out from_file || fail 'a named column is answered otherwise'
expect 0 classify agnews-gpt2 --input texts.txt --json --threads 3 --isa scalar
cmp -s out from_file || fail 'scalar kernels on three threads answer otherwise'
PARE_ISA=scalar expect 0 classify agnews-gpt2 --input texts.txt --json
cmp -s out from_file || fail 'PARE_ISA=scalar answers otherwise'
expect 0 classify "$project/models/agnews-gpt2" --input texts.txt --json
cmp -s out from_file || fail 'a path answers otherwise than a name'

# For people: a table for several texts, every label for one.
expect 0 classify agnews-gpt2 --input texts.txt
prints text label score Business Sports Sci/Tech
[ "$(wc -l <out)" -eq 4 ] || fail "a table of $(wc -l <out) lines, expected 4"
expect 0 classify agnews-gpt2 "${texts[1]}"
[ "$(wc -l <out)" -eq 4 ] || fail 'one text: expected a line per label'
head -1 out | grep -q '^Sports' || fail "one text: first line is $(head -1 out)"

# Pairs come from the rows of a file.
head -20 "$mnli_jsonl" >pairs.jsonl
expect 0 classify nli-minilm --input pairs.jsonl --json
lines 20
holds '.pair and (.labels | sort) == ["CONTRADICTION","ENTAILMENT","NEUTRAL"]'
cmp -s <(jq -r .text pairs.jsonl) <(jq -r .text out) || fail 'rows are not in input order'
right=$(paste <(jq -r .label pairs.jsonl) <(jq -r .label out) | awk 'tolower($1) == tolower($2)' | wc -l)
[ "$right" -ge 10 ] || fail "nli-minilm: $right of 20 right"

# Zero-shot: phrases of one's own, names for them, independent scores, another sentence.
goal='The striker scored twice in the cup final'
expect 0 classify nli-minilm "$goal" --labels 'cooking,sports,politics' --json
holds '.label == "sports" and (.scores | add) > 0.9999 and (.scores | add) < 1.0001'
expect 0 classify nli-minilm "$goal" --labels 'A=cooking,B="sports, games",C=politics' --json
holds '.label == "B" and (.labels | sort) == ["A","B","C"]'
expect 0 classify nli-minilm "$goal" --labels 'cooking,sports' --multi-label --json
holds '.label == "sports" and .scores == (.scores | sort | reverse)'
cp out multi
expect 0 classify nli-minilm "$goal" --labels 'cooking,sports' --multi-label --template 'It is {}.' --json
cmp -s out multi && fail '--template changes nothing'
expect 0 classify nli-minilm "$goal" --labels ' A = cooking , "B "="sports, games" ,C=politics' --json
holds '.label == "B " and (.labels | sort) == ["A","B ","C"]'
expect 64 classify nli-minilm text --labels 'a,b,a'
says "'a' again"
expect 64 classify nli-minilm text --labels 'a,"b'
says '--labels'
expect 64 classify nli-minilm text --labels a,b --template 'no hole'
says '{}'
expect 65 classify agnews-gpt2 text --labels a,b
says entail

# Cutting changes the answer's input, not the row.
expect 0 classify agnews-gpt2 "${texts[0]}" --max-tokens 2 --json
holds ".text == \"${texts[0]}\""
nothing_left
finish
