# fallback.sh - the quantized model answers by default; whatever happens to it, the original still does, and it is said.
. "$(dirname "$0")/helpers.bash"

cp -r "$project/models/agnews-gpt2" m
text='Oil prices fall as OPEC raises output'

# No quantized model: the original, without a word.
expect 0 classify m "$text" --json
holds '.model_used == "original" and .fallback == null'
cp out original

expect 0 quantize m -o m/quantized --scheme int8
expect 0 classify m "$text" --json
holds '.model_used == "quantized" and .fallback == null'
cmp -s <(jq .logits out) <(jq .logits original) && fail 'the quantized model answers as the original, bit for bit'
expect 0 classify m "$text" --json --original
holds '.model_used == "original" and .fallback == null'
cmp -s <(jq .logits out) <(jq .logits original) || fail '--original does not answer as the original'
expect 0 classify m/model.safetensors "$text" --json
holds '.model_used == "quantized"'
expect 64 classify m "$text" --original --quantized m/quantized
# Commands about a file are about that file.
expect 0 info m --json
holds '.scheme == "f32"'

# fallen TEXT...: the original answered, said once and kept in the answer.
fallen() {
  ran="pare classify m after: $1"
  "$program" classify m "$text" "$text" "${@:2}" --json >out 2>err || fail "$ran: exit $?"
  [ "$(wc -l <err)" -eq 1 ] || fail "$ran: $(wc -l <err) lines on standard error"
  says 'the original answers' "$1"
  holds '.model_used == "original" and (.fallback | length > 0)'
  cmp -s <(jq -c .logits out | head -1) <(jq -c .logits original) || fail "$ran: not the original's answer"
}
mv m/quantized q
fallen 'no such file' --quantized none
ln -s nowhere m/quantized
fallen 'no such file'
rm m/quantized && printf x >m/quantized
fallen m/quantized
rm m/quantized
cp -r q m/quantized
truncate -s 100000 m/quantized/model.safetensors
fallen model.safetensors
rm -rf m/quantized && cp -r q m/quantized && rm m/quantized/model.safetensors
fallen quantized
rm -rf m/quantized && cp -r q m/quantized
# One weight changed: the file opens, its stored answer does not come out.
size=$(stat -c %s m/quantized/model.safetensors)
head -c 200000 /dev/zero | dd of=m/quantized/model.safetensors bs=1 seek=$((size / 2)) conv=notrunc status=none
fallen 'self-test'
rm -rf m/quantized && cp -r q m/quantized
jq '.id2label["0"] = "Wold"' q/config.json >m/quantized/config.json
fallen 'another model'
rm -rf m/quantized && mkdir m/quantized
fallen config.json
# An original that is no model is an error all the same.
rm m/model.safetensors
expect 66 classify m "$text"
nothing_left
finish
