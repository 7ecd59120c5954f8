"""Checks the Open Inference Protocol of `pare serve` with tritonclient, against what the other commands say.
Usage: oip_client.py PARE_PROGRAM PROJECT_DIR

The server runs on a port of its own with small shipped models. Every way tritonclient sends and reads tensors: raw and
as JSON, INT64 and INT32, padding left and right, classes, request ids, timeouts, asynchronous calls; health, metadata,
configuration, statistics and the repository; then the generate addresses, which tritonclient does not know. Prints a
line per check; exits 1 when one fails.
"""
import json
import subprocess
import sys
import urllib.request

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

PARE, PROJECT = sys.argv[1:3]
TEXTS = ["book a flight to Rome", "what is my balance", "caf\u00e9 \U0001f600", ""]
failed = 0


def check(what, ok):
    global failed
    failed += not ok
    print(("ok    " if ok else "FAIL  ") + what)


def pare(*arguments):
    out = subprocess.run([PARE, *arguments, "--json", "-q"], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def tensor(name, values, datatype, binary=True):
    t = triton.InferInput(name, values.shape, datatype)
    t.set_data_from_numpy(values, binary_data=binary)
    return t


def texts(values, binary=True):
    return tensor("text", np.array(values, dtype=object), "BYTES", binary)


def plain(array):
    return [v.decode() if isinstance(v, bytes) else v for v in array.ravel()]


def refused(call, status):
    try:
        call()
    except InferenceServerException as error:
        return error.status() == str(status) and len(error.message()) > 10
    return False


def classification(client):
    said = pare("classify", f"{PROJECT}/models/intent-linear", *TEXTS)
    labels = [row["label"] for row in said]
    scores = np.array([row["score"] for row in said], dtype=np.float32)
    for binary in (True, False):
        for out in (True, False):
            outputs = [triton.InferRequestedOutput(name, binary_data=out) for name in ("score", "label")]
            outputs.append(triton.InferRequestedOutput("scores", binary_data=out, class_count=2))
            answer = client.infer("intent-linear", [texts(TEXTS, binary)], outputs=outputs, request_id="r1",
                                  timeout=10_000_000)
            best = [entry.split(":") for entry in plain(answer.as_numpy("scores"))[::2]]
            check(f"texts raw={binary}, answers raw={out}",
                  plain(answer.as_numpy("label")) == labels and answer.get_response()["id"] == "r1"
                  and np.allclose(answer.as_numpy("score"), scores, rtol=1e-6)
                  and [entry[2] for entry in best] == labels
                  and [np.float32(entry[0]) for entry in best] == list(answer.as_numpy("score")))
    whole = client.infer("intent-linear", [texts(TEXTS)], model_version="1")
    check("all outputs", [o["name"] for o in whole.get_response()["outputs"]] == ["logits", "label", "score", "scores"]
          and whole.as_numpy("logits").shape == (len(TEXTS), 150))
    waiting = [client.async_infer("intent-linear", [texts(TEXTS)]) for _ in range(20)]
    check("asynchronous calls", all(plain(w.get_result().as_numpy("label")) == labels for w in waiting))


def ids(client):
    rows = [[101, 2023, 3185, 2001, 2307, 102], [101, 7592, 102]]
    alone = [client.infer("nli-minilm", [tensor("input_ids", np.array([row]), "INT64")]).as_numpy("logits")[0]
             for row in rows]
    for side in ("right", "left"):
        for kind in (np.int64, np.int32):
            padded, mask = np.zeros((2, 6), dtype=kind), np.zeros((2, 6), dtype=kind)
            for i, row in enumerate(rows):
                at = slice(0, len(row)) if side == "right" else slice(6 - len(row), 6)
                padded[i, at], mask[i, at] = row, 1
            name = "INT64" if kind is np.int64 else "INT32"
            answer = client.infer("nli-minilm", [tensor("input_ids", padded, name), tensor("attention_mask", mask, name)])
            check(f"ids {name}, padded {side}: the same bits", (answer.as_numpy("logits") == np.array(alone)).all())
    said = pare("classify", f"{PROJECT}/models/nli-minilm", "The goal came late.", "--labels", "sport,war")[0]
    answer = client.infer("nli-minilm", [texts(["The goal came late."])], parameters={"candidate_labels": "sport, war"})
    check("candidate labels", plain(answer.as_numpy("label")) == [said["label"]]
          and np.allclose(answer.as_numpy("score"), [said["score"]], rtol=1e-5))


def refusals(client):
    check("a model that writes text", refused(lambda: client.infer("news-gpt2", [texts(["a"])]), 400))
    check("an unknown model", refused(lambda: client.infer("nothing", [texts(["a"])]), 404))
    check("an unknown version", refused(lambda: client.infer("nli-minilm", [texts(["a"])], model_version="9"), 404))
    check("an unknown output", refused(lambda: client.infer(
        "intent-linear", [texts(["a"])], outputs=[triton.InferRequestedOutput("nothing")]), 400))
    check("half precision", refused(lambda: client.infer(
        "nli-minilm", [tensor("input_ids", np.ones((1, 2), dtype=np.float16), "FP16")]), 400))
    check("ids beyond the vocabulary", refused(lambda: client.infer(
        "nli-minilm", [tensor("input_ids", np.array([[10 ** 6]]), "INT64")]), 400))
    check("a microsecond is too short", refused(lambda: client.infer("nli-minilm", [texts(["a"])], timeout=1), 504))


def what_is_here(client):
    check("health", client.is_server_live() and client.is_server_ready() and client.is_model_ready("news-gpt2", "1")
          and not client.is_model_ready("nothing"))
    check("server metadata", "binary_tensor_data" in client.get_server_metadata()["extensions"])
    check("model metadata", client.get_model_metadata("intent-linear")["outputs"][0]["shape"] == [-1, 150])
    check("model configuration", client.get_model_config("nli-minilm")["input"][0]["data_type"] == "TYPE_STRING")
    stats = client.get_inference_statistics("intent-linear")["model_stats"][0]
    check("statistics", stats["inference_stats"]["success"]["count"] >= 25 and stats["inference_count"] >= 25)
    client.unload_model("news-gpt2")
    states = {m["name"]: m["state"] for m in client.get_model_repository_index()}
    check("unloaded", states["news-gpt2"] == "UNAVAILABLE" and not client.is_model_ready("news-gpt2"))
    client.load_model("news-gpt2")
    check("loaded again", client.is_model_ready("news-gpt2", "2"))
    check("no configuration by call", refused(lambda: client.load_model("news-gpt2", config="{}"), 400))


def generation(url):
    def post(path, body):
        return urllib.request.urlopen(f"http://{url}/v2/models/{path}", json.dumps(body).encode()).read().decode()

    request = {"text_input": "Oil prices", "parameters": {"max_tokens": 12, "details": True, "temperature": 0.9, "seed": 5}}
    whole = json.loads(post("news-gpt2/generate", request))
    events = [json.loads(e[6:]) for e in post("news-gpt2/generate_stream", request).strip().split("\n\n")]
    tokens = [e["details"]["token"] for e in events]
    check("a stream says what the whole answer says", "".join(e["text_output"] for e in events) == whole["text_output"]
          and [t["id"] for t in tokens] == [t["id"] for t in whole["details"]["logprobs"]]
          and events[-1]["details"]["finish_reason"] == whole["details"]["finish_reason"] == "length")
    check("an encoder-decoder", post("wiki-title-bart/generate", {"text_input": "Berlin is a city."}).find("text_output") > 0)


def main():
    models = ["intent-linear", "nli-minilm", "news-gpt2", "wiki-title-bart"]
    server = subprocess.Popen([PARE, "serve", *[f"{PROJECT}/models/{m}" for m in models], "--listen", "127.0.0.1:0"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        url = next(json.loads(line)["url"] for line in server.stdout if '"event":"ready"' in line)[len("http://"):]
        client = triton.InferenceServerClient(url, concurrency=4)
        classification(client)
        ids(client)
        refusals(client)
        what_is_here(client)
        generation(url)
    finally:
        server.terminate()
        server.communicate(timeout=60)
    check("the server ends in order", server.returncode == 0)
    sys.exit(1 if failed else 0)


main()
