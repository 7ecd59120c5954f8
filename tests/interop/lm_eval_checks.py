"""lm_eval_checks.py - lm-eval's `local-completions` over `pare serve` against its own `hf` model on the same directory.

Three local tasks over data/: AG News as multiple choice (log likelihoods of continuations), continuations of prompts (greedy
texts), whole texts (rolling log likelihoods, from which perplexity follows). Both sides compute in float32.
"""
import contextlib
import csv
import json
import os

import torch

BUDGET = 1e-3   # of a log likelihood
ROWS, PROMPTS, WHOLE = 40, 8, 6
TOPICS = [" world politics", " sports", " business and money", " technology"]
LONGEST = 256   # of news-gpt2


def write_rows(path, rows):
    with open(path, "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


def write_task(folder, name, rows, **task):
    data, cache = os.path.join(folder, f"{name}.jsonl"), os.path.join(folder, "cache")
    write_rows(data, rows)
    task = {"task": name, "dataset_path": "json", "test_split": "test", "metadata": {"version": 1},
            "dataset_kwargs": {"data_files": {"test": data}, "cache_dir": cache}, **task}
    with open(os.path.join(folder, f"{name}.yaml"), "w") as f:
        json.dump(task, f, indent=1)   # which is YAML, too


def write_tasks(project, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(project, "data", "ag_news_test.csv"), newline="") as f:
        news = list(csv.DictReader(f))
    with open(os.path.join(project, "data", "news_prompts.txt")) as f:
        prompts = [line.strip() for line in f if line.strip()][:PROMPTS]
    order = {"World": 0, "Sports": 1, "Business": 2, "Sci/Tech": 3}
    step = len(news) // ROWS
    chosen = [{"text": row["text"][:300], "gold": order[row["label"]]} for row in news[::step][:ROWS]]
    accuracy = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
    write_task(folder, "pare_news", chosen, output_type="multiple_choice", doc_to_text="{{text}} This is about",
               doc_to_choice=TOPICS, doc_to_target="gold", target_delimiter="", metric_list=[accuracy])
    write_task(folder, "pare_prompts", [{"text": p} for p in prompts], output_type="generate_until", doc_to_text="{{text}}",
               doc_to_target="", generation_kwargs={"until": ["."], "max_gen_toks": 24, "do_sample": False, "temperature": 0},
               metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}])
    write_task(folder, "pare_whole", [{"text": row["text"]} for row in news[:WHOLE]], output_type="loglikelihood_rolling",
               doc_to_text="", doc_to_target="{{text}}",
               metric_list=[{"metric": "byte_perplexity", "aggregation": "weighted_perplexity", "higher_is_better": False}])


def evaluate(folder, model, arguments, **options):
    import lm_eval
    from lm_eval.tasks import TaskManager
    tasks = TaskManager(include_path=folder, include_defaults=False)
    with open(os.path.join(folder, "progress.log"), "a") as log, contextlib.redirect_stderr(log):
        return lm_eval.simple_evaluate(model=model, model_args=arguments, task_manager=tasks, bootstrap_iters=0, log_samples=True,
                                       tasks=["pare_news", "pare_prompts", "pare_whole"], **options)


def answers(result, task):
    return [s["filtered_resps"] for s in sorted(result["samples"][task], key=lambda s: s["doc_id"])]


def compare(lab, how, ours, theirs):
    a, b = (answers(r, "pare_news") for r in (ours, theirs))
    pairs = [(x, y) for rows in zip(a, b, strict=True) for x, y in zip(*rows, strict=True)]
    worst = max(abs(float(x[0]) - float(y[0])) for x, y in pairs)
    lab.check(f"lm-eval {how}: log likelihoods are hf's", len(pairs) == ROWS * len(TOPICS) and worst <= BUDGET,
              f"{len(pairs)} continuations, largest difference {worst:.1e}, budget {BUDGET:.0e}")
    lab.check(f"lm-eval {how}: which are greedy", all(str(x[1]) == str(y[1]) for x, y in pairs))
    accuracy = [r["results"]["pare_news"]["acc,none"] for r in (ours, theirs)]
    lab.check(f"lm-eval {how}: accuracy is hf's", accuracy[0] == accuracy[1], accuracy)
    a, b = (answers(r, "pare_prompts") for r in (ours, theirs))
    lab.check(f"lm-eval {how}: generated texts are hf's", a == b and len(a) == PROMPTS, (a[0], b[0]))
    a, b = ([float(x[0][0] if isinstance(x[0], (list, tuple)) else x[0]) for x in answers(r, "pare_whole")] for r in (ours, theirs))
    worst = max(abs(x - y) for x, y in zip(a, b, strict=True))
    lab.check(f"lm-eval {how}: log likelihoods of whole texts are hf's", worst <= BUDGET, f"largest difference {worst:.1e} of {b[0]:.1f}")


def run(lab):
    os.environ.setdefault("OPENAI_API_KEY", "none")
    folder, path = os.path.join(lab.work, "lm-eval-tasks"), lab.model("news-gpt2")
    write_tasks(lab.project, folder)
    torch.set_grad_enabled(False)
    theirs = evaluate(folder, "hf", {"pretrained": path, "dtype": "float32", "max_length": LONGEST}, device="cpu", batch_size=1)
    with lab.serve("lm-eval", ["news-gpt2"]) as server:
        for tokenized in (True, False):
            arguments = {"base_url": f"{server.url}/v1/completions", "model": "news-gpt2", "tokenizer": path, "max_length": LONGEST,
                         "tokenized_requests": tokenized, "num_concurrent": 2, "max_retries": 1}
            ours = evaluate(folder, "local-completions", arguments, batch_size=1)
            compare(lab, f"tokenized_requests={tokenized}", ours, theirs)
