"""Writes tests/golden/data/nf4/: what bitsandbytes makes of chosen weights on a CPU, and tiny directories saved by
transformers + bitsandbytes. Usage: golden_nf4.py [OUT]   (needs bitsandbytes and accelerate)

OUT/blocks.safetensors holds nf4_map [16], nf4_bounds [15], dynamic_map [256] and, for every CASE:
  CASE.input [out, in] F32/F16/BF16, CASE.packed U8, CASE.absmax F32, CASE.dequant F32 [out, in];
  with double quantization CASE.dq_absmax U8, CASE.dq_nested_absmax F32, CASE.dq_offset F32 [1], CASE.dq_dequant F32.
OUT/NAME/ is a saved model with golden.json (see golden_models.py): float32 logits from the dequantized weights.

How bitsandbytes 0.50 quantizes to NF4 on a CPU (all arithmetic in float32):
- The weight is taken as [out, in] (GPT-2's Conv1D is transposed first), upcast to float32 and flattened by rows.
  Blocks of 64 run over the flat array, across row ends; the last block may be short.
- m = max |x| of the block. A full block stores absmax = m and scales by x * (1 / max(m, 1e-38)); a short last block
  stores max(m, 1e-38) and scales by the division x / max(m, 1e-38). Then clamp to [-1, 1].
- code = how many bounds are smaller than the scaled value, bounds[i] = (nf4[i] + nf4[i + 1]) / 2: a value equal to a
  bound takes the lower code. Zero has code 7, so an all-zero block is bytes 0x77 and absmax 0.
- Byte i is code[2 i] << 4 | code[2 i + 1]; an odd count is completed with code 7.
- Dequantized value = nf4[code] * absmax[flat index / 64].
- Double quantization: offset = mean(absmax); a = absmax - offset in blocks of 256; m = max |a| is nested_absmax. If m is
  0 all codes of the block are 0. Otherwise v = clamp(a * (1 / m), -1, 1), k = trunc((v + 1) * 0.5 * 65535 + 0.5), and
  code = how many midpoints of the dynamic map are smaller than -1 + 2 k / 65535 (a table of 65,536 entries).
  absmax is read back as dynamic_map[code] * nested_absmax[i / 256] + offset. PyTorch's mean adds in its own order;
  the seeds here are ones where the mean in double precision, rounded to float32, is the same number.
- The dynamic map (signed, 8 bits) is stored in blocks.safetensors; entry 127 is 0, entry 255 is 1, there is no -1.

Its AVX-512 dequantization on a CPU counts blocks per row, which is wrong where in % 16 == 0 but in % 64 != 0; `dequant`
therefore comes from the formula, and is compared with bitsandbytes wherever its own result is right.

Saved tensors for a quantized weight NAME: NAME U8 [bytes, 1]; NAME.absmax F32 [blocks]; NAME.quant_map F32 [16];
NAME.quant_state.bitsandbytes__nf4 U8 = JSON {"quant_type", "blocksize", "dtype", "shape": [out, in]}. With double
quantization NAME.absmax is U8, and NAME.nested_absmax F32, NAME.nested_quant_map F32 [256] are added, and the JSON has
"nested_blocksize" 256, "nested_dtype" "float32", "nested_offset". transformers quantizes every Linear of BERT and
DistilBERT, classifier included, and GPT-2's Conv1D layers but not score, lm_head or any embedding.
"""
import copy
import os
import shutil
import sys
import tempfile

from golden_common import DTYPES, case, random_ids, randomize, round_weights, write_json

import bitsandbytes
import bitsandbytes.functional as bnb
import numpy as np
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
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "nf4")
BLOCK = 64


# ---- single weights ----

def normals(shape, seed, dtype="F32", scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(shape, generator=generator)).to(DTYPES[dtype])


def mean_in_double(absmax):
    return float(np.float32(np.mean(absmax.numpy().astype(np.float64))))


def normals_with_plain_mean(shape, first_seed, dtype="F32", scale=1.0):
    """The first seed whose mean of block scales is the same however it is added up."""
    for seed in range(first_seed, first_seed + 100):
        weight = normals(shape, seed, dtype) * scale
        _, state = bnb.quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4")
        if mean_in_double(state.absmax) == state.absmax.mean().item():
            return weight
    raise ValueError(f"no seed found for {shape}")


def bounds():
    code = bnb.get_4bit_type("nf4", device="cpu")
    return (code[:-1] + code[1:]) / 2


def ties():
    """Two full blocks and a short one of values on every bound and one float32 step to each side, absmax exactly 1."""
    middle = bounds()
    below = torch.nextafter(middle, torch.full_like(middle, -2.0))
    above = torch.nextafter(middle, torch.full_like(middle, 2.0))
    block = torch.cat([middle, below, above, torch.tensor([1.0]), torch.zeros(18)])
    return torch.cat([block, -block, block[:46]])[None]


def special_rows():
    """One block per row: zeros, an outlier, a constant, denormals, the smallest normals, negative zeros, large values."""
    rows = torch.zeros(8, BLOCK)
    rows[1] = normals((BLOCK,), 11, scale=1e-3)
    rows[1, 17] = 1e4
    rows[2] = 0.37
    rows[3] = normals((BLOCK,), 12) * 1e-40
    rows[4] = normals((BLOCK,), 13) * 2e-38
    rows[5] = -0.0
    rows[6] = normals((BLOCK,), 14) * 1e37
    rows[7, 63] = -2.5
    return rows


def weights():
    cases = {f"normal_{rows}x{columns}": normals_with_plain_mean((rows, columns), rows * 1000 + columns)
             for rows, columns in [(3, 64), (5, 100), (7, 64), (33, 192), (1, 1), (4, 36), (3, 5), (6, 96)]}
    cases["half_20x64"] = normals_with_plain_mean((20, 64), 21, "F16")
    cases["bfloat_9x100"] = normals_with_plain_mean((9, 100), 22, "BF16")
    cases["ties"] = ties()
    cases["special"] = special_rows()
    cases["zero_tail"] = torch.cat([normals((1, BLOCK), 23), torch.zeros(1, 7)], dim=1)
    cases["equal_blocks"] = normals((1, BLOCK), 24).repeat(5, 1)
    return cases


def nested_weights():
    """Enough blocks for the second level to have a full block of 256 and a short one."""
    spread = 0.02 * (1 + torch.arange(260) / 100)[:, None]
    return {"nested_260x64": normals_with_plain_mean((260, 64), 31, scale=spread)}


def formula_dequant(packed, absmax, shape):
    """nf4[code] * absmax[flat index / 64], whatever the number of columns."""
    code = bnb.get_4bit_type("nf4", device="cpu")
    flat = packed.reshape(-1)
    indices = torch.stack([flat >> 4, flat & 15], dim=1).reshape(-1).long()
    count = shape[0] * shape[1]
    return (code[indices[:count]] * absmax.repeat_interleave(BLOCK)[:count]).reshape(shape)


def bitsandbytes_dequant_is_right(shape):
    return shape[1] % 16 != 0 or shape[1] % BLOCK == 0


def read_absmax(state):
    """The block scales of a quantization state, from the second level where there is one."""
    if not state.nested:
        return state.absmax
    return bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset


def block_tensors(name, weight, tensors):
    packed, state = bnb.quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4")
    dequant = formula_dequant(packed, state.absmax, weight.shape)
    if weight.dtype == torch.float32 and bitsandbytes_dequant_is_right(weight.shape):
        assert torch.equal(dequant, bnb.dequantize_4bit(packed, state).reshape(weight.shape)), name
    tensors.update({f"{name}.input": weight, f"{name}.packed": packed.reshape(-1), f"{name}.absmax": state.absmax,
                    f"{name}.dequant": dequant})
    double_packed, double = bnb.quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4", compress_statistics=True)
    assert torch.equal(packed, double_packed), name
    assert mean_in_double(state.absmax) == double.offset.item(), name
    tensors.update({f"{name}.dq_absmax": double.absmax, f"{name}.dq_nested_absmax": double.state2.absmax,
                    f"{name}.dq_offset": double.offset.reshape(1),
                    f"{name}.dq_dequant": formula_dequant(packed, read_absmax(double), weight.shape)})


def write_blocks(out):
    tensors = {"nf4_map": bnb.get_4bit_type("nf4", device="cpu"), "nf4_bounds": bounds(),
               "dynamic_map": bnb.create_dynamic_map()}
    for name, weight in {**weights(), **nested_weights()}.items():
        block_tensors(name, weight.contiguous(), tensors)
    path = os.path.join(out, "blocks.safetensors")
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path)
    print(f"{path}: {len(tensors)} tensors")


# ---- saved models ----

GPT2 = dict(vocab_size=43, n_positions=32, n_embd=64, n_layer=1, n_head=4, bos_token_id=1, eos_token_id=1)
MODELS = {
    "bert-nf4": (BertForSequenceClassification,
                 BertConfig(vocab_size=43, hidden_size=64, num_hidden_layers=1, num_attention_heads=4, num_labels=3,
                            intermediate_size=128, max_position_embeddings=32), "F32", False),
    "distilbert-nf4-dq-odd": (DistilBertForSequenceClassification,
                              DistilBertConfig(vocab_size=43, dim=36, n_heads=3, hidden_dim=52, n_layers=2,
                                               num_labels=3, max_position_embeddings=32), "F16", True),
    "gpt2-cls-nf4-dq": (GPT2ForSequenceClassification, GPT2Config(**GPT2, num_labels=4, pad_token_id=0), "F32", True),
    "gpt2-lm-nf4": (GPT2LMHeadModel, GPT2Config(**GPT2), "BF16", False),
}


def save_quantized(model, dtype, double_quant, folder):
    """The ordinary way: open a plain directory with BitsAndBytesConfig, save_pretrained."""
    auto = AutoModelForCausalLM if isinstance(model, GPT2LMHeadModel) else AutoModelForSequenceClassification
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                      bnb_4bit_use_double_quant=double_quant)
    with tempfile.TemporaryDirectory() as plain:
        copy.deepcopy(model).to(DTYPES[dtype]).save_pretrained(plain)
        quantized = auto.from_pretrained(plain, quantization_config=quantization, dtype=DTYPES[dtype])
    shutil.rmtree(folder, ignore_errors=True)
    quantized.save_pretrained(folder)
    generation = os.path.join(folder, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    return quantized


def copy_dequantized(quantized, model):
    """Puts the quantized weights, dequantized by the formula, back into the plain float32 model."""
    modules = dict(model.named_modules())
    for name, module in quantized.named_modules():
        if not isinstance(module, bitsandbytes.nn.Linear4bit):
            continue
        state = module.weight.quant_state
        weight = formula_dequant(module.weight.data, read_absmax(state), state.shape)
        is_conv1d = type(modules[name]).__name__ == "Conv1D"
        modules[name].weight.data = weight.t().contiguous() if is_conv1d else weight
    return model


def write_model(out, name, seed):
    model_class, config, dtype, double_quant = MODELS[name]
    config._attn_implementation = "eager"
    model = round_weights(randomize(model_class(config), seed), dtype)
    folder = os.path.join(out, name)
    quantized = save_quantized(model, dtype, double_quant, folder)
    model = copy_dequantized(quantized, model)
    entries = []
    for index, length in enumerate((1, 2, 7, 32)):
        ids = random_ids(length, config.vocab_size, 100 * seed + index, avoid=(config.pad_token_id,))
        types = [0] * (length // 2) + [1] * (length - length // 2) if config.model_type == "bert" else None
        entries.append(case(model, ids, types))
    write_json(os.path.join(folder, "golden.json"), entries, one_per_line=True)
    print(f"{folder}: {len(entries)} cases")


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    os.makedirs(out, exist_ok=True)
    write_blocks(out)
    for seed, name in enumerate(MODELS, start=1):
        write_model(out, name, seed)


if __name__ == "__main__":
    main()
