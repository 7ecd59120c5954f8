# summarize.sh - summarize, generate and logits on tiny encoder-decoders.
. "$(dirname "$0")/helpers.bash"
bart=$project/tests/golden/data/models/bart
old=$project/tests/golden/data/models/bart-f16
classifier=$project/tests/golden/data/models/bart-cls

expect 0 info "$bart" --json
holds '.arch == "bart" and .task == "text2text-generation" and .unused_tensors == 0'

# What the model's own files say; here config.json of an older directory: 3 beams, a first id, 14 ids at most.
expect 0 summarize "$old" 'one two three' --json
lines 1
holds '.text == "one two three" and .ids[0] == 0 and (.ids | length) <= 13 and (.ids | length) >= 3 and .truncated == false'
cp out own
expect 0 summarize "$old" 'one two three' --json --beams 3 --length-penalty 2 --no-repeat-ngram 2 --early-stopping true
cmp -s out own || fail 'naming what the model says anyway changes the answer'
expect 0 summarize "$old" 'one two three' --json --no-repeat-ngram 0 --min-tokens 0 --beams 1
holds '.ids | length > 0'
expect 0 summarize "$bart" 'one two three' --json --max-tokens 9 --min-tokens 9
holds '(.ids | length) <= 9 and (.ids | length) >= 8'

# A text alone answers as among others, with one thread as with two.
printf 'one\ntwo three\non and on and on\n' >texts.txt
expect 0 summarize "$bart" --input texts.txt --beams 4 --max-tokens 12 --json
lines 3
cp out together
expect 0 summarize "$bart" 'two three' --beams 4 --max-tokens 12 --json --threads 1
[ "$(sed -n 2p together)" = "$(cat out)" ] || fail 'a text among others answers otherwise'
expect 0 generate "$bart" 'two three' --beams 4 --max-tokens 12 --json
holds '.prompt == "two three" and (.finish_reason | IN("eos", "length"))'
[ "$(jq -c .ids out)" = "$(sed -n 2p together | jq -c .ids)" ] || fail 'generate and summarize differ'

# Too long a text is cut, and says so.
long=$(printf 'q%.0s' $(seq 200))
expect 0 summarize "$bart" "$long" --max-tokens 4 --json --quiet
holds '.truncated'
ran='pare summarize, a long text'
"$program" summarize "$bart" "$long" --max-tokens 4 >out 2>err || fail "$ran: exit $?"
says 'text 0' '48 tokens'

# Logits: one row for the start id, one per decoder id.
expect 0 logits "$bart" --text one --json
holds '(.logits | length) == 1 and (.logits[0] | length) == 272'
expect 0 logits "$bart" --text one --decoder-ids 2,0,17 --json
holds '(.logits | length) == 3 and .decoder_ids == [2,0,17]'
expect 64 logits "$classifier" --text one --decoder-ids 2
says 'encoder-decoders'
expect 65 logits "$bart" --text one --decoder-ids 2,272
says 'decoder id 1'
expect 0 classify "$classifier" one --json
holds '.label'

# Every tied matrix is written once and opens again.
expect 0 quantize "$bart" -o small --scheme int8 --even-if-larger
expect 0 info small --json
holds '[.tensors[].name | select(test("shared|embed_tokens|lm_head"))] == ["model.shared.weight"]'
expect 0 summarize small 'one two three' --json
holds '.ids | length > 0'

expect 64 summarize "$bart"
expect 64 summarize agnews-gpt2 x
says 'not an encoder-decoder'
expect 64 summarize "$bart" x --beams 65
expect 64 summarize "$bart" x --max-tokens 3 --min-tokens 4
says 'min-tokens'
expect 64 summarize "$bart" x --length-penalty long
expect 64 summarize "$bart" x --length-penalty 1e9

# Files that contradict themselves: the file and its key are named.
hostile() { # KEY JSON STATUS
  rm -rf bad && cp -r "$bart" bad && chmod -R u+w bad
  jq "$2" "$bart/generation_config.json" >bad/generation_config.json
  expect "$3" summarize bad x
  says generation_config.json "$1"
}
hostile eos_token_id '.eos_token_id = 272' 65
hostile min_length '.max_length = 8 | .min_length = 9' 65
hostile num_beams '.num_beams = 100000' 65
hostile decoder_start_token_id '.decoder_start_token_id = -1' 65
hostile bad_words_ids '.bad_words_ids = [[4]]' 69
for change in '.encoder_attention_heads = 5' '.decoder_attention_heads = 5' '.decoder_start_token_id = 272' '.normalize_before = true' \
  '.tie_word_embeddings = false'; do
  rm -rf bad && cp -r "$bart" bad && chmod -R u+w bad
  jq "$change" "$bart/config.json" >bad/config.json
  expect 65 info bad
  key=${change%% *}
  says config.json "${key#.}"
done
finish
