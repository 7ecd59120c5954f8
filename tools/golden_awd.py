"""Writes tests/golden/data/awd_lstm: tiny AWD-LSTM classifiers with random weights and fastai's logits for them.
Usage: golden_awd.py [OUT]

Each folder holds config.json, model.safetensors (fastai's state_dict names) and golden.json: one entry per text with its
ids and the logits of fastai's own model in float32, one text at a time. refused.json: configs and tensor lists to refuse.
"""
import json
import os
import sys

import torch
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.text.models.core import get_text_classifier
from safetensors.torch import save_file

from golden_common import random_ids, randomize, row_list, write_json

DEFAULT_OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "golden", "data", "awd_lstm")
PAD, VOCABULARY, LABELS = 1, 43, 5

# emb, hid, layers, head, bptt, max_len, dropout of the head, extra: the duplicate of the embedding is in the file
MODELS = {
    "one-layer": dict(emb=20, hid=37, layers=1, head=[13], bptt=8, max_len=16),
    "two-layers": dict(emb=20, hid=37, layers=2, head=[50], bptt=7, max_len=None, duplicate=True),
    "three-layers": dict(emb=17, hid=35, layers=3, head=[9, 11], bptt=6, max_len=15),
    "four-layers": dict(emb=33, hid=18, layers=4, head=[], bptt=5, max_len=5, ps=[]),
    "no-dropout": dict(emb=8, hid=16, layers=2, head=[7], bptt=72, max_len=1440, output_p=0.0, ps=[0.0]),
}


def build(seed, emb, hid, layers, head, bptt, max_len, output_p=0.4, ps=None, duplicate=False):
    config = {"emb_sz": emb, "n_hid": hid, "n_layers": layers, "output_p": output_p}
    model = get_text_classifier(AWD_LSTM, VOCABULARY, LABELS, seq_len=bptt, config=config, lin_ftrs=head, ps=ps,
                                pad_idx=PAD, max_len=max_len)
    randomize(model, seed, std=0.35)
    generator = torch.Generator().manual_seed(100 + seed)
    for name, buffer in sorted(model.named_buffers()):
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        if name.endswith("running_var"):
            buffer.copy_(0.05 + torch.rand(buffer.shape, generator=generator))
    with torch.no_grad():  # batch norms around one
        for name, parameter in model.named_parameters():
            if name.startswith("1.layers") and parameter.ndim == 1 and name.endswith("0.weight"):
                parameter.add_(1.0)
    return model.eval()


def config_of(emb, hid, layers, head, bptt, max_len, **_):
    return {"model_type": "awd_lstm", "architectures": ["AWDLSTMForSequenceClassification"], "vocab_size": VOCABULARY,
            "emb_size": emb, "hidden_size": hid, "num_layers": layers, "pad_token_id": PAD, "bptt": bptt,
            "max_length": max_len, "head_layers": head, "id2label": {str(i): f"label {i}" for i in range(LABELS)}}


def texts(bptt, seed):
    """Ids of every length up to a chunk and a few more, of several chunks, and some with padding among them."""
    short = min(bptt, 8)
    lengths = [1, 2, 3, short - 1, short, short + 1, short + 5, 2 * bptt, 3 * bptt, 3 * bptt + 1, 5 * bptt + 3]
    lists = [random_ids(n, VOCABULARY, 1000 * seed + i, avoid=(PAD,)) for i, n in enumerate(lengths)]
    for where in ((-1,), (-1, -2), (1, 2), (2, -1)):  # never where a chunk begins: fastai stops there
        ids = random_ids(2 * bptt + 4, VOCABULARY, 7000 * seed + sum(where), avoid=(PAD,))
        for at in where:
            ids[at] = PAD
        lists.append(ids)
    return lists


def case(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0]
    return {"ids": ids, "logits": row_list(logits)}


def tensors_of(model, duplicate):
    state = {k: v.clone().contiguous() for k, v in model.state_dict().items()}
    if not duplicate:
        del state["0.module.encoder_dp.emb.weight"]
    return state


def write_model(out, name, seed, spec):
    model = build(seed, **spec)
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    save_file(tensors_of(model, spec.get("duplicate", False)), os.path.join(folder, "model.safetensors"))
    config = config_of(**spec)
    write_json(os.path.join(folder, "config.json"), config)
    entries = [case(model, ids) for ids in texts(spec["bptt"], seed)]
    write_json(os.path.join(folder, "golden.json"), entries, one_per_line=True)
    wide = model.double()
    error = max(abs(a - b) for e in entries for a, b in zip(e["logits"][0], case(wide, e["ids"])["logits"][0]))
    largest = max(abs(v) for e in entries for v in e["logits"][0])
    print(f"{name:14} {len(entries):2} cases, largest logit {largest:7.3f}, float32 against float64 {error:.1e}")
    return config


# "key: why" as the message must name the key. drop: tensors taken out of the file; add: made-up ones put in.
REFUSED = [
    ("two-layers", {"bidirectional": True}, {}, "bidirectional: half of the state would be missing"),
    ("two-layers", {"qrnn": True}, {}, "qrnn: another cell"),
    ("two-layers", {"backwards": True}, {}, "backwards: texts are read from their beginning"),
    ("two-layers", {"architectures": ["AWDLSTMForMaskedLM"]}, {}, "AWDLSTMForMaskedLM: unknown class"),
    ("two-layers", {"vocab_size": 44}, {}, "0.module.encoder.weight: shape"),
    ("two-layers", {"vocab_size": None}, {}, "vocab_size: missing"),
    ("two-layers", {"emb_size": 21}, {}, "0.module.encoder.weight: shape"),
    ("two-layers", {"emb_size": 2**40}, {}, "emb_size: out of range"),
    ("two-layers", {"hidden_size": 36}, {}, "0.module.rnns.0.module.weight_ih_l0: shape"),
    ("two-layers", {"num_layers": 3}, {}, "0.module.rnns: shape or missing tensor"),
    ("two-layers", {"num_layers": 0}, {}, "num_layers: none"),
    ("two-layers", {"num_layers": 100000}, {}, "num_layers: too many"),
    ("two-layers", {"head_layers": [51]}, {}, "1.layers: shape"),
    ("two-layers", {"head_layers": [50, 50]}, {}, "1.layers: shape or missing tensor"),
    ("two-layers", {"head_layers": [1] * 9}, {}, "head_layers: too many"),
    ("two-layers", {"head_layers": 50}, {}, "head_layers: not a list"),
    ("two-layers", {"head_layers": [0]}, {}, "head_layers: empty layer"),
    ("two-layers", {"head_layers": ["a"]}, {}, "head_layers: not a number"),
    ("two-layers", {"bptt": 0}, {}, "bptt: empty chunks"),
    ("two-layers", {"max_length": 3}, {}, "max_length: less than a chunk"),
    ("two-layers", {"max_length": "long"}, {}, "max_length: not a number"),
    ("two-layers", {}, {"drop": ["1.layers.0.0.running_var"]}, "1.layers.0: three quarters of a batch norm"),
    ("two-layers", {}, {"drop": [f"1.layers.1.0.{n}" for n in ("weight", "bias", "running_mean", "running_var")]},
     "1.layers.1: neither batch norm nor bias"),
    ("two-layers", {}, {"add": {"1.layers.1.2.bias": [LABELS]}}, "1.layers.1: batch norm and bias"),
    ("two-layers", {}, {"drop": ["0.module.rnns.1.module.bias_hh_l0"]}, "0.module.rnns.1.module.bias_hh_l0: missing"),
]


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    configs = {name: write_model(out, name, seed, spec) for seed, (name, spec) in enumerate(MODELS.items(), start=1)}
    rows = [{"base": base, "why": why, "config": {**configs[base], **changes}, **tensors}
            for base, changes, tensors, why in REFUSED]
    write_json(os.path.join(out, "refused.json"), rows, one_per_line=True)


if __name__ == "__main__":
    main()
