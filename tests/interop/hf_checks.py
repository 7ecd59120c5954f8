"""hf_checks.py - huggingface_hub's InferenceClient, and vLLM's classify, against `pare serve`."""
import requests
import torch
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import BadRequestError, HfHubHTTPError
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

TEXT, LABELS = "The team won the final in extra time.", ["sport", "war", "money"]
ARTICLE = "The city of Berlin is the capital of Germany."
NEWS = ["Oil prices rose on Monday.", "The chip maker has a new phone."]


def same(rows, expected, budget=1e-6):
    """[(label, score)] against (labels, scores)."""
    return [r.label for r in rows] == expected[0] and all(abs(r.score - s) < budget for r, s in zip(rows, expected[1], strict=True))


def classification(lab, url):
    client = InferenceClient(f"{url}/models/intent-linear")
    said = lab.pare.rows("classify", lab.model("intent-linear"), "book a flight")[0]
    rows = client.text_classification("book a flight", top_k=3)
    lab.check("huggingface_hub: text_classification", same(rows, (said["labels"][:3], said["scores"][:3])), rows)
    logits = client.text_classification("book a flight", top_k=1, function_to_apply="none")
    lab.check("huggingface_hub: function_to_apply none", abs(logits[0].score - max(said["logits"])) < 1e-4, logits)
    rows = InferenceClient(f"{url}/models/nli-minilm").text_classification(TEXT, function_to_apply="sigmoid")
    theirs = pipeline("text-classification", lab.model("nli-minilm"), dtype=torch.float32)(TEXT, function_to_apply="sigmoid", top_k=None)
    lab.check("huggingface_hub: function_to_apply sigmoid, as transformers' pipeline",
              same(rows, ([e["label"] for e in theirs], [e["score"] for e in theirs]), 1e-4), rows)


def zero_shot(lab, url):
    client = InferenceClient(base_url=f"{url}/models/nli-minilm")
    for options, words in (({}, []), ({"multi_label": True, "hypothesis_template": "It is about {}."},
                                      ["--multi-label", "--template", "It is about {}."])):
        rows = client.zero_shot_classification(TEXT, LABELS, **options)
        said = lab.pare.rows("classify", lab.model("nli-minilm"), TEXT, "--labels", ",".join(LABELS), *words)[0]
        lab.check(f"huggingface_hub: zero_shot_classification {' '.join(words)}",
                  same(rows, (said["labels"], said["scores"]), 1e-5), rows)
        theirs = pipeline("zero-shot-classification", lab.model("nli-minilm"), dtype=torch.float32)(TEXT, LABELS, **options)
        lab.check("huggingface_hub: and as transformers' pipeline", same(rows, (theirs["labels"], theirs["scores"]), 1e-4), rows)


def summary_of_transformers(path, **options):
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSeq2SeqLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        ids = model.generate(**tokenizer(ARTICLE, return_tensors="pt"), **options)[0]
    return tokenizer.decode(ids, skip_special_tokens=True)


def generation(lab, url):
    client = InferenceClient(f"{url}/models/wiki-title-bart")
    path = lab.model("wiki-title-bart")
    text = client.summarization(ARTICLE).summary_text
    lab.check("huggingface_hub: summarization, as transformers", text == summary_of_transformers(path), repr(text))
    options = {"num_beams": 2, "max_length": 5, "min_length": 5}
    text = client.summarization(ARTICLE, generate_parameters=options).summary_text
    lab.check("huggingface_hub: generate_parameters", text == summary_of_transformers(path, **options), repr(text))
    client = InferenceClient(f"{url}/models/news-gpt2")
    said = lab.pare.rows("generate", lab.model("news-gpt2"), "Oil prices", "--max-tokens", "6")[0]["text"]
    text = client.text_generation("Oil prices", max_new_tokens=6, return_full_text=False)
    lab.check("huggingface_hub: text_generation", text == said, repr((text, said)))
    drawn = [client.text_generation("Oil prices", max_new_tokens=8, do_sample=True, temperature=0.9, seed=s) for s in (1, 1, 2)]
    lab.check("huggingface_hub: seed", drawn[0] == drawn[1] != drawn[2], drawn)


def vectors(lab, url):
    path, texts = lab.encoder(), ["a cat", "Oil prices rose on Monday.", "A dog sleeps."]
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        means = torch.stack([model(**tokenizer(t, return_tensors="pt")).last_hidden_state[0].mean(0) for t in texts])
    units = torch.nn.functional.normalize(means)
    client = InferenceClient(f"{url}/models/minilm")
    for normalize, expected in ((True, units), (False, means)):
        worst = float((torch.tensor(client.feature_extraction(texts, normalize=normalize)) - expected).abs().max())
        lab.check(f"huggingface_hub: feature_extraction, normalize {normalize}", worst < 1e-4, f"largest difference {worst:.1e}")
    alone = client.feature_extraction(texts[0])
    lab.check("huggingface_hub: feature_extraction of one text", alone.shape == (1, 384), alone.shape)
    alike = client.sentence_similarity(texts[0], other_sentences=texts[1:])
    worst = max(abs(a - b) for a, b in zip(alike, (units[1:] @ units[0]).tolist(), strict=True))
    lab.check("huggingface_hub: sentence_similarity", worst < 1e-4, alike)


def errors(lab, url):
    lab.raises("huggingface_hub: no such model", HfHubHTTPError, lambda: InferenceClient(f"{url}/models/nope").text_classification("a"))
    e = lab.raises("huggingface_hub: a wrong value", BadRequestError,
                   lambda: InferenceClient(f"{url}/models/intent-linear").text_classification("a", top_k=0))
    lab.check("huggingface_hub: its message is ours", e is not None and "top_k" in str(e), e)


def vllm_classify(lab, url):
    said = lab.pare.rows("classify", lab.model("agnews-gpt2"), *NEWS)
    for path in ("/v1/classify", "/classify"):
        answer = requests.post(f"{url}{path}", json={"model": "agnews-gpt2", "input": NEWS}, timeout=60).json()
        fine = [d["index"] for d in answer["data"]] == [0, 1] and answer["usage"]["total_tokens"] > 0
        for row, one in zip(answer["data"], said, strict=True):
            fine = fine and row["label"] == one["label"] and row["num_classes"] == 4 and abs(max(row["probs"]) - one["score"]) < 1e-6
        lab.check(f"requests: vLLM's {path}", fine, answer["data"])
    wrong = requests.post(f"{url}/v1/classify", json={"model": "agnews-gpt2", "input": 7}, timeout=60)
    lab.check("requests: vLLM's classify, a wrong input",
              wrong.status_code == 400 and wrong.json()["error"]["param"] == "input", wrong.text)


def keys(lab):
    with lab.serve("hf-keys", ["intent-linear"], api_keys=["secret-key"]) as server:
        address = f"{server.url}/models/intent-linear"
        e = lab.raises("huggingface_hub: a wrong key", HfHubHTTPError, lambda: InferenceClient(address, token="wrong").text_classification("a"))
        lab.check("huggingface_hub: a wrong key is 401", e is not None and e.response.status_code == 401, e)
        rows = InferenceClient(address, token="secret-key").text_classification("book a flight", top_k=1)
        lab.check("huggingface_hub: a key as token", rows[0].label == "book_flight", rows)


def run(lab):
    constants.HF_HUB_OFFLINE = False   # it would keep the client from this machine's own servers, too
    encoder = {"name": "minilm", "path": lab.encoder()}
    try:
        with lab.serve("hf", ["intent-linear", "nli-minilm", "wiki-title-bart", "news-gpt2", "agnews-gpt2", encoder]) as server:
            for part in (classification, zero_shot, generation, vectors, errors, vllm_classify):
                lab.report.guard(f"server/hf {part.__name__}", part, lab, server.url)
        lab.report.guard("server/hf keys", keys, lab)
    finally:
        constants.HF_HUB_OFFLINE = True
