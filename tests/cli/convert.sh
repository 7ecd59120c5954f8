# convert.sh - the same model in another file format: the same values, the same bytes every time, whole or not at all.
. "$(dirname "$0")/helpers.bash"
text='The striker scored twice as the home team won the cup final'

# ONNX: the file, the configuration, the tokenizer; names that onnxruntime's users expect.
expect 0 quantize agnews-gpt2 -o onnx --scheme int8 --format onnx --json
cp out record
holds '.format == "onnx" and .file == "model_quantized.onnx" and .bytes_after < .bytes_before'
weights=onnx/model_quantized.onnx
[ "$(stat -c %s $weights)" = "$(jq .bytes_after record)" ] || fail 'bytes_after is not the size of the file'
[ "$(sha256sum <$weights | cut -d' ' -f1)" = "$(jq -r .sha256 record)" ] || fail 'sha256 is not that of the file'
for file in config.json pare.json tokenizer.json tokenizer_config.json; do [ -s "onnx/$file" ] || fail "no onnx/$file"; done
[ -e onnx/model.safetensors ] && fail 'an ONNX directory holds safetensors'
holds '.scheme == "int8" and .format == "onnx" and .source[0].sha256 and (has("self_test") | not)' onnx/pare.json
holds '.model_type == "gpt2" and (has("quantization_config") | not)' onnx/config.json
for name in input_ids attention_mask logits DynamicQuantizeLinear MatMulInteger; do
  grep -qaF $name $weights || fail "the ONNX file does not name $name"
done
expect 0 quantize agnews-gpt2 -o again --scheme int8 --format onnx --threads 1
cmp -s $weights again/model_quantized.onnx || fail 'the same command gave other bytes'
expect 0 quantize agnews-gpt2 -o again --scheme int8 --format onnx --onnx-per-token
grep -qaF DynamicQuantizeLinear again/model_quantized.onnx && fail '--onnx-per-token quantizes whole inputs'
expect 69 classify onnx "$text"
says model_quantized.onnx safetensors

# A quantized directory keeps its integers.
expect 0 quantize agnews-gpt2 -o int8 --scheme int8
expect 0 convert int8 -o converted --format onnx --json
holds '.scheme == "int8" and ([.tensors[].method] | unique) == ["kept"]'
cmp -s $weights converted/model_quantized.onnx || fail 'converting the int8 directory gave other bytes than quantizing into ONNX'
expect 0 quantize agnews-gpt2 -o nf4 --scheme nf4
expect 69 convert nf4 -o files/x --format onnx
says nf4 int8

# Floats stay what they are; larger is no reason to refuse.
expect 0 convert nli-minilm -o float --format onnx --json
holds '.scheme == "f16" and .file == "model.onnx"'
[ -s float/model.onnx ] || fail 'no float/model.onnx'
expect 0 convert nli-minilm --format onnx --dry-run --json
holds ".bytes_after == $(stat -c %s float/model.onnx) and .dry_run"

# hf: the same weights in one file, every encoding; what was checked at a load still is.
for model in int8 nf4; do
  expect 0 convert $model -o copy --format hf
  cmp -s $model/model.safetensors copy/model.safetensors || fail "converting $model to hf changed the weights"
  cmp -s $model/config.json copy/config.json || fail "converting $model to hf changed config.json"
  holds '.format == "hf" and .self_test' copy/pare.json
done
expect 0 classify nf4 "$text" --json
cp out original
expect 0 classify copy "$text" --json
cmp -s out original || fail 'a converted model answers otherwise'
expect 0 convert "$project/tests/golden/data/models/gpt2-lm-sharded" -o joined --format hf
[ "$(ls joined)" = "$(printf 'config.json\nmodel.safetensors\npare.json')" ] || fail "shards gave $(ls joined)"
expect 0 logits "$project/tests/golden/data/models/gpt2-lm-sharded" --ids 5,11,2 --json
cp out original
expect 0 logits joined --ids 5,11,2 --json
cmp -s out original || fail 'joined shards answer otherwise'

# Whole or not at all, and never over what is not ours.
mkdir precious && echo keep >precious/file
expect 64 convert agnews-gpt2 -o precious --format onnx
says precious
[ "$(ls precious)" = file ] || fail 'a directory that is not ours was touched'
expect 74 convert agnews-gpt2 -o no/such/dir/model --format onnx
expect 66 convert no-such-model -o files/x --format onnx
nothing_left
finish
