"""Writes tests/golden/data/int4/: what compressed-tensors makes of chosen weights in 4 bits, and tiny directories in its
"pack-quantized" format with golden.json. Usage: golden_int4.py [OUT]   (needs compressed-tensors)

OUT/groups.safetensors holds for every CASE its input F32 [N, K], CASE.packed I32 [N, K / 8], CASE.scale F32
[N, K / 128] and CASE.values F32 [N, K]. Symmetric groups of 128: scale = max |w| / 7.5 (2^-23 instead of 0),
q = round(clamp(w / scale, -8, 7)), a half to even; q + 8 in 4 bits, eight in a word, the first in the lowest.

"logits" in golden.json are what transformers + compressed-tensors compute on a CPU in float32, activations quantized per
token (golden_int8.py has the formula). X.weight_packed, X.weight_scale and X.weight_shape I64 [2] take the place of
X.weight.
"""
import os
import shutil
import sys

from golden_common import DTYPES, case, random_ids, randomize, round_weights, write_json
from golden_int8 import ACTIVATIONS

import torch
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "int4")
GROUP = 128
WEIGHTS = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP, "dynamic": False}
ARGS = QuantizationArgs(**WEIGHTS)
SCHEME = QuantizationScheme(targets=["Linear"], weights=ARGS)


def quantize(weight):
    """The parts that take the place of an F32 weight."""
    groups = weight.reshape(weight.shape[0], -1, GROUP)
    scale, _ = calculate_qparams(groups.amin(dim=2), groups.amax(dim=2), ARGS)
    return PackedQuantizationCompressor.compress({"weight": weight, "weight_scale": scale}, SCHEME)


def values_of(parts):
    return PackedQuantizationCompressor.decompress(dict(parts), SCHEME)["weight"]


def cases():
    torch.manual_seed(11)
    normal = torch.randn(5, 384)
    steps = torch.arange(128).reshape(1, 128) / 8 - 8          # every half, and what lies between
    zeros = torch.randn(3, 256)
    zeros[1, :128] = 0
    zeros[2] = 0
    one_sided = torch.rand(2, 128) + torch.tensor([[0.0], [-1.0]])
    return {"normal": normal, "steps": torch.cat([steps * 7.5 / 8, -steps * 7.5 / 8]), "zeros": zeros, "one_sided": one_sided,
            "small": torch.randn(2, 128) * 1e-30, "large": torch.randn(2, 256) * 1e30,
            "f16": torch.randn(3, 128).half().float()}


def write_groups(out):
    tensors = {}
    for name, weight in cases().items():
        parts = quantize(weight)
        tensors.update({f"{name}.input": weight, f"{name}.packed": parts["weight_packed"],
                        f"{name}.scale": parts["weight_scale"], f"{name}.values": values_of(parts)})
    save_file({name: t.contiguous() for name, t in tensors.items()}, os.path.join(out, "groups.safetensors"))


MODELS = {   # the first has rows of 192, which are left plain: 128 does not divide them
    "bert-int4": (BertForSequenceClassification,
                  BertConfig(vocab_size=43, hidden_size=128, num_attention_heads=4, intermediate_size=192, num_hidden_layers=1,
                             max_position_embeddings=32, num_labels=3), ["bert.encoder.layer.0.output.dense"]),
    "distilbert-int4": (DistilBertForSequenceClassification,
                        DistilBertConfig(vocab_size=43, dim=128, n_heads=4, hidden_dim=256, n_layers=1,
                                         max_position_embeddings=32, num_labels=3), ["classifier"]),
}


def write_model(out, name, seed):
    model_class, config, ignore = MODELS[name]
    config._attn_implementation = "eager"
    model = round_weights(randomize(model_class(config), seed), "F16")
    linear = {n for n, module in model.named_modules() if isinstance(module, torch.nn.Linear) and n not in ignore}
    state = {}
    for parameter, value in model.named_parameters():
        module, _, kind = parameter.rpartition(".")
        if module in linear and kind == "weight":
            state.update({f"{module}.{part}": t for part, t in quantize(value.detach().float()).items()})
        else:
            state[parameter] = value.detach().to(DTYPES["F16"])
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    group = {"targets": ["Linear"], "format": "pack-quantized", "weights": WEIGHTS, "input_activations": ACTIVATIONS}
    values = {k: v for k, v in config.to_dict().items() if not k.startswith("_")}
    values.update(architectures=[model_class.__name__], dtype="float16",
                  quantization_config={"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ignore,
                                       "quantization_status": "compressed", "config_groups": {"group_0": group}})
    write_json(os.path.join(folder, "config.json"), values)
    opened = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    entries = [case(opened, random_ids(length, config.vocab_size, 100 * seed + i, avoid=(0,)))
               for i, length in enumerate((1, 2, 7, 32))]
    write_json(os.path.join(folder, "golden.json"), entries, one_per_line=True)
    print(f"{folder}: {entries[2]['logits']}")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    os.makedirs(out, exist_ok=True)
    write_groups(out)
    for seed, name in enumerate(MODELS, start=1):
        write_model(out, name, seed)


if __name__ == "__main__":
    main()
