# serve_config.sh - pare serve's configuration: printed, checked, and what each mistake exits with.
. "$(dirname "$0")/helpers.bash"

expect 64 serve
says 'expected a MODEL or -c FILE'
expect 64 serve agnews-gpt2 --print-config --check-config
expect 64 serve agnews-gpt2 --print-config --json
expect 64 serve agnews-gpt2 --listen nowhere --check-config
says '--listen: expected HOST:PORT'
expect 64 serve agnews-gpt2 --threads 1025 --check-config
expect 64 serve agnews-gpt2 agnews-gpt2 --check-config
says 'named twice'
expect 66 serve no-such-model --check-config
says "no model 'no-such-model'" agnews-gpt2
expect 66 serve -c absent.yaml --check-config
says absent.yaml
expect 64 serve agnews-gpt2 --isa avx3 --check-config
says "instruction set 'avx3'"
other=neon
[ "$(uname -m)" = x86_64 ] || other=avx2
expect 69 serve agnews-gpt2 --isa $other --check-config
printf 'models: [agnews-gpt2]\nisa: %s\n' $other >files/isa.yaml
expect 69 serve -c files/isa.yaml --check-config
says 'files/isa.yaml:2: isa:'

# What is printed loads to the same, wherever it lies.
expect 0 serve agnews-gpt2 tiny=nli-minilm --listen '[::1]:0' --threads 3 --isa scalar --no-cache --quiet --print-config
prints 'listen: "[::1]:0"' 'threads: 3' 'isa: "scalar"' 'mb: 0' 'requests: false' 'name: "tiny"' 'models/nli-minilm"'
mkdir files/deep
cp out files/deep/pare.yaml
expect 0 serve -c files/deep/pare.yaml --print-config
cmp -s out files/deep/pare.yaml || fail "$ran: prints another configuration than it loaded"
expect 0 serve -c files/deep/pare.yaml --check-config --json
holds '.listen == "[::1]:0" and .api_keys == 0 and [.models[].name] == ["agnews-gpt2", "tiny"]'
holds '.models | all(.use_quantization and (.path | startswith("/")))'
expect 0 serve -c files/deep/pare.yaml tiny --original --check-config --json
holds '.models | length == 1 and .[0].name == "tiny" and (.[0].use_quantization | not)'
expect 0 serve -c files/deep/pare.yaml tiny --check-config
prints 'model    tiny ('

# Keys are never shown, and what is shown instead of them lets nobody in.
expect 0 serve agnews-gpt2 --api-key open-sesame --print-config
grep -q open-sesame out && fail 'a key is printed'
cp out files/stars.yaml
expect 65 serve -c files/stars.yaml --check-config
says 'stars.yaml:' 'api_keys.0: expected a key, found ***'
printf 'open-sesame\n' >files/keys
printf 'api_key_file: keys\nmodels: [agnews-gpt2]\n' >files/keys.yaml
expect 0 serve -c files/keys.yaml --check-config --json
holds '.api_keys == 1'

# A path beside the file goes before a shipped name.
mkdir files/agnews-gpt2
printf 'models: [agnews-gpt2, {name: other, path: nli-minilm}]\n' >files/beside.yaml
expect 0 serve -c files/beside.yaml --check-config --json
holds '(.models[0].path | endswith("/files/agnews-gpt2")) and (.models[1].path | endswith("/models/nli-minilm"))'

# Not so one in the folder where the program happens to be run; on the command line that one counts.
mkdir nli-minilm
printf 'models: [nli-minilm]\n' >files/name.yaml
expect 0 serve -c files/name.yaml --check-config --json
holds '.models[0].path | endswith("/models/nli-minilm")'
expect 0 serve nli-minilm --check-config --json
holds ".models[0].path == \"$(realpath nli-minilm)\""
rmdir nli-minilm

# A mistake names file, line and key; the server does not start with one.
printf 'models: [agnews-gpt2]\nlimits:\n  bodykb: 3\n' >files/bad.yaml
for option in --check-config --print-config --quiet; do
  expect 65 serve -c files/bad.yaml $option
  says 'files/bad.yaml:3: limits.bodykb: unknown key; did you mean limits.body_kb?'
done
printf 'models:\n  - agnews-gpt2\n  - no-such-model\n' >files/bad.yaml
expect 66 serve -c files/bad.yaml --check-config
says 'files/bad.yaml:3: models.1: no model'

expect 0 serve -c "$project/docs/pare.yaml" --check-config --json
holds '.listen == "0.0.0.0:8080" and .api_keys == 1 and [.models[].name] == ["nli-minilm", "news"]'
rm -r files/*
nothing_left
finish
