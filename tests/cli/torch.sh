# torch.sh - files of torch.save and a fastai export as MODEL; a file that would run something runs nothing, is refused
# by the name of what it would run, and leaves no trace.
. "$(dirname "$0")/helpers.bash"
data=$project/tests/golden/data/torch

# ---- what would run ----

evil='\x80\x02cos\nsystem\nX\x10\x00\x00\x00touch pare-was-1\x85R.'
legacy='\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.'
printf "$evil" >evil.pkl
printf "$legacy$evil" >evil.pth
printf "$legacy"'\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x16open("pare-was-2","w")\x85R.' >eval.bin
printf "$legacy"'(X\x10\x00\x00\x00touch pare-was-3iposix\nsystem\n.' >inst.pt
for file in evil.pth:os.system eval.bin:builtins.eval inst.pt:posix.system; do
  expect 65 info "${file%%:*}"
  says "names ${file##*:}, " 'nothing was run'
  expect 65 classify "${file%%:*}" text
  expect 65 quantize "${file%%:*}" -o out-dir --scheme int8
done
printf "cos\nsystem\n(S'touch pare-was-4'\ntR." >text.pkl # protocol 0
for file in evil.pkl text.pkl; do
  expect 65 info $file
  says 'not written by torch.save' 'names os.system, ' 'nothing was run'
done
mkdir dir
cp evil.pth dir/pytorch_model.bin
cp "$data/models/zip/config.json" dir
expect 65 info dir
says 'os.system'
cp evil.pth dir/export.pkl
rm dir/config.json
expect 65 info dir
says 'os.system'
[ -z "$(find . "$project" -maxdepth 1 -name 'pare-was-*')" ] || fail 'something ran'
[ ! -e out-dir ] || fail 'an output of a refused file'

# ---- what is not such a file ----

printf 'hello' >text.pth
expect 65 info text.pth
says 'not written by torch.save'
head -c 20000 "$data/models/zip/pytorch_model.bin" >cut.bin
expect 65 info cut.bin
says 'cut.bin: a zip archive without its directory; truncated?'
cp "$data/models/zip/pytorch_model.bin" alone.bin
expect 66 info alone.bin
says 'expected ./config.json'

# ---- a checkpoint ----

expect 0 logits "$data/models/zip" --ids 1,2,3 --json
cp out from_torch
expect 0 logits "$project/tests/golden/data/models/bert-relu" --ids 1,2,3 --json
cmp -s out from_torch || fail 'pytorch_model.bin answers otherwise than model.safetensors'
expect 0 quantize "$data/models/legacy" -o small --scheme int8 --json
holds '.bytes_after < .bytes_before'
expect 0 logits small --ids 1,2,3 --json

# ---- a fastai export ----

export=$data/fastai/export.pkl
expect 0 info "$export" --json
holds '.arch == "awd_lstm" and .labels == ["call", "order", "thanks"] and .task == "text-classification"'
expect 0 classify "$export" 'please call me' --json
holds '.scores | add > 0.9999 and add < 1.0001'
cp out from_export
expect 0 quantize "$export" -o dir32 --scheme f32 --even-if-larger
for file in config.json model.safetensors fastai_tokenizer.json pare.json; do [ -s "dir32/$file" ] || fail "no $file"; done
expect 0 classify dir32 'please call me' --json
cmp -s out from_export || fail 'the directory answers otherwise than the export it was made of'
printf 'text,label\nplease call me,call\nthanks,thanks\n' >texts.csv
expect 0 compare "$export" --schemes f16,int8 --data texts.csv --json
holds '.models | length == 3 and all(.accuracy.n == 2)'
expect 0 tokenize "$export" 'Call ME!!!!' --json
holds '.tokens | index("xxrep") and index("xxmaj") and index("xxup")'

# The same weights as Learner.save leaves them: config and words have to lie beside.
mkdir saved
cp "$data/fastai/model.pth" saved
expect 66 classify saved/model.pth 'please call me'
says 'weights alone: expected saved/config.json'
jq '{model_type, architectures, pad_token_id, bptt, max_length, id2label}' dir32/config.json >saved/config.json
cp dir32/fastai_tokenizer.json saved
expect 0 classify saved/model.pth 'please call me' --json
cmp -s out from_export || fail 'weights of Learner.save answer otherwise than the export'

nothing_left
finish
