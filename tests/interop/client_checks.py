"""Clients of other servers against `pare serve`: a part of check_interop.py.

openai           the openai package: completions whole and streamed, token log probabilities, errors, models, embeddings
lm-eval          local-completions over the server: the log-likelihoods, and which are greedy, of lm-eval's own `hf` model
huggingface_hub  InferenceClient: classes, zero-shot, summaries and continuations, against transformers
"""
import contextlib
import json
import os
import shutil
import subprocess
import time

import openai
import torch
from huggingface_hub import InferenceClient, constants
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalCompletionsAPI
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

BUDGET = 1e-4   # of a log probability or a score: f32 on both sides, sums in another order
PROMPT = "Oil prices fell on Monday as"
PAIRS = [(PROMPT, " the US"), ("Oil prices fell on", " Monday"), ("Oil prices fell on", " the banana café"), ("The team won the", " game"),
         ("The team won the", " championship on Sunday €5"), ("Microsoft said", " it will release an update")]
TEXT = "The city of Berlin is the capital of Germany. It lies on the river Spree."
EMBEDDED = ["a cat sat", "Oil prices rose sharply after the meeting of the cartel", "", "x " * 700]


@contextlib.contextmanager
def server(pare, work, models):
    """Its address; models: name to path."""
    log = os.path.join(work, "serve.log")
    with open(log, "w") as out:
        process = subprocess.Popen([pare.program, "serve", "--listen", "127.0.0.1:0", "--original",
                                    *(f"{name}={path}" for name, path in models.items())], stdout=out, stderr=out)
    try:
        yield wait_for(process, log)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(process, log):
    for _ in range(600):
        if process.poll() is not None:
            break
        with open(log) as f:
            for line in f:
                if '"event":"ready"' in line:
                    return json.loads(line)["url"]
        time.sleep(0.1)
    with open(log) as f:
        raise RuntimeError(f"pare serve did not begin: {f.read()[-500:]}")


def make_encoder(source, out):
    """The entailment model without its head."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(source, out)
    with open(os.path.join(out, "config.json")) as f:
        config = json.load(f)
    config["architectures"] = ["DistilBertModel"]
    with open(os.path.join(out, "config.json"), "w") as f:
        json.dump(config, f)
    return out


def within(report, name, differences):
    worst = max(differences)
    report.check(name, worst <= BUDGET, f"largest difference {worst:.2e} of {len(differences)}")


# ---- openai ----

def check_completions(report, client, path):
    ask = {"model": "news", "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
    whole = client.completions.create(**ask, logprobs=5, echo=True)
    chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    choice, text = whole.choices[0], "".join(c.choices[0].text for c in chunks if c.choices)
    report.check("openai stream", PROMPT + text == choice.text and chunks[-1].usage.total_tokens == whole.usage.total_tokens,
                 f"{len(chunks)} chunks say {text!r}")
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    ids = tokenizer(choice.text, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0].tolist()
    got = choice.logprobs.token_logprobs
    report.check("openai echo", got[0] is None and "".join(choice.logprobs.tokens) == choice.text
                 and len(got) == len(expected) + 1, f"{len(got)} tokens make up the text")
    within(report, "openai logprobs", [abs(a - b) for a, b in zip(got[1:], expected)])
    report.check("openai offsets", all(choice.text[o:].startswith(t) for o, t in
                                       zip(choice.logprobs.text_offset, choice.logprobs.tokens)), "where tokens begin")


def check_errors(report, client):
    wrong = [({"model": "nobody", "prompt": "a"}, openai.NotFoundError, "model"),
             ({"model": "news", "prompt": "a", "max_tokens": -1}, openai.BadRequestError, "max_tokens"),
             ({"model": "nli", "prompt": "a"}, openai.BadRequestError, "model")]
    for ask, kind, param in wrong:
        try:
            client.completions.create(**ask)
            report.check(f"openai error {param}", False, "answered")
        except openai.APIStatusError as error:
            report.check(f"openai error {param}", isinstance(error, kind) and error.param == param, error.body["message"])
    report.check("openai models", client.models.retrieve("news").id == "news"
                 and {m.id for m in client.models.list()} == {"news", "nli", "titles", "encoder"}, "listed")


def check_embeddings(report, client, path):
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path, dtype=torch.float32).eval()
    packed = client.embeddings.create(model="encoder", input=EMBEDDED)   # base64, unless it is told otherwise
    short = client.embeddings.create(model="encoder", input=EMBEDDED, encoding_format="float", dimensions=16)
    differences = []
    for i, text in enumerate(EMBEDDED):
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=512).input_ids
        with torch.no_grad():
            mean = model(ids).last_hidden_state[0].mean(0)
        normalize = torch.nn.functional.normalize
        differences.append((torch.tensor(packed.data[i].embedding) - normalize(mean, dim=0)).abs().max().item())
        differences.append((torch.tensor(short.data[i].embedding) - normalize(mean[:16], dim=0)).abs().max().item())
    within(report, "openai embeddings", differences)


# ---- lm-eval ----

def check_lm_eval(report, url, path):
    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(PAIRS)]
    served = LocalCompletionsAPI(base_url=url + "/v1/completions", model="news", tokenizer=path, max_length=256,
                                 batch_size=2, tokenized_requests=True).loglikelihood(asked)
    own = HFLM(pretrained=path, dtype="float32", device="cpu", max_length=256).loglikelihood(asked)
    within(report, "lm-eval loglikelihood", [abs(a[0] - b[0]) for a, b in zip(served, own, strict=True)])
    greedy = [a[1] for a in served]
    report.check("lm-eval greedy", greedy == [b[1] for b in own] and any(greedy), f"{sum(greedy)} of {len(greedy)} are")


# ---- huggingface_hub ----

def check_hub(report, url, paths):
    constants.HF_HUB_OFFLINE = False   # "offline" keeps it from this machine's own server too

    def client(name):
        return InferenceClient(f"{url}/models/{name}")

    labels = ["sport", "politics", "weather"]
    for multi_label in (False, True):
        got = client("nli").zero_shot_classification(TEXT, labels, multi_label=multi_label)
        expected = pipeline("zero-shot-classification", paths["nli"], dtype=torch.float32)(TEXT, labels, multi_label=multi_label)
        report.check("hub zero-shot order", [e.label for e in got] == expected["labels"], f"multi_label {multi_label}")
        within(report, "hub zero-shot", [abs(e.score - s) for e, s in zip(got, expected["scores"], strict=True)])
    got = client("nli").text_classification(TEXT, function_to_apply="sigmoid")
    expected = pipeline("text-classification", paths["nli"], dtype=torch.float32)(TEXT, function_to_apply="sigmoid", top_k=None)
    report.check("hub classes", [e.label for e in got] == [e["label"] for e in expected], str([e.label for e in got]))
    within(report, "hub classification", [abs(e.score - s["score"]) for e, s in zip(got, expected, strict=True)])
    got = client("news").text_generation(PROMPT, max_new_tokens=10)
    expected = pipeline("text-generation", paths["news"], dtype=torch.float32)(PROMPT, max_new_tokens=10, do_sample=False)
    report.check("hub generation", got == expected[0]["generated_text"], repr(got))
    check_summary(report, client("titles"), paths["titles"])


def check_summary(report, client, path):
    """As the model's own generation_config.json says, and shorter."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSeq2SeqLM.from_pretrained(path, dtype=torch.float32).eval()
    ids = tokenizer(TEXT, return_tensors="pt", truncation=True, max_length=model.config.max_position_embeddings).input_ids
    for options in ({}, {"num_beams": 2, "max_length": 5, "min_length": 5}):
        got = client.summarization(TEXT, generate_parameters=options).summary_text
        expected = tokenizer.decode(model.generate(ids, **options)[0], skip_special_tokens=True)
        report.check("hub summary", got == expected, f"{options}: {got!r}, {expected!r} by transformers")


def run(pare, report, project, work):
    paths = {"news": "news-gpt2", "nli": "nli-minilm", "titles": "wiki-title-bart"}
    paths = {name: os.path.join(project, "models", folder) for name, folder in paths.items()}
    paths["encoder"] = make_encoder(paths["nli"], os.path.join(work, "encoder"))
    with server(pare, work, paths) as url:
        client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        report.guard("openai completions", check_completions, report, client, paths["news"])
        report.guard("openai errors", check_errors, report, client)
        report.guard("openai embeddings", check_embeddings, report, client, paths["encoder"])
        report.guard("lm-eval", check_lm_eval, report, url, paths["news"])
        report.guard("hub", check_hub, report, url, paths)
