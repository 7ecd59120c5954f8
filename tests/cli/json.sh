# json.sh - with --json standard output is one object per line and nothing else, with the fields that are promised.
. "$(dirname "$0")/helpers.bash"

expect 0 models --json
holds '[.name, .arch, .task, .path] | all(type == "string")'
holds '.parameters > 0 and .size_bytes > 0'
lines "$(find "$project/models" -mindepth 1 -maxdepth 1 -type d | wc -l)"
expect 0 schemes --json
holds '["name","bits_per_weight","encoding","method","calibrated","formats"] - keys == []'
lines "$(jq -s length out)"
grep -q '"name":"int8"' <(jq -c . out) || fail 'schemes lacks int8'
expect 0 info agnews-gpt2 --json
lines 1
holds '.arch == "gpt2" and .labels == ["World","Sports","Business","Sci/Tech"] and (.tensors | length) > 10'
holds '(.tensors | all(has("name") and has("shape") and has("encoding") and has("bytes")))'
holds '.size_bytes >= ([.tensors[].bytes] | add)'
expect 0 tokenize agnews-gpt2 'one' 'two three' --json
lines 2
holds '(.ids | length) == (.tokens | length) and (.ids | length) > 0'
expect 0 logits agnews-gpt2 --text 'The match ended in a draw' --json
lines 1
holds '(.logits | length) == 1 and (.logits[0] | length) == 4 and (.labels | length) == 4 and (.ids | length) > 3'
expect 0 classify agnews-gpt2 'one "quoted"' $'two\nlines\ttab' --json
lines 2
holds '(.scores | length) == 4 and .label == .labels[0] and .score == .scores[0]'
holds '(.labels | sort) == ["Business","Sci/Tech","Sports","World"] and (.logits | length) == 4'
[ "$(jq -r .text out)" = $'one "quoted"\ntwo\nlines\ttab' ] || fail "classify --json: the texts came back changed"
expect 0 quantize agnews-gpt2 --scheme int8 --dry-run --json
lines 1
holds '.scheme == "int8" and .bytes_after < .bytes_before and (.tensors | length) > 10 and has("sha256")'
holds '.tensors | all(["name","encoding","method","bytes","sqnr_db","cosine"] - keys == [])'
expect 0 eval agnews-gpt2 --data "$agnews_csv" --limit 16 --json
lines 1
holds '.accuracy.n == 16 and (.accuracy.ci95 | length) == 2 and (.per_class | length) == 4'
holds '.dataset.n == 16 and .machine.cpu'
holds 'has("precision_macro") and has("recall_macro") and has("f1_macro") and has("ece") and (.confusion | length) == 4'
expect 0 bench agnews-gpt2 --length 4,8 --batch 1,2 --iterations 3 --json
lines 4
holds '.shape.batch and .shape.length and .latency_ms.n == 3'
holds '.tokens_per_s > 0 and .gops > 0 and .rss_bytes > 0 and .load_ms > 0'
holds '.latency_ms.p99 == null and (.latency_ms.p99_reason | length) > 0'
expect 0 bench agnews-gpt2 --max-tokens 20 --iterations 1 --json
lines 2
holds '.shape.length | . == 16 or . == 20'
holds '[.load_ms, .tokenizer_ms, .self_test_ms, .open_ms, .size_bytes] | all(type == "number")'
expect 0 bench agnews-gpt2 --data "$agnews_csv" --limit 4 --max-tokens 32 --against agnews-gpt2 --iterations 3 --json
lines 1
holds '.shape.texts == 4 and .shape.tokens <= 128 and .shape.longest <= 32 and .against.shape == .shape'
holds '.latency_ms.n == 3 and .tokens_per_s > 0 and .against.ratio.value > 0'
expect 0 bench "$project/tests/golden/data/generate" --generate 4 --prompt 3,5 --streams 1,2 --iterations 3 --json
lines 4
holds '.shape.streams and .shape.prompt and .shape.generate == 4 and .first_token_ms.n == 3 and .token_ms.median > 0'
holds '.prefill.tokens_per_s > 0 and .decode.tokens_per_s > 0 and .decode.gb_per_s > 0 and .rss_bytes > 0 and .load_ms > 0'
expect 0 compare agnews-gpt2 --schemes int8 --data "$agnews_csv" --limit 16 --iterations 3 --json
lines 1
holds '.task and .dataset.sha256 and .machine.isa and (.models | length) == 2 and (.recommendations | length) > 0'
holds '.models | all(.name and .scheme and .size_bytes and .bytes.embedding and .compression and .load_ms and .rss_bytes
  and .latency_ms.median and .throughput and .accuracy.value and .per_class and .confidence.mean)'
holds '.models[1].against_base | has("identical_rate") and .accuracy_delta.ci95 and has("flips") and has("mcnemar_p")
  and has("confidence_delta_mean") and has("kl_mean") and .speedup == null and (.speedup_reason | length) > 0'
holds '.gate == null and .gate_reason == "no gate file"'
holds '[.recommendations[] | select(.priority == "overall")][0].because | contains("speed unknown: n too small")'
expect 0 compare agnews-gpt2 --schemes int8 --data "$agnews_csv" --limit 16 --iterations 20 --json
holds '.models[1].against_base.speedup.ci95 | length == 2'

# Notes go to standard error, and --verbose does not spoil the output.
"$program" classify agnews-gpt2 text --json --verbose >out 2>err
ran='classify --verbose'
lines 1
says threads
nothing_left
finish
