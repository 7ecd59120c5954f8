# tokens.sh - tokenize and logits.
. "$(dirname "$0")/helpers.bash"

expect 0 tokenize nli-minilm 'A man is eating.' --pair 'Someone eats.' --json
holds '.ids == [101,1037,2158,2003,5983,1012,102,2619,20323,1012,102]'
holds '.tokens == ["[CLS]","a","man","is","eating",".","[SEP]","someone","eats",".","[SEP]"]'
expect 0 tokenize nli-minilm --decode 1037,2158,2003,5983 --json
holds '.text == "a man is eating" and .ids == [1037,2158,2003,5983]'
expect 0 tokenize nli-minilm --decode 101,1037,102 --skip-special
[ "$(cat out)" = a ] || fail "--skip-special: $(cat out)"
expect 0 tokenize nli-minilm 'A man is eating.' --max-tokens 4 --json
holds '(.ids | length) == 4 and .ids[0] == 101 and .ids[3] == 102'
expect 0 tokenize nli-minilm 'A man'
prints 101 '[CLS]' man
expect 64 tokenize nli-minilm --decode 1,x
expect 64 tokenize nli-minilm text --decode 1
expect 65 tokenize nli-minilm --decode 4000000000
# Byte-level pieces decode to what went in, whatever it is.
text=$'na\u00efve \u4e2d\u6587 \U1F600  two spaces'
expect 0 tokenize agnews-gpt2 "$text" --json
expect 0 tokenize agnews-gpt2 --decode "$(jq -r '.ids | join(",")' out)"
[ "$(cat out)" = "$text" ] || fail "round trip: '$(cat out)'"

# --ids are used as given, so the ids of a text give the text's logits, digit by digit.
expect 0 logits agnews-gpt2 --text 'The match ended in a draw' --json
cp out by_text
expect 0 logits agnews-gpt2 --ids "$(jq -r '.ids | join(",")' by_text)" --json
cmp -s out by_text || fail 'logits of the ids differ from those of the text'
expect 0 classify agnews-gpt2 'The match ended in a draw' --json
[ "$(jq -c '.logits | sort' out)" = "$(jq -c '.logits[0] | sort' by_text)" ] || fail 'classify and logits disagree'
best=$(jq -r '. as $r | .logits[0] | index(max) | $r.labels[.]' by_text)
[ "$(jq -r .label out)" = "$best" ] || fail 'labels are mixed up'
expect 0 logits nli-minilm --text a --pair b
prints ENTAILMENT NEUTRAL CONTRADICTION
# Rows of a file come in order, each as if alone.
printf 'text\nfirst one\n"second, two"\n' >rows.csv
expect 0 logits agnews-gpt2 --input rows.csv --json
lines 2
cp out rows
expect 0 logits agnews-gpt2 --text 'second, two' --json
cmp -s out <(sed -n 2p rows) || fail 'a row of a file is answered otherwise than alone'
expect 65 logits agnews-gpt2 --ids "$(seq -s, 1 300)"
says 256
nothing_left
finish
