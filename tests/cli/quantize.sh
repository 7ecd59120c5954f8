# quantize.sh - written whole or not at all, smaller or refused, the same bytes every time, checked at every load.
. "$(dirname "$0")/helpers.bash"

expect 0 quantize agnews-gpt2 -o model --scheme int8 --json
cp out record
holds '.scheme == "int8" and .bytes_after < .bytes_before and (.sha256 | length) == 64'
weights=model/model.safetensors
[ "$(stat -c %s $weights)" = "$(jq .bytes_after record)" ] || fail 'bytes_after is not the size of the file'
[ "$(sha256sum <$weights | cut -d' ' -f1)" = "$(jq -r .sha256 record)" ] || fail 'sha256 is not that of the file'
for file in config.json pare.json tokenizer.json; do [ -s "model/$file" ] || fail "no $file"; done
holds '.scheme == "int8" and .source[0].sha256 and .self_test' model/pare.json
expect 0 quantize agnews-gpt2 -o again --scheme int8 --threads 1
cmp -s model/model.safetensors again/model.safetensors || fail 'the same command gave other bytes'

# It loads, says what it is, and answers as the original does.
expect 0 info model --json
holds '.scheme == "int8" and ([.tensors[].encoding] | index("int8"))'
expect 0 classify model 'The striker scored twice as the home team won the cup final' --json
holds '.label == "Sports" and .score > 0.5'
# The stored answer is checked: damaged weights do not load.
cp -r model damaged
dd if=/dev/zero of=damaged/model.safetensors bs=1024 seek=2500 count=2000 conv=notrunc 2>dd_err
[ "$(stat -c %s damaged/model.safetensors)" = "$(stat -c %s $weights)" ] || fail 'the damage changed the size'
expect 65 classify damaged text
says damaged
rm -r damaged

# A repeat replaces its own output, and nothing else.
expect 0 quantize agnews-gpt2 -o again --scheme nf4
expect 0 info again --json
holds '.scheme == "nf4"'
mkdir precious && echo keep >precious/file
expect 64 quantize agnews-gpt2 -o precious --scheme int8
says precious
[ "$(ls precious)" = file ] || fail 'a directory that is not ours was touched'

# Not smaller: refused with exit 1, unless asked for.
expect 1 quantize agnews-gpt2 -o files/large --scheme f32
says 'not smaller' '--even-if-larger'
[ -e files/large ] && fail 'a refused model was written'
expect 0 quantize agnews-gpt2 -o large --scheme f32 --even-if-larger
expect 0 classify large 'The striker scored twice as the home team won the cup final' --json
cp out copy
expect 0 classify agnews-gpt2 'The striker scored twice as the home team won the cup final' --json
cmp -s out copy || fail 'an f32 copy answers otherwise than the original'

# --keep: the named tensors in another encoding; --dry-run: the same plan, nothing written.
expect 0 quantize agnews-gpt2 -o files/none --scheme int8 --keep 'wte=f16' --keep 'c_fc=nf4' --dry-run --json
holds '[.tensors[] | select(.name | test("wte")).encoding] == ["f16"]'
holds '[.tensors[] | select(.name | test("c_fc")).encoding] | unique == ["nf4"]'
[ -e files/none ] && fail '--dry-run wrote'
expect 0 quantize agnews-gpt2 -o kept --scheme int8 --keep 'wte=f16' --keep 'c_fc=nf4' --json
holds ".bytes_after == $(stat -c %s kept/model.safetensors)"
expect 64 quantize agnews-gpt2 -o files/x --scheme int8 --keep 'wte'
expect 64 quantize agnews-gpt2 -o files/x --scheme int8 --keep '(=f16'
expect 64 quantize agnews-gpt2 -o files/x --scheme int8 --keep 'wte=f16' --keep 'no_such_tensor=f16'
says no_such_tensor 'pare info'
# 4-bit groups as compressed-tensors holds them: linear layers whose rows are whole groups, the rest F16.
expect 0 quantize nli-minilm -o packed --scheme int4 --portable --json
holds '[.tensors[] | select(.encoding == "int4")] | length == 38'
holds '[.tensors[] | select(.encoding == "f16").name] | length == 2 and all(test("embeddings"))'
holds '.quantization_config | .format == "pack-quantized" and .quant_method == "compressed-tensors" and .ignore == [] and
  (.config_groups.group_0.weights == {num_bits: 4, type: "int", symmetric: true, strategy: "group", group_size: 128, dynamic: false})' \
  packed/config.json
expect 0 info packed --json
holds '.scheme == "int4"'
# Ranges from texts: said in the record and in pare.json, and again where a report would be flattered by them.
head -61 "$agnews_csv" >few.csv
expect 0 quantize agnews-gpt2 -o static --scheme int8-static --calibrate few.csv --calibrate-rows 40 --json
holds '.calibration | .file == "few.csv" and .rows == 40 and .method == "minmax" and .clipped == 0'
holds '.calibration.sha256 == "'"$(sha256sum <few.csv | cut -d' ' -f1)"'"' static/pare.json
expect 0 quantize agnews-gpt2 -o static2 --scheme int8-static --calibrate few.csv --calibrate-rows 40 --threads 1
prints 'calibrated on 40 texts of few.csv'
cmp -s static/model.safetensors static2/model.safetensors || fail 'the same texts gave other ranges'
expect 0 compare agnews-gpt2 static --schemes int8-static,int8+prune=0.3 --calibrate few.csv --data few.csv --iterations 1 --json
holds '[.models[].calibration.same_data] == [null, true, null, true]'
holds '[.models[] | select(.pruning.stored == "dense").scheme] == ["int8+prune=0.3"]'
expect 0 compare agnews-gpt2 static --data few.csv --iterations 1
prints 'calibrated on the file it is judged on'
expect 0 compare agnews-gpt2 static --data "$agnews_csv" --limit 20 --iterations 1
grep -q 'judged on' out && fail 'other data were taken for the same'
expect 0 quantize agnews-gpt2 -o pruned --scheme int8+prune=0.30
prints 'neither size nor speed'
expect 0 info pruned --json
holds '.scheme == "int8+prune=0.3"'

nothing_left
finish
