# generate.sh - generate and perplexity on a tiny language model.
. "$(dirname "$0")/helpers.bash"
lm=$project/tests/golden/data/generate

expect 0 generate "$lm" 'The quick brown fox' --max-tokens 8 --json
lines 1
holds '.prompt == "The quick brown fox" and .ids == [74,74,188,188,34,30,188,204] and .finish_reason == "length"'
expect 0 generate "$lm" 'The quick brown fox' --max-tokens 24 --repetition-penalty 1.3 --json
holds '.finish_reason == "eos" and (.ids | length) == 8'
expect 0 generate "$lm" 'The quick brown fox' --max-tokens 8 --frequency-penalty 2 --json
holds '(.ids | unique | length) == 8 and .ids[0] == 74'
expect 0 generate "$lm" 'The quick brown fox' --stop 'B>' --json
holds '.finish_reason == "stop" and (.text | contains("B>") | not)'

# More ends than are held: said so.
cp -r "$lm" ends && chmod -R u+w ends
jq -n '{eos_token_id: [range(100000)]}' >ends/generation_config.json
expect 65 generate ends x --max-tokens 1
says generation_config.json eos_token_id 'at most'

# The same seed gives the same text, alone or among others, streamed or not, with one thread or two.
printf 'one\ntwo\none\n' >prompts.txt
expect 0 generate "$lm" --input prompts.txt --temperature 1.2 --top-p 0.9 --seed 4 --max-tokens 12 --json
lines 3
cp out together
expect 0 generate "$lm" two --temperature 1.2 --top-p 0.9 --seed 5 --max-tokens 12 --json --threads 1
[ "$(sed -n 2p together)" = "$(cat out)" ] || fail 'a prompt among others answers otherwise'
[ "$(sed -n 1p together | jq .ids)" != "$(sed -n 3p together | jq .ids)" ] || fail 'two seeds, one answer'
expect 0 generate "$lm" two --temperature 1.2 --top-p 0.9 --seed 5 --max-tokens 12
cp out whole
expect 0 generate "$lm" two --temperature 1.2 --top-p 0.9 --seed 5 --max-tokens 12 --stream
cmp -s out whole || fail 'the pieces streamed are not the text'

expect 64 generate "$lm"
expect 64 generate "$lm" x --temperature warm
says temperature warm
expect 64 generate "$lm" x --temperature -1
expect 64 generate "$lm" x --top-p 2
expect 64 generate "$lm" x --temperature 0 --top-k 4
expect 64 generate "$lm" x --stream --json
expect 64 generate "$lm" x y --stream
expect 64 generate "$lm" x --beams 65
expect 64 generate "$lm" x --beams 2 --temperature 1
expect 64 generate "$lm" x --presence-penalty 2.5
says presence-penalty '-2 to 2' 2.5
expect 64 generate "$lm" x --frequency-penalty much
expect 64 generate "$lm" x --beams 2 --frequency-penalty 1
says 'without beams'
expect 64 generate "$lm" x --beams 2 --early-stopping maybe
expect 0 generate "$lm" 'The quick brown fox' --beams 4 --max-tokens 9 --min-tokens 9 --json
holds '(.ids | length) == 9'
expect 64 generate agnews-gpt2 x
says 'not a language model'
expect 65 generate "$lm" "$(printf 'q%.0s' $(seq 200))"
says 'prompt 0'
expect 64 generate "$lm" x --stop $'\xC3'
expect 64 generate "$lm" x --repetition-penalty 1e-300
# Prompts go through in groups of 16: the message says which one it was all the same.
{ seq 17; printf 'q%.0s' $(seq 200); } >many.txt
expect 65 generate "$lm" --input many.txt --max-tokens 1
says 'from prompt 16' 'prompt 1:'

# Nearly no temperature is nearly greedy, not an overflow.
expect 0 generate "$lm" 'The quick brown fox' --max-tokens 8 --temperature 1e-307 --json
holds '.ids == [74,74,188,188,34,30,188,204]'

# A model whose logits are NaN: an error, not the first token for ever.
cp -r "$lm" broken
chmod -R u+w broken
header=$(od -An -tu8 -N8 broken/model.safetensors | tr -d ' ')
at=$(tail -c +9 broken/model.safetensors | head -c "$header" | jq '.["transformer.ln_f.weight"].data_offsets[0]')
printf '\0\0\300\177' | dd of=broken/model.safetensors bs=1 seek=$((8 + header + at)) conv=notrunc 2>/dev/null
expect 65 generate broken x --max-tokens 2
says 'not numbers'

# Perplexity, and a quantized model against the original.
printf 'It was a bright cold day in April, and the clocks were striking thirteen. %.0s' 1 2 3 4 5 6 7 8 >text.txt
expect 0 perplexity "$lm" --data text.txt --context 32 --stride 16 --json
holds '.tokens > 300 and .context == 32 and .perplexity > .ci95[0] and .perplexity < .ci95[1] and .bits_per_byte > 0'
expect 0 quantize "$lm" -o lm8 --scheme int8
expect 0 perplexity lm8 --base "$lm" --data text.txt --json
holds '.kl_mean > 0 and .kl_mean < 0.05 and .kl_p99 >= .kl_median and .same_top > 0.8 and .base_perplexity > 1'
expect 0 perplexity lm8 --base "$lm" --data text.txt
prints 'Mean KLD' 'Same top p' 'PPL(Q)'
cp text.txt $'\377.txt'
expect 0 perplexity "$lm" --data $'\377.txt' --context 64 --json
holds '.data == "?.txt"'
printf 'It' >two.txt
expect 0 perplexity "$lm" --data two.txt --context 2 --json
holds '.tokens == 1 and .ci95[1] == null'
expect 65 perplexity broken --data text.txt
says 'not numbers'
expect 64 perplexity "$lm"
expect 64 perplexity "$lm" --data text.txt --context 65
expect 64 perplexity "$lm" --data text.txt --context 8 --stride 8
expect 64 perplexity agnews-gpt2 --data text.txt
expect 66 perplexity "$lm" --data none.txt
printf 'x' >short.txt
expect 65 perplexity "$lm" --data short.txt
printf 'caf\351 au lait' >latin.txt
expect 65 perplexity "$lm" --data latin.txt
says latin.txt
# 0 is no number of tokens or beams, and no penalty.
for option in --max-tokens --beams --repetition-penalty; do
  expect 64 generate news-gpt2 The "$option" 0
  says "$option" 'found 0'
done
nothing_left
finish
