# usage.sh - help, exit codes of each class of error, and what the messages name.
. "$(dirname "$0")/helpers.bash"

expect 64
says 'usage: pare COMMAND' 'expected a command, found none'
[ -s out ] && fail "pare: an error on standard output"
expect 0 --help
prints 'usage: pare COMMAND' classify compare 'exit codes'
expect 0 --version
grep -qxE 'pare [0-9]+\.[0-9]+\.[0-9]+' out || fail "--version: $(cat out)"

# Every command describes itself and each of its options.
common='--threads --isa --json --quiet --verbose --help'
check_help() {
  local command=$1 option
  shift
  expect 0 "$command" --help
  prints "usage: pare $command" 'example:' "pare $command "
  for option in "$@" $common; do prints "$option"; done
  cp out first
  expect 0 help "$command"
  cmp -s out first || fail "pare help $command differs from --help"
}
check_help models
check_help info
check_help schemes
check_help tokenize --pair --decode --input --text-column --max-tokens
check_help logits --text --pair --ids --input --text-column --max-tokens
check_help classify --labels --template --multi-label --input --text-column --max-tokens
check_help quantize '-o, --output' --scheme --keep --portable --format --calibrate --calibrate-rows --calibrate-method --percentile \
  --even-if-larger --dry-run --onnx-per-token
check_help convert '-o, --output' --format --onnx-per-token --dry-run
check_help eval --data --limit --labels --template --multi-label --text-column --label-column --max-tokens --seed \
  --output --report --markdown --samples
check_help compare --schemes --data --report --output --markdown --samples --gate --limit --iterations --seed \
  --text-column --label-column --labels --template --multi-label --max-tokens
check_help serve '-c, --config' --listen --api-key --original --no-cache --print-config --check-config
check_help bench --batch --length --iterations --against --seed --labels --template --multi-label --max-tokens \
  --data --text-column --limit --generate --prompt --streams
check_help load --rate --arrivals --connections --clients --warmup --duration --requests --timeout --data --text-column \
  --limit --shuffle --kind --model --max-tokens --stream --body --header --api-key --api-key-file --find-rate --p99-ms --max-error-rate \
  --max-rate --histogram --seed --remote

# 64: wrong arguments, with the nearest right one.
expect 64 clasify
says "unknown command 'clasify'" 'did you mean classify?'
expect 64 xylophone
says "unknown command 'xylophone'" 'pare --help'
expect 64 classify agnews-gpt2 text --multilabel
says 'unknown option --multilabel' 'did you mean --multi-label?'
expect 64 classify agnews-gpt2 text --qqqqqqqq
says 'unknown option --qqqqqqqq' 'classify --help'
expect 64 classify agnews-gpt2 text -z
expect 64 compare agnews-gpt2 --scheme=int8 --data "$agnews_csv"
says 'did you mean --schemes?'
expect 64 classify agnews-gpt2 text --max-tokens ten
says "--max-tokens: expected a whole number, found 'ten'"
expect 64 classify agnews-gpt2 text --max-tokens=-1
says "found '-1'"
expect 64 classify agnews-gpt2 text --threads 99999999999999999999
expect 64 classify agnews-gpt2 text --json=yes
says '--json takes no value'
expect 64 classify agnews-gpt2 text --max-tokens
says '--max-tokens: expected N after it'
expect 64 classify
expect 64 classify agnews-gpt2
says 'expected TEXT'
expect 64 classify agnews-gpt2 text --input "$agnews_csv"
expect 64 classify agnews-gpt2 text --labels a,,b
expect 64 tokenize agnews-gpt2 a b --pair c
expect 64 logits agnews-gpt2 --text a --ids 1
expect 64 logits agnews-gpt2
expect 64 info
expect 64 models extra
expect 64 quantize agnews-gpt2 -o files/x
says '--scheme'
expect 64 quantize agnews-gpt2 --scheme int8
says '-o OUT'
expect 64 quantize agnews-gpt2 -o files/x --scheme int9
says int9 int8
expect 64 quantize agnews-gpt2 -o files/x --scheme int8 --format tar
expect 64 convert
expect 64 convert agnews-gpt2 -o files/x
says '--format'
expect 64 convert agnews-gpt2 --format onnx
says '-o OUT'
expect 64 convert agnews-gpt2 -o files/x --format tar
says "found 'tar'"
expect 64 convert agnews-gpt2 -o files/x --format hf --onnx-per-token
expect 64 quantize agnews-gpt2 -o files/x --scheme int8 --onnx-per-token
says '--onnx-per-token' '--format onnx'
expect 64 eval agnews-gpt2
says '--data'
expect 64 compare agnews-gpt2 --data "$agnews_csv"
says '--schemes'
expect 64 compare agnews-gpt2 --schemes int8
says '--data'
expect 64 bench agnews-gpt2 --batch 0
says 'at least 1, found 0'
expect 64 bench agnews-gpt2 --length 1,x
expect 64 bench agnews-gpt2 --generate 4
says 'agnews-gpt2: expected a model that generates text'
expect 64 bench agnews-gpt2 --prompt 4
says '--prompt and --streams go with --generate'
expect 64 bench agnews-gpt2 --generate 4 --batch 2
says '--generate goes with --prompt and --streams'
expect 64 bench agnews-gpt2 --data "$agnews_csv" --length 4
says '--data: the texts are one batch'
expect 64 bench agnews-gpt2 --limit 4
says '--limit and --text-column go with --data'
expect 64 bench "$project/tests/golden/data/generate" --generate 99999999
says 'a prompt and new tokens of up to'
expect 64 logits agnews-gpt2 --ids 1,,2
says '--ids' '1,,2'
expect 64 classify agnews-gpt2 text --template 'about {}'
says '--template goes with --labels'
expect 64 eval agnews-gpt2 --data "$agnews_csv" --template 'about {}'
expect 64 eval agnews-gpt2 --data "$agnews_csv" --output files/same --report files/same
says 'files/same' twice
# Numbers beyond what can be done are refused, not tried.
expect 64 classify agnews-gpt2 text --threads 99999999999999
says 'at most 1024 threads'
expect 64 bench agnews-gpt2 --iterations 18446744073709551615
says 'at most 100000 iterations'
expect 64 compare agnews-gpt2 --schemes f16 --data "$agnews_csv" --iterations 100001
expect 64 eval agnews-gpt2 --data "$agnews_csv" --seed 9007199254740992
says '9007199254740991'

# 65: files that are there and wrong, by name and line.
printf 'text,label\na,World\n"b,World\n' >broken.csv
expect 65 eval agnews-gpt2 --data broken.csv
says 'broken.csv line 3' 'closing quotation mark'
printf 'headline,topic\na,World\n' >columns.csv
expect 65 eval agnews-gpt2 --data columns.csv
says 'columns.csv line 1' "'text'" 'headline, topic'
printf '\n\n' >blank.csv
expect 65 eval agnews-gpt2 --data blank.csv
says "'text'" 'empty line'
head -c 4096 "$program" >binary.csv
expect 65 eval agnews-gpt2 --data binary.csv
says binary.csv
: >empty.txt
expect 65 classify agnews-gpt2 --input empty.txt
expect 65 classify agnews-gpt2 --input .
printf '{"text":"a"}\n{"txt":"b"}\n' >rows.jsonl
expect 65 classify agnews-gpt2 --input rows.jsonl
says 'rows.jsonl line 2' "'text'" txt
printf 'text,label\na,Weather\n' >labels.csv
expect 65 eval agnews-gpt2 --data labels.csv
says 'labels.csv line 2' Weather 'World, Sports, Business, Sci/Tech'
cp labels.csv labels.xml
expect 65 eval agnews-gpt2 --data labels.xml
says .jsonl
mkdir broken_model && echo '{"model_type": "gpt2",' >broken_model/config.json
expect 65 info broken_model
says config.json
expect 65 classify agnews-gpt2 $'\xff\xfe'
expect 65 logits agnews-gpt2 --ids 99999999
says 99999999

# 66: not there.
expect 66 info no-such-model
says no-such-model agnews-gpt2 nli-minilm
expect 66 info ./no/such/path
expect 66 eval agnews-gpt2 --data none.csv
says none.csv
expect 66 compare agnews-gpt2 --schemes int8 --data "$agnews_csv" --gate none.yaml
says none.yaml

# 69: named by the documentation, not here.
for command in tune; do
  expect 69 "$command"
  says "$command is not built yet"
  expect 69 "$command" agnews-gpt2 --some-option
done
expect 69 quantize agnews-gpt2 -o files/x --scheme int8 --format gguf
says gguf
expect 64 quantize agnews-gpt2 -o files/x --scheme int8 --calibrate "$agnews_csv"
expect 64 quantize agnews-gpt2 -o files/x --scheme int8-static
expect 64 quantize agnews-gpt2 -o files/x --scheme int8-static --calibrate "$agnews_csv" --calibrate-method median
expect 64 quantize agnews-gpt2 -o files/x --scheme int8-static --calibrate "$agnews_csv" --percentile 99
expect 64 quantize agnews-gpt2 -o files/x --scheme int8-static --calibrate "$agnews_csv" --calibrate-method percentile --percentile 0
expect 66 quantize agnews-gpt2 -o files/x --scheme int8-static --calibrate files/none.csv
expect 64 compare agnews-gpt2 --schemes int8,int8-static --data "$agnews_csv"
expect 64 compare agnews-gpt2 --schemes int8 --data "$agnews_csv" --calibrate "$agnews_csv"
expect 69 convert agnews-gpt2 -o files/x --format gguf
expect 69 quantize agnews-gpt2 -o files/x --scheme nf4 --format onnx
says nf4 onnx 'int8-tensor'
expect 69 quantize agnews-gpt2 -o files/x --scheme llm-int8 --format onnx
says llm-int8 onnx 'int8-tensor'
expect 69 quantize agnews-gpt2 -o files/x --scheme int8-static --calibrate "$agnews_csv" --calibrate-rows 4 --format onnx
says int8-static onnx 'int8-tensor'
expect 69 quantize agnews-gpt2 -o files/x --scheme q4_k
says q4_k
expect 69 compare agnews-gpt2 --schemes q4_k --data "$agnews_csv" --limit 1
mkdir odd_model && echo '{"model_type": "walrus"}' >odd_model/config.json
: >weights.gguf
expect 69 info weights.gguf
says weights.gguf safetensors
expect 65 info labels.csv
says labels.csv '.safetensors'
expect 69 info odd_model
says walrus gpt2
case $(uname -m) in
  x86_64)
    expect 69 info agnews-gpt2 --isa neon
    expect 69 info agnews-gpt2 --isa neon_i8mm
    ;;
  *) expect 69 info agnews-gpt2 --isa avx2 ;;
esac

# 74: cannot write.
"$program" schemes >/dev/full 2>err
[ $? -eq 74 ] || fail "schemes to a full device: exit is not 74"
grep -q '^pare: .*standard output' err || fail "schemes to a full device: no message"
{ "$program" info agnews-gpt2 2>err; echo $? >status; } | true
case $(cat status) in 0 | 74) ;; *) fail "a reader that goes away: exit $(cat status)" ;; esac
# A closed descriptor is not taken over by a file that is opened.
printf 'Some text\n' >closed.txt
"$program" eval agnews-gpt2 --data closed.txt --output closed.json >&- 2>err
[ $? -eq 74 ] || fail 'eval with standard output closed: exit is not 74'
jq -e .models closed.json >/dev/null || fail 'eval with standard output closed: no record'
"$program" classify agnews-gpt2 - <&- >out 2>err
[ $? -eq 65 ] || fail 'classify - with standard input closed: exit is not 65'
expect 74 eval agnews-gpt2 --data "$agnews_csv" --limit 1 --output no/such/dir/record.json
says no/such/dir
expect 74 quantize agnews-gpt2 -o no/such/dir/model --scheme int8

nothing_left
finish
