"""openai_checks.py - the `openai` package against `pare serve`; answers against transformers and against the command line."""
import threading

import numpy as np
import openai
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

PROMPT = "Oil prices rose on Monday"
LOGPROB_BUDGET = 1e-3


def client_of(server, **options):
    options = {"api_key": "none", "max_retries": 0, "timeout": 120, **options}
    return openai.OpenAI(base_url=f"{server.url}/v1", **options)


def expected_logprobs(path, prompt):
    """Of the prompt's tokens but the first, by transformers."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        rows = torch.log_softmax(model(ids).logits[0].double(), -1)
    return ids[0].tolist(), [float(rows[i, ids[0, i + 1]]) for i in range(ids.shape[1] - 1)], rows


def greedy_of_transformers(path, prompt, count):
    tokenizer = AutoTokenizer.from_pretrained(path)
    ids = tokenizer(prompt, return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        out = model.generate(**ids, max_new_tokens=count, do_sample=False, pad_token_id=0)
    return tokenizer.decode(out[0, ids["input_ids"].shape[1]:])


def plain_and_streamed(lab, client):
    ask = {"model": "news-gpt2", "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
    path = lab.model("news-gpt2")
    answer = client.completions.create(**ask)
    text = answer.choices[0].text
    ours = lab.pare.rows("generate", path, PROMPT, "--max-tokens", "12")[0]["text"]
    theirs = greedy_of_transformers(path, PROMPT, 12)
    lab.check("openai completions: greedy text is transformers'", text == theirs, repr((text, theirs)))
    lab.check("openai completions: and that of `pare generate`", ours in (text, PROMPT + text), repr(ours))
    lab.check("openai completions: usage", answer.usage.completion_tokens == 12 and answer.choices[0].finish_reason == "length",
              answer.usage)
    chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    joined = "".join(c.choices[0].text for c in chunks if c.choices)
    lab.check("openai completions: a stream joins to the same text", joined == text, repr(joined))
    lab.check("openai completions: usage in a stream", chunks[-1].usage.total_tokens == answer.usage.total_tokens
              and not chunks[-1].choices and chunks[-2].choices[0].finish_reason == "length", chunks[-1].usage)
    # Tokens that come while a chunk is being sent go together in the next, so a short answer may be a single one.
    pieces = [c.choices[0].text for c in client.completions.create(**{**ask, "max_tokens": 200}, stream=True)]
    whole = client.completions.create(**{**ask, "max_tokens": 200}).choices[0].text
    lab.check("openai completions: a long stream comes in pieces", "".join(pieces) == whole and len(pieces) > 2, f"{len(pieces)} chunks")
    ids = AutoTokenizer.from_pretrained(path)(PROMPT)["input_ids"]
    of_ids = client.completions.create(**{**ask, "prompt": [ids, ids[:2]]})
    lab.check("openai completions: a prompt of ids", [c.index for c in of_ids.choices] == [0, 1] and of_ids.choices[0].text == text)


def options(lab, client):
    ask = {"model": "news-gpt2", "prompt": PROMPT, "max_tokens": 8, "temperature": 1}
    several = client.completions.create(**ask, n=3, seed=7)
    texts = [c.text for c in several.choices]
    lab.check("openai completions: n answers that differ", len(set(texts)) > 1 and len(texts) == 3, texts)
    again = client.completions.create(**ask, n=3, seed=7)
    lab.check("openai completions: the same seed, the same answers", texts == [c.text for c in again.choices])
    one = client.completions.create(**ask, seed=8)
    lab.check("openai completions: choice i draws from seed + i", one.choices[0].text == texts[1])
    best = client.completions.create(**ask, n=1, best_of=3, seed=7)
    lab.check("openai completions: best_of is one of them", best.choices[0].text in texts)
    greedy = client.completions.create(**{**ask, "temperature": 0})
    word = greedy.choices[0].text.split()[1]
    stopped = client.completions.create(**{**ask, "temperature": 0}, stop=[word])
    text = stopped.choices[0].text
    lab.check("openai completions: stop", stopped.choices[0].finish_reason == "stop" and word not in text
              and greedy.choices[0].text.startswith(text), repr((text, word)))
    summary = client.completions.create(model="wiki-title-bart", prompt="The city of Berlin is the capital of Germany.")
    ours = lab.pare.rows("summarize", lab.model("wiki-title-bart"), "The city of Berlin is the capital of Germany.")[0]["summary"]
    lab.check("openai completions: an encoder-decoder answers as `pare summarize`", summary.choices[0].text.strip() == ours.strip(),
              repr((summary.choices[0].text, ours)))


def logprobs(lab, client):
    ids, expected, rows = expected_logprobs(lab.model("news-gpt2"), PROMPT)
    answer = client.completions.create(model="news-gpt2", prompt=PROMPT, max_tokens=0, echo=True, logprobs=3)
    found = answer.choices[0].logprobs
    worst = max(abs(a - b) for a, b in zip(found.token_logprobs[1:], expected, strict=True))
    lab.check("openai logprobs: of the prompt, as transformers has them", worst <= LOGPROB_BUDGET, f"largest difference {worst:.1e}")
    lab.check("openai logprobs: echo and offsets", "".join(found.tokens) == PROMPT == answer.choices[0].text
              and all(PROMPT[o:].startswith(t) for o, t in zip(found.text_offset, found.tokens)), found.tokens)
    top = [sorted(rows[i].topk(3).values.tolist()) for i in range(len(ids) - 1)]
    ours = [sorted(t.values())[-3:] for t in found.top_logprobs[1:]]
    worst = float(np.abs(np.array(top) - np.array(ours)).max())
    lab.check("openai logprobs: the likeliest tokens", worst <= LOGPROB_BUDGET, f"largest difference {worst:.1e}")
    drawn = client.completions.create(model="news-gpt2", prompt=PROMPT, max_tokens=4, logprobs=0, seed=3)
    lab.check("openai logprobs: of what was drawn", len(drawn.choices[0].logprobs.tokens) == 4
              and all(p <= 0 for p in drawn.choices[0].logprobs.token_logprobs))


def embeddings(lab, client):
    path, texts = lab.encoder(), ["a cat", "Oil prices rose on Monday, traders said.", "", "x " * 700]
    as_base64 = client.embeddings.create(model="minilm", input=texts)   # the package asks for base64 and decodes it
    as_float = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    ours = np.array([d.embedding for d in as_base64.data])
    lab.check("openai embeddings: float is base64", np.array_equal(ours.astype("f4"), np.array([d.embedding for d in as_float.data], "f4")))
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path, dtype=torch.float32).eval()
    worst = 0
    for text, vector in zip(texts, ours, strict=True):
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=512)).last_hidden_state[0].mean(0).numpy()
        worst = max(worst, float(np.abs(mean / np.linalg.norm(mean) - vector).max()))
    lab.check("openai embeddings: transformers' means", worst < 1e-4, f"largest difference {worst:.1e}")
    short = np.array(client.embeddings.create(model="minilm", input=texts[0], dimensions=8).data[0].embedding)
    lab.check("openai embeddings: dimensions", short.shape == (8,) and abs(np.linalg.norm(short) - 1) < 1e-5
              and np.allclose(short, ours[0, :8] / np.linalg.norm(ours[0, :8]), atol=1e-6))


def models(lab, client):
    names = {m.id for m in client.models.list()}
    lab.check("openai models: list", names == {"news-gpt2", "wiki-title-bart", "minilm"}, names)
    lab.check("openai models: retrieve", client.models.retrieve("news-gpt2").id == "news-gpt2")


def errors(lab, client):
    complete = client.completions.create
    lab.raises("openai errors: no such model", openai.NotFoundError, lambda: complete(model="nope", prompt="a"))
    lab.raises("openai errors: retrieve of no such model", openai.NotFoundError, lambda: client.models.retrieve("nope"))
    e = lab.raises("openai errors: a wrong value", openai.BadRequestError, lambda: complete(model="news-gpt2", prompt="a", temperature=-1))
    lab.check("openai errors: param names the key", e is not None and e.param == "temperature", e and e.param)
    lab.raises("openai errors: a wrong stream", openai.BadRequestError,
               lambda: complete(model="news-gpt2", prompt=7, stream=True))
    lab.raises("openai errors: an address that is not here", openai.NotFoundError,
               lambda: client.chat.completions.create(model="news-gpt2", messages=[]))


def keys(lab):
    with lab.serve("keys", ["intent-linear"], api_keys=["secret-key"]) as server:
        lab.raises("openai keys: a wrong one", openai.AuthenticationError, lambda: client_of(server).models.list())
        found = [m.id for m in client_of(server, api_key="secret-key").models.list()]
        lab.check("openai keys: the right one", found == ["intent-linear"], found)


def too_many(lab):
    """More at once than may wait: some are refused, and who comes again as Retry-After says is answered."""
    with lab.serve("queue", ["news-gpt2"], limits={"queue": 1}, generation={"streams": 1}) as server:
        outcomes = []

        def ask(client, seed):
            try:
                client.completions.create(model="news-gpt2", prompt="The", max_tokens=100, seed=seed)
                outcomes.append("fine")
            except openai.RateLimitError as error:
                outcomes.append(error)

        def at_once(client):
            outcomes.clear()
            threads = [threading.Thread(target=ask, args=(client, i)) for i in range(12)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            return list(outcomes)

        found = at_once(client_of(server))
        refused = [e for e in found if e != "fine"]
        waits = {e.response.headers.get("retry-after") for e in refused}
        lab.check("openai 429: RateLimitError with Retry-After", refused and len(refused) < 12 and waits and None not in waits,
                  f"{len(refused)} of 12 refused, Retry-After {waits}")
        found = at_once(client_of(server, max_retries=20))
        lab.check("openai 429: its retries are answered", found == ["fine"] * 12, found)


def run(lab):
    encoder = {"name": "minilm", "path": lab.encoder()}
    with lab.serve("openai", ["news-gpt2", "wiki-title-bart", encoder]) as server:
        client = client_of(server)
        for part in (plain_and_streamed, options, logprobs, embeddings, models, errors):
            lab.report.guard(f"server/openai {part.__name__}", part, lab, client)
    lab.report.guard("server/openai keys", keys, lab)
    lab.report.guard("server/openai 429", too_many, lab)
