"""Hooks for schemathesis: generated requests name models that are served and ask for no more than is configured there.
Only values that the document allows are changed, so that a request that is wrong stays wrong."""

import zlib

import schemathesis

TASKS = {
    "complet": ["news-gpt2", "wiki-title-bart"],
    "generate": ["news-gpt2", "wiki-title-bart"],
    "infer": ["intent-linear", "nli-minilm"],
    "classify": ["intent-linear", "nli-minilm"],
    "load": ["spare"],  # and unload: nothing else goes away
}
ALL = ["news-gpt2", "wiki-title-bart", "intent-linear", "nli-minilm"]
MOST = {"max_tokens": 8, "max_new_tokens": 8, "max_length": 8, "n": 3, "best_of": 4, "num_return_sequences": 3}
IDS = 1000  # every model here has more
LABELS = ("labels", "candidate_labels")


def served(path, drawn):
    """A model by chance, most of the time; now and then the name stays as it was drawn."""
    chance = zlib.crc32(drawn.encode("utf-8", "surrogatepass"))
    if chance % 8 == 0 and drawn not in ALL:
        return drawn
    names = next((names for part, names in TASKS.items() if part in path), ALL)
    return names[chance // 8 % len(names)]


def whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def lower(value):
    """Counts, ids and amounts that the configuration and the models allow."""
    if isinstance(value, list):
        if value and all(whole(v) and v >= 0 for v in value):
            return [v % IDS for v in value]
        return [lower(v) for v in value]
    if not isinstance(value, dict):
        return value
    out = {k: v if k == "shape" else lower(v) for k, v in value.items()}
    for key, most in MOST.items():
        if whole(out.get(key)) and out[key] > most:
            out[key] = out[key] % most + 1
    for key in LABELS:
        if isinstance(out.get(key), list) and 4 < len(out[key]) <= 1000:
            out[key] = out[key][:4]
    return out


def tensor(drawn):
    """A list of texts as the input that takes them, of the size that it has."""
    data, shape = drawn.get("data"), drawn.get("shape")
    if drawn.get("datatype") != "BYTES" or "parameters" in drawn or not isinstance(data, list) or not data:
        return drawn
    if not isinstance(drawn.get("name"), str) or not all(isinstance(text, str) for text in data):
        return drawn
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2 or not all(whole(n) and n > 0 for n in shape):
        return drawn
    return {**drawn, "name": "text", "shape": [len(data)]}


@schemathesis.hook
def before_call(context, case, kwargs):
    path = case.operation.path
    parameters = case.path_parameters or {}
    model = parameters.get("model")
    if isinstance(model, str):
        parameters["model"] = served(path, model)
        if "version" in parameters and parameters["model"] != model:
            parameters["version"] = "1"
    if not isinstance(case.body, dict):
        return
    body = case.body = lower(case.body)
    model = body.get("model")
    if path.endswith(("completions", "classify")) and (model is None or isinstance(model, str) and "\0" not in model):
        body["model"] = served(path, model or repr(sorted(body)))
    inputs = body.get("inputs")
    if isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict):
        body["inputs"] = [tensor(inputs[0])]
