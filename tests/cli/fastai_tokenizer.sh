# fastai_tokenizer.sh - a model directory whose tokenizer is fastai_tokenizer.json: tokens, decoding, a quantized copy.
. "$(dirname "$0")/helpers.bash"

cp -r "$project/tests/golden/data/models/distilbert-single-label" model || exit 1
vocab='["xxunk","xxpad","xxbos","xxeos","xxfld","xxrep","xxwrep","xxup","xxmaj","the","match","ended","3","-","0","at","!","4","i","ca","n'"'"'t","believe","it",".","1","2","xxfake"]'
rules='["fix_html","replace_rep","replace_wrep","spec_add_spaces","rm_useless_spaces","replace_all_caps","replace_maj","lowercase"]'
describe() { # describe RULES VOCAB
  printf '{"type":"fastai","lang":"en","rules":%s,"post_rules":["replace_space"],"vocab":%s}\n' "$1" "$2"
}
describe "$rules" "$vocab" >model/fastai_tokenizer.json

text="The match ended 3-0 at Wembley!!!! I can't believe it."
expect 0 tokenize model "$text" --json
holds '.ids == [2,8,9,10,11,12,13,14,15,8,0,5,17,16,18,19,20,21,22,23]'
holds '.tokens[0:3] == ["xxbos","xxmaj","the"] and .tokens[10] == "xxunk" and .tokens[15:17] == ["ca","n'"'"'t"]'
cp out tokens
expect 0 tokenize model --decode 2,8,9,10 --json
holds '.text == "xxbos xxmaj the match"'
expect 0 tokenize model --decode 2,8,9,1,1 --skip-special
[ "$(cat out)" = 'xxmaj the' ] || fail "--skip-special: $(cat out)"
expect 0 tokenize model 'The match' --pair 'IT ended' --json
holds '.tokens == ["xxbos","xxfld","1","xxmaj","the","match","xxfld","2","xxup","it","ended"]'
expect 0 tokenize model "$text" --max-tokens 4 --json
holds '.ids == [2,8,9,10]'
expect 65 tokenize model $'ab\xff'
says 'expected UTF-8, found another byte at offset 2'

# The ids are the model's input, and a quantized copy keeps the tokenizer.
expect 0 logits model --text "$text" --json
cp out by_text
expect 0 logits model --ids "$(jq -r '.ids | join(",")' tokens)" --json
cmp -s out by_text || fail 'logits of the ids differ from those of the text'
expect 0 quantize model -o quantized --scheme int8 --even-if-larger
expect 0 tokenize quantized "$text" --json
cmp -s out tokens || fail 'the quantized copy has other tokens'

# Wrong descriptions.
describe '["stemming"]' "$vocab" >model/fastai_tokenizer.json
expect 65 tokenize model a
says 'model/fastai_tokenizer.json' 'fastai rule "stemming" is not implemented'
describe "$rules" '["a"]' >model/fastai_tokenizer.json
expect 65 tokenize model a
says 'expected the word for unknown words'
nothing_left
finish
