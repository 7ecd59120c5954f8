"""Writes tests/golden/data/llm-int8/: what bitsandbytes' Linear8bitLt makes of chosen weights and activations on a CPU, and
tiny directories saved by transformers + bitsandbytes. Usage: golden_llm_int8.py [OUT]   (needs bitsandbytes, accelerate)

OUT/layers.safetensors holds, for every CASE: CASE.input [out, in] F32/F16/BF16, CASE.CB I8, CASE.SCB F32 [out], CASE.bias
F32, and for texts I = 0, 1, ... CASE.x.I [tokens, in] F32 and CASE.y.I [tokens, out] F32: the layer's output, threshold 6,
each text in a call of its own. OUT/NAME/ is a saved model with golden.json (see golden_models.py): the logits that
transformers and bitsandbytes compute in float32, a batch of one each.

How bitsandbytes 0.50.2 computes it on a CPU:
- Weights in f16; SCB = max |w| of the row, CB = rint(w * ((1 / SCB) * 127)), for so PyTorch divides.
- h = x in f16. Outliers are |h| >= 6; they are left out of their row's s = max |h|, and every column that holds one, in
  any row of the call, is zero in q = rint(h * ((1 / s) * 127)).
- y = (q CB^T) * (s * SCB) / 127^2 + bias + x[:, columns] (CB * SCB / 127)[:, columns]^T, x and the last factor in the type
  of x: float32 here.

Saved tensors for a module NAME: NAME.weight I8 [out, in] (GPT-2's Conv1D transposed), NAME.SCB F32 [out],
NAME.weight_format U8 scalar 0. The norms of these models have a few large gains, so that every layer meets outliers.
"""
import copy
import logging
import os
import shutil
import sys
import tempfile

from golden_common import DTYPES, case, random_ids, randomize, round_weights, write_json

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)   # says that inputs are cast to float16

import bitsandbytes
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BitsAndBytesConfig,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
)

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "llm-int8")
THRESHOLD = 6.0


# ---- layers ----

def normals(shape, seed, scale=1.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def texts_for(width, seed):
    """No outlier; some columns, one row each; a single token; outliers everywhere; exactly at the threshold."""
    calm, few, one, all_over, edge = (normals((rows, width), seed + i) for i, rows in enumerate((5, 9, 1, 3, 4)))
    calm.clamp_(-5, 5)
    few.clamp_(-5, 5)
    for i, column in enumerate((0, width // 2, width - 1)):
        few[(3 * i) % 9, column] = (-1) ** i * (7 + 20 * i)
    one[0, width // 3] = -41.5
    all_over *= 12
    edge.clamp_(-5, 5)
    edge[0, 1 % width] = 6.0
    edge[1, 2 % width] = 5.998046875     # rounds up to 6 in f16
    edge[2, 3 % width] = 5.9980464       # does not
    edge[3, :] = 0
    return [calm, few, one, all_over, edge]


CASES = {   # name -> (outputs, inputs, dtype)
    "plain": (33, 36, "F32"), "half": (70, 64, "F16"), "brain": (16, 100, "BF16"), "wide": (40, 300, "F32"),
    "narrow": (1, 3, "F32"),
}


def write_layers(out):
    tensors = {}
    for seed, (name, (outputs, inputs, dtype)) in enumerate(CASES.items(), start=1):
        weight = normals((outputs, inputs), 100 * seed, 0.05).to(DTYPES[dtype])
        weight[outputs // 2, 0] = 1.25   # a row of another magnitude
        if outputs > 2:
            weight[2] = 0
        bias = normals((outputs,), 100 * seed + 1)
        layer = bitsandbytes.nn.Linear8bitLt(inputs, outputs, bias=True, has_fp16_weights=False, threshold=THRESHOLD)
        layer.weight = bitsandbytes.nn.Int8Params(weight.float().clone(), requires_grad=False, has_fp16_weights=False)
        layer.bias.data = bias.clone()
        layer = layer.to("cpu").eval()
        tensors.update({f"{name}.input": weight, f"{name}.bias": bias})
        with torch.no_grad():
            for i, x in enumerate(texts_for(inputs, 1000 * seed)):
                tensors[f"{name}.x.{i}"] = x
                tensors[f"{name}.y.{i}"] = layer(x.clone()[None])[0]
        tensors.update({f"{name}.CB": layer.weight.data, f"{name}.SCB": layer.state.SCB})
        assert layer.weight.data.dtype == torch.int8
    path = os.path.join(out, "layers.safetensors")
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path)
    print(f"{path}: {len(tensors)} tensors")


# ---- saved models ----

GPT2 = dict(vocab_size=43, n_positions=32, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1)
MODELS = {
    "bert": (BertForSequenceClassification,
             BertConfig(vocab_size=43, hidden_size=36, num_hidden_layers=2, num_attention_heads=3, num_labels=3,
                        intermediate_size=52, max_position_embeddings=32), "F16"),
    "distilbert": (DistilBertForSequenceClassification,
                   DistilBertConfig(vocab_size=43, dim=36, n_heads=3, hidden_dim=52, n_layers=2, num_labels=3,
                                    max_position_embeddings=32), "F16"),
    "gpt2-cls": (GPT2ForSequenceClassification, GPT2Config(**GPT2, num_labels=4, pad_token_id=0), "F16"),
    "gpt2-lm": (GPT2LMHeadModel, GPT2Config(**GPT2), "F16"),
}


def plant_outliers(model):
    for name, parameter in model.named_parameters():
        if ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight"):
            parameter.data[3] *= 9
            parameter.data[-1] *= 5
    return model


def save_quantized(model, dtype, folder):
    """The ordinary way: open a plain directory with BitsAndBytesConfig, save_pretrained."""
    auto = AutoModelForCausalLM if isinstance(model, GPT2LMHeadModel) else AutoModelForSequenceClassification
    with tempfile.TemporaryDirectory() as plain:
        copy.deepcopy(model).to(DTYPES[dtype]).save_pretrained(plain)
        quantization = BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=THRESHOLD)
        quantized = auto.from_pretrained(plain, quantization_config=quantization, dtype=DTYPES[dtype],
                                         attn_implementation="eager")
    shutil.rmtree(folder, ignore_errors=True)
    quantized.save_pretrained(folder)
    generation = os.path.join(folder, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    return torch.nn.Module.float(quantized).eval()   # everything but the 8-bit weights in float32


def count_outliers(model, run_once):
    """How many Linear8bitLt calls of one text met outlier columns."""
    met = []
    hooks = [m.register_forward_pre_hook(lambda _, args: met.append(bool((args[0].half().abs() >= THRESHOLD).any())))
             for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear8bitLt)]
    run_once()
    for hook in hooks:
        hook.remove()
    return sum(met), len(met)


def write_model(out, name, seed):
    model_class, config, dtype = MODELS[name]
    config._attn_implementation = "eager"
    model = round_weights(plant_outliers(randomize(model_class(config), seed)), dtype)
    folder = os.path.join(out, name)
    quantized = save_quantized(model, dtype, folder)
    entries = []
    for index, length in enumerate((1, 2, 7, 32)):
        ids = random_ids(length, config.vocab_size, 100 * seed + index, avoid=(config.pad_token_id,))
        types = [0] * (length // 2) + [1] * (length - length // 2) if config.model_type == "bert" else None
        met, calls = count_outliers(quantized, lambda: entries.append(case(quantized, ids, types)))
    assert 0 < met, (name, met)
    write_json(os.path.join(folder, "golden.json"), entries, one_per_line=True)
    print(f"{folder}: {len(entries)} cases, outliers in {met} of {calls} layers of the last")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    os.makedirs(out, exist_ok=True)
    write_layers(out)
    for seed, name in enumerate(MODELS, start=1):
        write_model(out, name, seed)


if __name__ == "__main__":
    main()
