"""Shared by the golden_*.py scripts: random weights, exact dtype casts, and logits computed by transformers in float32."""
import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch

torch.set_num_threads(1)

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def randomize(model, seed, std=0.2):
    """Fills every parameter: norms around one, all biases random, matrices with the given deviation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name.lower() or ".ln_" in name
            if is_norm and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_(std * noise)
    return model.eval()


def round_weights(model, dtype):
    """Rounds the parameters to a file dtype and back, so that the float32 model holds exactly what the file holds."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.to(DTYPES[dtype]).float())
    return model


def short_float(value):
    """The shortest decimal of nine significant digits: enough to give the same float32 back."""
    return float(f"{value:.9g}")


def row_list(tensor):
    return [[short_float(v) for v in row] for row in tensor.tolist()]


def random_ids(length, vocabulary, seed, avoid=()):
    generator = torch.Generator().manual_seed(seed)
    allowed = [i for i in range(vocabulary) if i not in avoid]
    picks = torch.randint(len(allowed), (length,), generator=generator)
    return [allowed[i] for i in picks.tolist()]


def run(model, ids, types=None):
    """Logits as rows: one row for a classifier, one per token for a language model. Batch of one, nothing padded."""
    inputs = {"input_ids": torch.tensor([ids])}
    if types is not None:
        inputs["token_type_ids"] = torch.tensor([types])
    with torch.no_grad():
        logits = model(**inputs).logits[0]
    return logits if logits.ndim == 2 else logits[None]


def case(model, ids, types=None, all_rows_up_to=3):
    """One golden entry. Long language-model answers keep the last two rows and the sum of all logits."""
    logits = run(model, ids, types)
    entry = {"ids": ids}
    if types is not None:
        entry["types"] = types
    count = logits.shape[0]
    if count > all_rows_up_to:
        entry["rows"] = [count - 2, count - 1]
        entry["sum"] = float(logits.double().sum())
        logits = logits[-2:]
    entry["logits"] = row_list(logits)
    return entry


def write_json(path, value, one_per_line=False):
    with open(path, "w") as f:
        if one_per_line:
            f.write("[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]\n")
        else:
            json.dump(value, f, indent=2, sort_keys=True)
            f.write("\n")
