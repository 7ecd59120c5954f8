#!/usr/bin/env python3
"""One peer on one workload, in a process of its own that stays: run.py starts it and tells it when to measure.
Usage: worker.py SPEC            SPEC is JSON, {"peer", "model", "form", "threads", "precision", "work"}

Loads the model, answers a fixed question (so that run.py sees whether it computes the same thing as the original), and
prints one JSON line: load_ms, rss_bytes, and the answer. Then, for each line of standard input with a number of seconds:
runs the work once, then for so long, and prints {"min", "median", "n"} in ms; nothing runs in between.
`peer` is torch, ort, openvino, ct2, or reference, which prints the original's answers and ends.

work: {"kind": "classify", "batch", "length"}, {"kind": "texts", "ids": FILE.json, "way": "padded", "sorted" or "single"},
{"kind": "prefill", "prompt"}, {"kind": "decode", "prompt", "generate"} (ms per token after the first).
"""
import base64
import json
import os
import resource
import statistics
import sys
import time
import warnings

SPEC = json.loads(sys.argv[1])
THREADS = SPEC["threads"]
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(THREADS)
os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_VERBOSITY"] = "1", "error"
warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402 (after the thread counts)

from question import QUESTION  # noqa: E402

LEAST = 5
SORTED_BATCHES = 4


def random_ids(*shape):
    return np.random.default_rng(0).integers(1000, 20000, shape)


def padded(rows):
    """Rows of any lengths as ids and mask, to the longest."""
    ids, mask = (np.zeros((len(rows), max(map(len, rows))), np.int64) for _ in range(2))
    for i, row in enumerate(rows):
        ids[i, :len(row)], mask[i, :len(row)] = row, 1
    return ids, mask


class Torch:
    def __init__(self):
        import torch
        import transformers
        torch.set_num_threads(THREADS)
        self.torch, self.transformers = torch, transformers

    def load(self):
        auto = self.transformers.AutoModelForSequenceClassification
        self.model = auto.from_pretrained(SPEC["model"]).eval()
        self.model.config.use_cache = False

    def batch(self, rows):
        ids, mask = (self.torch.tensor(x) for x in padded(rows))
        return lambda: self.logits(ids, mask)

    def logits(self, ids, mask):
        with self.torch.inference_mode():
            return self.model(input_ids=ids, attention_mask=mask).logits

    def answer(self):
        return {"logits": self.batch(QUESTION)().numpy()}


class Ort:
    def __init__(self):
        import onnxruntime
        self.ort = onnxruntime

    def load(self):
        options = self.ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.session = self.ort.InferenceSession(SPEC["form"], options, providers=["CPUExecutionProvider"])

    def batch(self, rows):
        feed = dict(zip(("input_ids", "attention_mask"), padded(rows)))
        return lambda: self.session.run(None, feed)[0]

    def answer(self):
        return {"logits": self.batch(QUESTION)()}


class OpenVino:
    def __init__(self):
        import openvino
        self.openvino = openvino

    def load(self):
        core = self.openvino.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": THREADS,
                                  "INFERENCE_PRECISION_HINT": SPEC.get("precision", "f32")})
        model = core.compile_model(SPEC["form"], "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        self.request = model.create_infer_request()

    def batch(self, rows):
        feed = dict(zip(("input_ids", "attention_mask"), padded(rows)))
        return lambda: self.request.infer(feed)

    def answer(self):
        return {"logits": np.array(self.batch(QUESTION)()[0])}


class Ct2:
    """An encoder gives hidden states, without the classifier's two small layers; of a language model one generated token
    stands for a classifier's head: reading everything, and one row of the output layer."""

    def __init__(self):
        import ctranslate2
        self.ct2 = ctranslate2

    def load(self):
        generates = json.load(open(os.path.join(SPEC["model"], "config.json")))["model_type"] == "gpt2"
        kind = self.ct2.Generator if generates else self.ct2.Encoder
        self.encodes = not generates
        self.model = kind(SPEC["form"], device="cpu", compute_type=SPEC.get("precision", "int8"), intra_threads=THREADS,
                          inter_threads=1)

    def batch(self, rows):
        rows = [list(map(int, row)) for row in rows]
        return (lambda: self.model.forward_batch(rows)) if self.encodes else self.generate(rows, 1)

    def generate(self, rows, n):
        words = [[f"t{i}" for i in row] for row in rows]
        return lambda: self.model.generate_batch(words, max_length=n, min_length=n, include_prompt_in_result=False)

    def answer(self):
        if self.encodes:
            out = self.model.forward_batch([list(map(int, row)) for row in QUESTION])
            return {"hidden": np.array(out.last_hidden_state)}
        out = self.model.forward_batch([list(map(int, QUESTION[0]))])
        return {"next": np.array(out)[0, -1]}


PEERS = {"torch": Torch, "ort": Ort, "openvino": OpenVino, "ct2": Ct2}


def reference():
    """What the original answers, in F32, every way a peer may be asked."""
    import torch
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification
    torch.set_num_threads(THREADS)
    path, rows = SPEC["model"], torch.tensor(QUESTION)
    config = json.load(open(os.path.join(path, "config.json")))
    out = {}
    with torch.inference_mode():
        if "ForSequenceClassification" in config["architectures"][0]:
            out["logits"] = AutoModelForSequenceClassification.from_pretrained(path).eval()(input_ids=rows).logits
            out["hidden"] = AutoModel.from_pretrained(path).eval()(input_ids=rows).last_hidden_state
        else:
            out["next"] = AutoModelForCausalLM.from_pretrained(path).eval()(input_ids=rows[:1]).logits[0, -1]
    return {k: v.numpy() for k, v in out.items()}


def encoded(answer):
    return {k: base64.b64encode(np.ascontiguousarray(v, np.float32)).decode() for k, v in answer.items()}


def timed(run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def summary(ms):
    return {"min": min(ms), "median": statistics.median(ms), "n": len(ms)}


def repeat(run):
    """Measures a work that is one call."""
    def measure(seconds):
        run()  # the others have filled the caches
        ms, end = [], time.perf_counter() + seconds
        while len(ms) < LEAST or time.perf_counter() < end:
            ms.append(timed(run))
        return summary(ms)
    return measure


def repeat_decoding(short, long, steps):
    """Per step: what a long generation takes beyond one of a single token, the two in turns."""
    def measure(seconds):
        short()
        ms, end = ([], []), time.perf_counter() + seconds
        while len(ms[0]) < LEAST or time.perf_counter() < end:
            ms[0].append(timed(short))
            ms[1].append(timed(long))
        return {k: (f(ms[1]) - f(ms[0])) / steps for k, f in (("min", min), ("median", statistics.median))} | {
            "n": len(ms[0])}
    return measure


def prepare(peer, work):
    kind = work["kind"]
    if kind == "classify":
        return repeat(peer.batch(random_ids(work["batch"], work["length"])))
    if kind == "prefill":
        return repeat(peer.generate(random_ids(1, work["prompt"]), 1))
    if kind == "decode":
        ids, n = random_ids(1, work["prompt"]), work["generate"]
        return repeat_decoding(peer.generate(ids, 1), peer.generate(ids, n), n - 1)
    rows = json.load(open(work["ids"]))
    if work["way"] == "sorted":
        rows, size = sorted(rows, key=len), len(rows) // SORTED_BATCHES
        parts = [rows[i:i + size] for i in range(0, len(rows), size)]
    else:
        parts = [rows] if work["way"] == "padded" else [[row] for row in rows]
    # Sorting is free; padding is part of the work, as it is when texts arrive.
    return repeat(lambda: [peer.batch(part)() for part in parts])


def main():
    if SPEC["peer"] == "reference":
        print(json.dumps({"answer": encoded(reference())}), flush=True)
        return
    peer = PEERS[SPEC["peer"]]()  # imported: not part of loading
    load_ms = timed(peer.load)
    answer = peer.answer()
    measure = prepare(peer, SPEC["work"])
    print(json.dumps({"load_ms": round(load_ms, 1), "answer": encoded(answer),
                      "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(float(line))), flush=True)


if __name__ == "__main__":
    main()
