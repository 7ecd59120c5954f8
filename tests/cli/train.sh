# train.sh - pare train from files to answers, on real texts, and what it refuses.
. "$(dirname "$0")/helpers.bash"
sms=$project/data/sms_spam_test.csv
intents=$project/data/clinc150_test.csv

expect 0 train --data "$sms" -o spam --max-bytes 3000 --json
lines 1
holds '.bytes <= 3000 and .accuracy.value > 0.93 and .accuracy.n == 102 and .labels == ["ham", "spam"] and .features > 100'
holds '(.candidates | length) == 3 and (.because | length) > 10'
[ "$(stat -c %s spam/model.safetensors)" = "$(jq .bytes out)" ] || fail 'bytes are not those of the file'
cp out first

# The same bytes on other threads and the plainest instruction set; the data's folder does not count.
mkdir other && cp "$sms" other/sms_spam_test.csv
expect 0 train --data other/sms_spam_test.csv -o spam2 --max-bytes 3000 --json --threads 3 --isa scalar
[ "$(jq -r .sha256 out)" = "$(jq -r .sha256 first)" ] || fail 'threads or instruction set change the model'
cmp -s spam/config.json spam2/config.json || fail 'config.json differs'

# Every command takes it.
expect 0 info spam --json
holds '.arch == "linear" and .task == "text-classification" and .size_bytes <= 3000 and .unused_tensors == 0'
expect 0 classify spam 'WINNER! Claim your free prize now, call 09061701461' 'are you home yet?' --json
lines 2
[ "$(jq -r .label out | xargs)" = 'spam ham' ] || fail "labels are $(jq -r .label out | xargs)"
holds '(.scores | add) > 0.99999 and (.scores | add) < 1.00001'
expect 0 classify spam '' --json
expect 0 tokenize spam 'free prize' --json
expect 0 logits spam --ids 1,2,3 --json
expect 0 eval spam --data "$sms" --json
holds '.accuracy.value > 0.95'
expect 0 bench spam --iterations 5 --json

# 32 bits, then the other encodings against it; one that is not smaller is not written.
expect 0 train --data "$intents" --precision 32 --c 3 --max-iterations 10 -o intents --json
holds '(.labels | length) == 150 and .precision == 32 and .accuracy.value > 0.6'
expect 0 compare intents --schemes int16,int8,int4,nf4 --data "$intents" --limit 300 --iterations 5 --json
holds '(.models | length) == 5 and ([.models[0,2,3].accuracy.value] | .[1] >= .[0] - 0.01 and .[2] >= .[0] - 0.05)'
expect 0 quantize intents -o intents8 --scheme int8 --json
holds '.bytes_after < .bytes_before / 3'
expect 0 quantize intents -o outliers --scheme llm-int8 --json
holds '.bytes_after < .bytes_before / 3'
expect 0 eval outliers --data "$intents" --limit 300 --json
holds '.accuracy.value > 0.6'
# Zeros of a set of features are left out: here pruning does save room.
expect 0 quantize intents -o half --scheme int8+prune=0.9 --json
holds '.bytes_after < .bytes_before / 9 and .pruning.stored == "sparse" and .pruning.sparsity >= 0.9'
expect 0 eval half --data "$intents" --limit 300 --json
expect 69 quantize intents -o x --scheme int8-static --calibrate "$intents"
says int8-static 'no activations'
expect 1 quantize intents -o larger --scheme f32
says 'not smaller'
[ -e larger ] && fail 'a file that is not smaller was written'
expect 0 convert intents -o same --format hf --json
expect 0 eval same --data "$intents" --limit 50 --json
expect 0 train --data "$intents" --prune 0.95 --c 3 --max-iterations 10 -o pruned --json
holds '.encoding == "sparse-int8" and (.because | contains("without its zeros"))'
expect 0 compare intents pruned --data "$intents" --limit 300 --iterations 5 --json

# Text for people.
expect 0 train --data "$sms" -o plain --chars 2-4 --words 0
prints 'kept: 8 bits' 'features'

# Refused.
expect 64 train -o x
says '--data'
expect 64 train --data "$sms"
says '-o'
expect 64 train --data "$sms" -o x --words 3-1
says '--words' 3-1
expect 64 train --data "$sms" -o x --words 0
expect 64 train --data "$sms" -o x --precision 4
says '--precision'
expect 64 train --data "$sms" -o x --prune 1.5
expect 64 train --data "$sms" -o x --bits 60
says bits
expect 64 train --data "$sms" -o x --max-bytes 50
says 'too few'
expect 66 train --data none.csv -o x
printf 'text,label\na b,x\nc d,\n' >gap.csv
expect 65 train --data gap.csv -o x
says 'gap.csv line 3' label
printf 'text,label\na b,x\nc d,x\n' >one.csv
expect 65 train --data one.csv -o x
says 'two labels'
printf 'text,topic\na b,x\n' >column.csv
expect 65 train --data column.csv -o x
says label
printf 'text,label\na b,odd\n' >valid.csv
expect 65 train --data "$sms" --valid valid.csv -o x
says valid.csv odd
mkdir mine && echo keep >mine/file
expect 64 train --data "$sms" -o mine
[ -e x ] && fail 'a refused run wrote something'
# What is said of the choice is what the table shows: of five weights no other precision makes a smaller file.
{ echo text,label; for i in {1..40}; do printf 'good film,pos\nbad film,neg\n'; done; } >five.csv
expect 0 train --data five.csv -o five --json
holds '.precision == 32 and (.because | startswith("32 bits: no other file is smaller"))'
holds '[.candidates[].bytes] | .[0] <= min'
nothing_left
finish
