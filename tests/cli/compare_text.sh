# compare_text.sh - the main job on models that write text: their record, their pages, their gates, and what is refused.
. "$(dirname "$0")/helpers.bash"

prompts=$project/data/news_prompts.txt
printf 'max_ppl_increase: 0.5\nmax_mean_kl: 1\nmin_len_ratio: 0.1\n' >pass.yaml
expect 0 compare news-gpt2 --schemes int8,nf4 --data "$prompts" --limit 20 --iterations 3 --max-tokens 10 --gate pass.yaml \
  --output record.json --markdown report.md --report report.html --samples samples.jsonl
prints 'Likeness' 'Perplexity' 'Same next token' 'ms/token' 'Verdict: PASS'
grep -q 'side by side' report.md || fail 'no answers side by side in the Markdown'
grep -q 'side by side' report.html || fail 'no answers side by side on the page'
holds '.outcome == "text" and .generation.max_tokens == 10 and .dataset.n == 20' record.json
holds '.models[0].similarity == null and .models[0].accuracy == null and .models[0].perplexity.tokens > 20' record.json
holds '.models[1:] | all(.similarity | .char.min <= .char.mean and .exact.n == 20 and .token_jaccard.max <= 1)' record.json
holds '.models[1:] | all(.against_base | .same_top.n > 20 and .kl_mean > 0 and .perplexity_ratio.value > 0)' record.json
holds '.models | all(.rouge == null and (.rouge_reason | length) > 0)' record.json
holds '[.recommendations[].priority] | index("quality") != null' record.json
[ "$(wc -l <samples.jsonl)" -eq $((3 * (20 + 3))) ] || fail "samples: $(wc -l <samples.jsonl) lines"

# Three texts measure nothing: numbers without intervals, no advice on quality, no verdict.
printf 'max_ppl_increase: 0.5\n' >few.yaml
expect 2 compare news-gpt2 --schemes int8 --data "$prompts" --limit 3 --iterations 3 --max-tokens 4 --gate few.yaml --output few.json
prints 'n too small: 3 texts, 20 needed'
holds '.models[1].against_base.perplexity_ratio | .value > 0 and .ci95 == null' few.json
holds '[.recommendations[].priority] == ["size"]' few.json
says INCONCLUSIVE

# A study of texts says what is known of them, with its interval.
cat >texts.yaml <<YAML
title: A study of one writer
parts:
  - {name: news, model: news-gpt2, data: $prompts, schemes: [int8], limit: 20, iterations: 3, max_tokens: 8}
acceptance:
  - {metric: perplexity_increase, max: 50}
  - {metric: ms_per_token, max: 100000}
YAML
expect 0 compare --study texts.yaml --output texts.json --markdown texts.md
holds '[.derived.acceptance[].status] == ["PASS", "PASS"]' texts.json
holds '.derived.acceptance[0].text | test("95 % interval")' texts.json
holds '.derived.verdicts[0] | .reason | test("perplexity .* (no measurable change|measurably)")' texts.json
holds '[.derived.advice[].when] | index("If the quality of the text is critical") != null' texts.json
expect 2 compare --study texts.yaml --limit 5 --output few.json
holds '[.derived.acceptance[].status] == ["INCONCLUSIVE", "PASS"] and .derived.verdicts[0].verdict == "smaller, quality unknown"' few.json

# A reference makes ROUGE; a model that copies it word for word would have 1.
printf '{"text": "The company is", "summary": "the first time"}\n{"text": "Oil prices"}\n' >refs.jsonl
expect 0 eval news-gpt2 --data refs.jsonl --max-tokens 5 --json
holds '.rouge.n == 1 and .rouge.rougeL.value <= 1 and .dataset.references == 1 and .generated.tokens <= 10'
expect 0 eval news-gpt2 --data refs.jsonl --max-tokens 5 --temperature 0.9 --top-k 5 --seed 3 --json
cp out drawn
expect 0 eval news-gpt2 --data refs.jsonl --max-tokens 5 --temperature 0.9 --top-k 5 --seed 3 --json
[ "$(jq -c '[.rouge.rouge1, .generated.finish_reason]' out)" = "$(jq -c '[.rouge.rouge1, .generated.finish_reason]' drawn)" ] ||
  fail 'the same seed drew otherwise'
expect 65 eval news-gpt2 --data refs.jsonl --reference-column title
says refs.jsonl "'title'"

# An encoder-decoder answers as its own configuration says, and is held against the references.
titles=$project/data/wiki_titles_test.jsonl
expect 0 compare wiki-title-bart --schemes int8 --data "$titles" --limit 12 --iterations 2 --output titles.json
prints 'Answers against the references' 'ROUGE-L' 'Perplexity of the references'
holds '.models | all(.rouge.n == 12 and .rouge.rougeL.value > 0.4 and .perplexity.of == "references")' titles.json
holds '.models[1].against_base | .rougeL_rel.value > 0.8 and .len_ratio.value > 0.5 and .same_top.value > 0.8' titles.json
holds '.generation.max_tokens == 0 and .models[0].generated.finish_reason.eos == 12' titles.json

expect 64 eval news-gpt2 --data "$prompts" --labels a,b
says labels
expect 64 eval agnews-gpt2 --data "$agnews_csv" --limit 2 --temperature 1
says classifies
expect 65 compare news-gpt2 agnews-gpt2 --data "$prompts" --limit 2
says text-generation text-classification
nothing_left
finish
