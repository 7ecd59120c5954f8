#!/usr/bin/env python3
"""Writes the models of make_models.py in the forms the peers read.
Usage: convert.py MODELS FORMS

  FORMS/NAME.onnx           ONNX, F32                       ONNX Runtime and OpenVINO
  FORMS/NAME.int8.onnx      ONNX Runtime's dynamic INT8, weights per channel
  FORMS/NAME.ct2-float32/   CTranslate2                     NAME.ct2-int8/ likewise
  FORMS/NAME.f32.gguf       GGUF, F32                       for llama-quantize

What is there stays. The models have no tokenizer: CTranslate2 is given the made-up word tN for id N, llama.cpp a file
without a vocabulary.
"""
import os
import shutil
import sys
import traceback
import warnings

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification  # noqa: E402


def to_onnx(source, target):
    import onnxruntime.quantization as quantization

    model = AutoModelForSequenceClassification.from_pretrained(source, attn_implementation="eager").eval()
    model.config.use_cache = False

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask).logits

    ids = torch.randint(5, 20000, (2, 32))
    axes = {"input_ids": {0: "b", 1: "s"}, "attention_mask": {0: "b", 1: "s"}, "logits": {0: "b"}}
    torch.onnx.export(Logits(), (ids, torch.ones_like(ids)), target, input_names=["input_ids", "attention_mask"],
                      output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)
    quantization.quantize_dynamic(target, target.replace(".onnx", ".int8.onnx"),
                                  weight_type=quantization.QuantType.QInt8, per_channel=True)


class Words:
    """Stands for the tokenizer that the models do not have."""

    def __init__(self, size, unknown):
        self.words = {f"t{i}": i for i in range(size)}
        self.unk_token = self.bos_token = self.eos_token = self.pad_token = f"t{unknown}"

    def get_vocab(self):
        return self.words

    def convert_ids_to_tokens(self, i):
        return f"t{i}"


def to_ct2(source, target, quantization):
    from ctranslate2.converters import TransformersConverter

    size = AutoConfig.from_pretrained(source).vocab_size

    class Converter(TransformersConverter):
        def load_tokenizer(self, *_, **__):
            return Words(size, size - 1)

    Converter(source).convert(target, quantization=quantization, force=True)


TOP = {"transformer.wte.weight": "token_embd.weight", "transformer.wpe.weight": "position_embd.weight",
       "transformer.ln_f.weight": "output_norm.weight", "transformer.ln_f.bias": "output_norm.bias"}
LAYER = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
         "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}


def to_gguf(source, target, words=None):
    """words: {"tokens", "merges"} of a byte-level BPE whose last token ends a text; llama-server wants one."""
    import gguf

    model = AutoModelForCausalLM.from_pretrained(source)
    c = model.config
    out = gguf.GGUFWriter(target, "gpt2")
    out.add_name(os.path.basename(source))
    out.add_block_count(c.n_layer)
    out.add_context_length(c.n_positions)
    out.add_embedding_length(c.n_embd)
    out.add_feed_forward_length(4 * c.n_embd)
    out.add_head_count(c.n_head)
    out.add_layer_norm_eps(c.layer_norm_epsilon)
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    if words:
        kinds = [gguf.TokenType.NORMAL] * (c.vocab_size - 1) + [gguf.TokenType.CONTROL]
        out.add_tokenizer_model("gpt2")
        out.add_tokenizer_pre("gpt-2")
        out.add_token_list(words["tokens"])
        out.add_token_types(kinds)
        out.add_token_merges(words["merges"])
        out.add_bos_token_id(c.vocab_size - 1)
        out.add_eos_token_id(c.vocab_size - 1)
        out.add_add_bos_token(False)
    else:
        out.add_tokenizer_model("no_vocab")
        out.add_vocab_size(c.vocab_size)
    for name, value in model.state_dict().items():
        value = value.float()
        if name in TOP:
            out.add_tensor(TOP[name], np.ascontiguousarray(value.numpy()))
        elif name.startswith("transformer.h."):
            layer, rest = name[len("transformer.h."):].split(".", 1)
            part, kind = rest.rsplit(".", 1)
            value = value.t() if value.dim() == 2 else value  # Conv1D is stored in x out
            out.add_tensor(f"blk.{layer}.{LAYER[part]}.{kind}", np.ascontiguousarray(value.numpy()))
        elif name != "lm_head.weight":  # tied
            raise ValueError(f"{source}: unexpected tensor {name}")
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    models, forms = sys.argv[1:]
    os.makedirs(forms, exist_ok=True)
    work = [(to_onnx, name, ".onnx", ".int8.onnx", ()) for name in ("distilbert-cls", "gpt2-cls")]
    work += [(to_gguf, name, ".f32.gguf", ".f32.gguf", ()) for name in ("distilgpt2", "gpt2")]
    work += [(to_ct2, name, f".ct2-{q}", f".ct2-{q}", (q,)) for name in ("distilbert-cls", "distilgpt2", "gpt2")
             for q in ("float32", "int8")]
    failed = 0
    for convert, name, ending, last, more in work:
        target = os.path.join(forms, name + ending)
        if os.path.exists(os.path.join(forms, name + last)):
            continue
        try:
            convert(os.path.join(models, name), target, *more)
            print(f"{os.path.basename(target)} written", flush=True)
        except Exception:  # the other peers can still be compared
            failed += 1
            traceback.print_exc()
            shutil.rmtree(target) if os.path.isdir(target) else os.path.exists(target) and os.remove(target)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
