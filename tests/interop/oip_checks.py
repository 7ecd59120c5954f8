"""oip_checks.py - the Open Inference Protocol: tritonclient and plain requests against `pare serve`."""
import json
import time

import numpy as np
import requests
import torch
import tritonclient.http as triton
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from tritonclient.utils import InferenceServerException

TEXTS = ["Oil prices rose on Monday.", "The team won the final in extra time, and the crowd would not leave.", "New chip"]
BUDGET = 2e-4


class Expected:
    """What transformers says about TEXTS."""

    def __init__(self, path):
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        model = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32).eval()
        self.ids = [self.tokenizer(t)["input_ids"] for t in TEXTS]
        with torch.no_grad():
            self.logits = np.stack([model(input_ids=torch.tensor([i])).logits[0].numpy() for i in self.ids])
        self.labels = [model.config.id2label[int(k)] for k in self.logits.argmax(-1)]

    def padded(self, left):
        width = max(map(len, self.ids))
        ids, mask = np.zeros((len(self.ids), width), np.int64), np.zeros((len(self.ids), width), np.int64)
        for row, one in enumerate(self.ids):
            begin = width - len(one) if left else 0
            ids[row, begin:begin + len(one)], mask[row, begin:begin + len(one)] = one, 1
        return ids, mask


def tensor(name, values, kind, binary=True):
    out = triton.InferInput(name, list(values.shape), kind)
    out.set_data_from_numpy(values, binary_data=binary)
    return out


def wanted(names, binary=True, **options):
    return [triton.InferRequestedOutput(n, binary_data=binary, **options) for n in names]


def close(lab, name, ours, theirs):
    worst = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
    lab.check(name, ours.shape == theirs.shape and worst <= BUDGET, f"largest difference {worst:.1e}")


def what_is_here(lab, client):
    lab.check("tritonclient: live and ready", client.is_server_live() and client.is_server_ready() and client.is_model_ready("news"))
    lab.check("tritonclient: no such model is not ready", not client.is_model_ready("nope"))
    lab.check("tritonclient: server metadata", client.get_server_metadata()["name"] == "pare")
    meta = client.get_model_metadata("news")
    inputs, outputs = {i["name"]: i["datatype"] for i in meta["inputs"]}, {o["name"]: o["datatype"] for o in meta["outputs"]}
    lab.check("tritonclient: model metadata", inputs["text"] == "BYTES" and inputs["input_ids"] == "INT64"
              and outputs["logits"] == "FP32" and outputs["label"] == "BYTES", meta)
    found = client.get_model_config("news")
    lab.check("tritonclient: model config", found["name"] == "news" and found["input"] and found["output"], found)


def infer(lab, client, expected):
    texts = np.array([t.encode() for t in TEXTS], dtype=object)
    for binary in (True, False):
        how = "binary" if binary else "JSON"
        answer = client.infer("news", [tensor("text", texts, "BYTES", binary)], outputs=wanted(["logits", "label", "score"], binary),
                              request_id="r-17")
        close(lab, f"tritonclient: logits of texts, {how}", answer.as_numpy("logits"), expected.logits)
        labels = [x.decode() if isinstance(x, bytes) else x for x in answer.as_numpy("label")]
        lab.check(f"tritonclient: labels, {how}", labels == expected.labels, labels)
        lab.check(f"tritonclient: request id, {how}", answer.get_response()["id"] == "r-17")
        for left in (False, True):
            ids, mask = expected.padded(left)
            answer = client.infer("news", [tensor("input_ids", ids, "INT64", binary), tensor("attention_mask", mask, "INT64", binary)],
                                  outputs=wanted(["logits"], binary))
            close(lab, f"tritonclient: logits of ids padded {'left' if left else 'right'}, {how}", answer.as_numpy("logits"),
                  expected.logits)
    every = client.infer("news", [tensor("text", texts, "BYTES")])
    lab.check("tritonclient: all outputs where none is named", {o["name"] for o in every.get_response()["outputs"]} ==
              {"logits", "label", "score", "scores"})
    softmax = np.exp(expected.logits) / np.exp(expected.logits).sum(-1, keepdims=True)
    close(lab, "tritonclient: scores", every.as_numpy("scores"), softmax)
    compressed = client.infer("news", [tensor("text", texts, "BYTES")], outputs=wanted(["logits"]), response_compression_algorithm="gzip")
    close(lab, "tritonclient: who asks for gzip may be answered plainly", compressed.as_numpy("logits"), expected.logits)
    pending = [client.async_infer("news", [tensor("text", texts[i:i + 1], "BYTES")], outputs=wanted(["logits"])) for i in range(3)]
    rows = np.concatenate([p.get_result().as_numpy("logits") for p in pending])
    close(lab, "tritonclient: async_infer, each text alone", rows, expected.logits)


def kinds_of_ids(lab, client):
    """No bit of an answer depends on how ids are sent."""
    rows = [[101, 2023, 3185, 2001, 2307, 102], [101, 7592, 102]]
    alone = np.array([client.infer("nli-minilm", [tensor("input_ids", np.array([row]), "INT64")]).as_numpy("logits")[0] for row in rows])
    for left in (False, True):
        for kind, name in ((np.int64, "INT64"), (np.int32, "INT32")):
            padded, mask = np.zeros((2, 6), kind), np.zeros((2, 6), kind)
            for i, row in enumerate(rows):
                at = slice(6 - len(row), 6) if left else slice(0, len(row))
                padded[i, at], mask[i, at] = row, 1
            answer = client.infer("nli-minilm", [tensor("input_ids", padded, name), tensor("attention_mask", mask, name)])
            lab.check(f"tritonclient: ids {name} padded {'left' if left else 'right'}: the same bits",
                      np.array_equal(answer.as_numpy("logits"), alone))


def linear(lab, client):
    """Every way of sending and asking, against the command line; a text of other scripts and an empty one."""
    texts = ["book a flight to Rome", "what is my balance", "caf\u00e9 \U0001f600", ""]
    said = lab.pare.rows("classify", lab.model("intent-linear"), *texts)
    for binary in (True, False):
        for out in (True, False):
            answer = client.infer("intent-linear", [tensor("text", np.array(texts, dtype=object), "BYTES", binary)],
                                  outputs=wanted(["score", "label"], out) + wanted(["scores"], out, class_count=2))
            labels = [x.decode() if isinstance(x, bytes) else x for x in answer.as_numpy("label")]
            best = [x.decode() if isinstance(x, bytes) else x for x in answer.as_numpy("scores")[:, 0]]
            lab.check(f"tritonclient: intent-linear as `pare classify`, sent raw {binary}, answered raw {out}",
                      labels == [r["label"] for r in said] == [b.split(":", 2)[2] for b in best]
                      and np.allclose(answer.as_numpy("score"), [r["score"] for r in said], rtol=1e-6), labels)


def generation(lab, url):
    """Triton's generate addresses, which tritonclient does not know."""
    body = {"text_input": "Oil prices", "parameters": {"max_tokens": 12, "details": True, "temperature": 0.9, "seed": 5}}
    whole = requests.post(f"{url}/v2/models/news-gpt2/generate", json=body, timeout=60).json()
    stream = requests.post(f"{url}/v2/models/news-gpt2/generate_stream", json=body, timeout=60)
    events = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
    ids = [e["details"]["token"]["id"] for e in events]
    lab.check("requests: generate_stream says what generate says",
              "".join(e["text_output"] for e in events) == whole["text_output"]
              and ids == [t["id"] for t in whole["details"]["logprobs"]]
              and events[-1]["details"]["finish_reason"] == whole["details"]["finish_reason"] == "length", whole)
    body = {"text_input": "Oil prices", "parameters": {"max_tokens": 9}}
    greedy = requests.post(f"{url}/v2/models/news-gpt2/generate", json=body, timeout=60)
    ours = lab.pare.rows("generate", lab.model("news-gpt2"), "Oil prices", "--max-tokens", "9")[0]["text"]
    lab.check("requests: generate as `pare generate`", greedy.json()["text_output"] == ours, ours)


def classification(lab, client, expected):
    texts = np.array(TEXTS, dtype=object)
    answer = client.infer("news", [tensor("text", texts, "BYTES")], outputs=wanted(["logits"], class_count=2))
    rows = answer.as_numpy("logits")
    fine = rows.shape == (3, 2)
    for row, logits, label in zip(rows, expected.logits, expected.labels):
        value, index, name = row[0].decode().split(":", 2)
        fine = fine and int(index) == logits.argmax() and name == label and abs(float(value) - logits.max()) < 1e-2
    lab.check("tritonclient: classification extension", fine, rows.tolist())


def zero_shot(lab, client):
    text, labels = "The team won the final.", ["sport", "war"]
    answer = client.infer("nli-minilm", [tensor("text", np.array([text], dtype=object), "BYTES")], outputs=wanted(["label", "scores"]),
                          parameters={"candidate_labels": ",".join(labels)})
    ours = lab.pare.rows("classify", lab.model("nli-minilm"), text, "--labels", ",".join(labels))[0]
    lab.check("tritonclient: candidate labels, as `pare classify`", answer.as_numpy("label")[0].decode() == ours["label"]
              and abs(float(answer.as_numpy("scores").max()) - ours["score"]) < 1e-5, ours)


def errors(lab, client):
    text = [tensor("text", np.array(["a"], dtype=object), "BYTES")]
    e = lab.raises("tritonclient: no such model", InferenceServerException, lambda: client.infer("nope", text))
    lab.check("tritonclient: no such model is 404", e is not None and "404" in str(e.status()), e and e.status())
    lab.raises("tritonclient: no such output", InferenceServerException, lambda: client.infer("news", text, outputs=wanted(["nope"])))
    lab.raises("tritonclient: a wrong type", InferenceServerException,
               lambda: client.infer("news", [tensor("input_ids", np.zeros((1, 2), np.float32), "FP32")]))
    lab.raises("tritonclient: half precision", InferenceServerException,
               lambda: client.infer("news", [tensor("input_ids", np.ones((1, 2), np.float16), "FP16")]))
    lab.raises("tritonclient: an id beyond the vocabulary", InferenceServerException,
               lambda: client.infer("news", [tensor("input_ids", np.array([[10 ** 6]]), "INT64")]))
    lab.raises("tritonclient: a model that writes text", InferenceServerException, lambda: client.infer("news-gpt2", text))
    lab.raises("tritonclient: no such version", InferenceServerException, lambda: client.infer("news", text, model_version="99"))
    e = lab.raises("tritonclient: a timeout too short", InferenceServerException,
                   lambda: client.infer("news", [tensor("text", np.array(["oil " * 200] * 64, dtype=object), "BYTES")], timeout=1000))
    lab.check("tritonclient: a timeout is 504", e is not None and "504" in str(e.status()), e and e.status())


def repository(lab, client):
    client.unload_model("nli-minilm")
    states = {m["name"]: m["state"] for m in client.get_model_repository_index()}
    lab.check("tritonclient: unload", states == {**{name: "READY" for name in states}, "nli-minilm": "UNAVAILABLE"}
              and not client.is_model_ready("nli-minilm"), states)
    client.load_model("nli-minilm")
    index = {m["name"]: m for m in client.get_model_repository_index()}
    lab.check("tritonclient: load", client.is_model_ready("nli-minilm") and index["nli-minilm"]["state"] == "READY", index)
    lab.raises("tritonclient: no configuration by call", InferenceServerException, lambda: client.load_model("news", config="{}"))
    lab.raises("tritonclient: load of what is not configured", InferenceServerException, lambda: client.load_model("nope"))


def statistics(lab, client):
    def counts():
        one = client.get_inference_statistics("news")["model_stats"][0]
        return one["inference_count"], one["inference_stats"]["success"]["count"]

    before = counts()
    for i in range(3):
        client.infer("news", [tensor("text", np.array([f"counted {i}"], dtype=object), "BYTES")])
    time.sleep(0.2)   # counted when the answer has been written
    after = counts()
    lab.check("tritonclient: statistics count what was asked", after[0] - before[0] == 3 and after[1] - before[1] == 3, (before, after))
    names = {m["name"] for m in client.get_inference_statistics()["model_stats"]}
    lab.check("tritonclient: statistics of all models", {"news", "nli-minilm"} <= names, names)


def by_requests(lab, url, expected):
    """As KServe's own clients send: JSON alone."""
    body = {"id": "7", "inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}], "outputs": [{"name": "logits"}]}
    answer = requests.post(f"{url}/v2/models/news/infer", json=body, timeout=60)
    out = answer.json()["outputs"][0]
    close(lab, "requests: infer", np.array(out["data"]).reshape(out["shape"]), expected.logits)
    lab.check("requests: id and names", answer.json()["id"] == "7" and answer.json()["model_name"] == "news")
    ids, mask = expected.padded(False)
    inputs = [{"name": "input_ids", "shape": list(ids.shape), "datatype": "INT64", "data": ids.tolist()},
              {"name": "attention_mask", "shape": list(ids.shape), "datatype": "INT64", "data": mask.flatten().tolist()}]
    version = requests.get(f"{url}/v2/models/news", timeout=60).json()["versions"][-1]
    body = {"inputs": inputs, "outputs": [{"name": "logits"}]}
    answer = requests.post(f"{url}/v2/models/news/versions/{version}/infer", json=body, timeout=60)
    out = answer.json()["outputs"][0]
    close(lab, "requests: infer of ids, nested and flat, by version", np.array(out["data"]).reshape(out["shape"]), expected.logits)
    wrong = requests.post(f"{url}/v2/models/news/infer", json={"inputs": [{**inputs[0], "shape": [1, 1]}]}, timeout=60)
    lab.check("requests: a shape that does not fit", wrong.status_code == 400 and "input_ids" in wrong.json()["error"], wrong.text)


def keys(lab):
    with lab.serve("oip-keys", ["intent-linear"], api_keys=["secret-key"]) as server:
        client = triton.InferenceServerClient(server.address)
        text = [tensor("text", np.array(["book a flight"], dtype=object), "BYTES")]
        e = lab.raises("tritonclient: no key", InferenceServerException, lambda: client.infer("intent-linear", text))
        lab.check("tritonclient: no key is 401", e is not None and e.status() == "401", e and e.status())
        answer = client.infer("intent-linear", text, headers={"Authorization": "Bearer secret-key"})
        lab.check("tritonclient: a key in a header", answer.as_numpy("label")[0] == b"book_flight")
        client.close()


def run(lab):
    news = {"name": "news", "path": lab.model("agnews-gpt2")}
    expected = Expected(news["path"])
    with lab.serve("oip", [news, "nli-minilm", "intent-linear", "news-gpt2"]) as server:
        client = triton.InferenceServerClient(server.address, concurrency=3, network_timeout=120.0)
        parts = ((what_is_here, ()), (infer, (expected,)), (kinds_of_ids, ()), (linear, ()), (classification, (expected,)),
                 (zero_shot, ()), (errors, ()), (repository, ()), (statistics, ()))
        for part, more in parts:
            lab.report.guard(f"server/tritonclient {part.__name__}", part, lab, client, *more)
        client.close()
        lab.report.guard("server/requests", by_requests, lab, server.url, expected)
        lab.report.guard("server/requests generation", generation, lab, server.url)
    lab.report.guard("server/tritonclient keys", keys, lab)
