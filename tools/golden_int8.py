"""Writes tests/golden/data/int8/NAME/: tiny compressed-tensors directories (int8 weights per output channel, dynamic
asymmetric activations per token) with golden.json. Usage: golden_int8.py [OUT]   (needs compressed-tensors)

"logits" in golden.json are what transformers + compressed-tensors compute on a CPU in float32, activations quantized;
"weights_only" are float32 logits from the same int8 weights with activations left alone.

The format: quantization_config as in `quantization_config` below. X.weight I8 [out, in], X.weight_scale [out, 1],
value = q * scale; a symmetric scheme has no zero points. Per token: mn = min(x, 0), mx = max(x, 0),
s = (mx - mn) / 255 (2^-23 instead of 0), zp = rint(clamp(-128 - mn / s, -128, 127)),
q = rint(clamp(x / s + zp, -128, 127)), x' = (q - zp) * s. A weight-only group must name its own "format", or
compressed-tensors takes it for packed. Embeddings may form a group of their own with targets ["Embedding"].
Static activations ("strategy" tensor, "dynamic" false): X.input_scale F32 [1] and X.input_zero_point I8 [1] from the
extremes that random texts showed, x quantized by the same formula with them.
"""
import copy
import os
import shutil
import sys

from golden_common import DTYPES, case, random_ids, randomize, round_weights, row_list, run, write_json

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "int8")

WEIGHTS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False}
ACTIVATIONS = {"num_bits": 8, "type": "int", "symmetric": False, "strategy": "token", "dynamic": True}


def quantization_config(embeddings, ignore, static):
    activations = {**ACTIVATIONS, "strategy": "tensor", "dynamic": False} if static else ACTIVATIONS
    groups = {"group_0": {"targets": ["Linear"], "format": "int-quantized", "weights": WEIGHTS,
                          "input_activations": activations}}
    if embeddings:
        groups["group_1"] = {"targets": ["Embedding"], "format": "int-quantized", "weights": WEIGHTS}
    return {"quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
            "ignore": ignore, "config_groups": groups}


BERT = dict(vocab_size=43, hidden_size=36, num_attention_heads=3, intermediate_size=52, num_hidden_layers=2,
            max_position_embeddings=32, num_labels=3)
DISTIL = dict(vocab_size=43, dim=36, n_heads=3, hidden_dim=52, n_layers=2, max_position_embeddings=32, num_labels=3)
# name -> (class, config, dtype of the plain tensors, embeddings quantized too, modules left plain, static activations)
MODELS = {
    "bert-int8": (BertForSequenceClassification, BertConfig(**BERT), "F32", False, [], False),
    "distilbert-int8": (DistilBertForSequenceClassification, DistilBertConfig(**DISTIL), "F16", False, ["classifier"],
                        False),
    "distilbert-int8-embeddings": (DistilBertForSequenceClassification, DistilBertConfig(**DISTIL), "F16", True, [], False),
    "bert-int8-static": (BertForSequenceClassification, BertConfig(**BERT), "F16", False, [], True),
    "distilbert-int8-static": (DistilBertForSequenceClassification, DistilBertConfig(**DISTIL), "F32", False, [], True),
}


def quantize_rows(weight):
    """Symmetric per output channel: scale = max |row| / 127."""
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    return torch.clamp(torch.round(weight / scale), -127, 127).to(torch.int8), scale


def build(model, dtype, embeddings, ignore):
    """The file's tensors, and a plain float32 model with the same int8 values dequantized."""
    state, plain = {}, copy.deepcopy(model)
    modules = dict(plain.named_modules())
    for name, parameter in model.named_parameters():
        module_name = name.rsplit(".", 1)[0]
        module = modules[module_name]
        chosen = isinstance(module, torch.nn.Linear) or (embeddings and isinstance(module, torch.nn.Embedding))
        if chosen and name.endswith(".weight") and module_name not in ignore:
            values, scale = quantize_rows(parameter.detach())
            state[name], state[module_name + ".weight_scale"] = values, scale
            module.weight.data = values.float() * scale
        else:
            state[name] = parameter.detach().to(DTYPES[dtype])
    return state, plain


def input_ranges(model, seed):
    """Scale and zero point of every Linear's input: extremes over random texts, 0 among them."""
    seen, hooks = {}, []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            hooks.append(module.register_forward_pre_hook(
                lambda _, args, name=name: seen.setdefault(name, []).extend([args[0].min().item(), args[0].max().item(), 0])))
    for i in range(6):
        run(model, random_ids(5 + 4 * i, model.config.vocab_size, 1000 * seed + i, avoid=(0,)))
    for hook in hooks:
        hook.remove()
    state = {}
    for name, values in seen.items():
        scale = torch.tensor([(max(values) - min(values)) / 255])
        state[name + ".input_scale"] = scale
        state[name + ".input_zero_point"] = torch.round(-128 - min(values) / scale).to(torch.int8)
    return state


def write_model(out, name, seed):
    model_class, config, dtype, embeddings, ignore, static = MODELS[name]
    config._attn_implementation = "eager"
    model = round_weights(randomize(model_class(config), seed), dtype)
    state, plain = build(model, dtype, embeddings, ignore)
    if static:
        state.update(input_ranges(model, seed))
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    values = {k: v for k, v in config.to_dict().items() if not k.startswith("_")}
    values.update(architectures=[model_class.__name__], dtype=str(DTYPES[dtype]).replace("torch.", ""),
                  quantization_config=quantization_config(embeddings, ignore, static))
    write_json(os.path.join(folder, "config.json"), values)
    opened = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    entries = []
    for index, length in enumerate((1, 2, 7, 32)):
        ids = random_ids(length, config.vocab_size, 100 * seed + index, avoid=(0,))
        entry = case(opened, ids)
        entry["weights_only"] = row_list(run(plain, ids))
        entries.append(entry)
    write_json(os.path.join(folder, "golden.json"), entries, one_per_line=True)
    print(f"{folder}: {entries[2]['logits']} {entries[2]['weights_only']}")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    for seed, name in enumerate(MODELS, start=1):
        write_model(out, name, seed)


if __name__ == "__main__":
    main()
