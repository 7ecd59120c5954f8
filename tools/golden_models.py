"""Writes tests/golden/data/models/NAME/{config.json, model.safetensors, golden.json} for a set of tiny random GPT-2,
DistilBERT and BERT models, and accepted.json and refused.json beside them. Usage: golden_models.py [OUT]

golden.json is a list of {"ids", "types"?, "logits", "rows"?, "sum"?}. The logits are what transformers computes in
float32 with eager attention, a batch of one and no padding, from the weights as rounded in the file. A classifier has
one row. A language model has one row per token; beyond three tokens only the rows named in "rows" are kept and "sum"
holds the float64 sum of all logits.
"""
import copy
import os
import shutil
import sys

from golden_common import DTYPES, case, random_ids, randomize, round_weights, run, write_json

import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
)

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "models")

GPT2_SMALL = dict(vocab_size=43, n_positions=67, n_embd=36, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=1)
GPT2_TINY = dict(GPT2_SMALL, n_embd=20, n_head=1)
DISTIL = dict(vocab_size=43, max_position_embeddings=70, dim=36, n_heads=3, hidden_dim=52, n_layers=2, pad_token_id=0)
BERT = dict(vocab_size=43, max_position_embeddings=70, hidden_size=36, num_attention_heads=3, intermediate_size=52,
            num_hidden_layers=2, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=0)


# ---- changes to the names in a file, as files of other ages and origins have them ----

def drop_prefix(state, prefix):
    return {(k[len(prefix):] if k.startswith(prefix) else k): v for k, v in state.items()}


def add_causal_buffers(state, config, prefix):
    """Older GPT-2 files carry the causal mask and its fill value per layer."""
    size = config.n_positions
    for layer in range(config.n_layer):
        mask = torch.tril(torch.ones(size, size, dtype=torch.uint8)).view(1, 1, size, size)
        state[f"{prefix}h.{layer}.attn.bias"] = mask
        state[f"{prefix}h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return state


def legacy_bert_names(state):
    """BERT files from before 2020: LayerNorm.gamma and LayerNorm.beta, and a stored position index."""
    renamed = {}
    for key, value in state.items():
        key = key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[key] = value
    size = renamed["bert.embeddings.position_embeddings.weight"].shape[0]
    renamed["bert.embeddings.position_ids"] = torch.arange(size).view(1, size)
    return renamed


# ---- the models: name -> (class, config, file dtype, options) ----

def gpt2(base, **changes):
    return GPT2Config(**{**base, **changes})


def distilbert(**changes):
    return DistilBertConfig(**{**DISTIL, **changes})


def bert(**changes):
    return BertConfig(**{**BERT, **changes})


NEWS = {0: "World", 1: "Sports", 2: "Business", 3: "Sci/Tech"}
NLI = {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"}

MODELS = {
    "gpt2-cls": (GPT2ForSequenceClassification, gpt2(GPT2_SMALL, pad_token_id=5, id2label=NEWS), "F32", {}),
    "gpt2-cls-no-pad": (GPT2ForSequenceClassification,
                        gpt2(GPT2_TINY, pad_token_id=None, n_inner=52, activation_function="gelu",
                             layer_norm_epsilon=1e-3, num_labels=3), "F32", {}),
    "gpt2-cls-tanh": (GPT2ForSequenceClassification,
                      gpt2(GPT2_TINY, pad_token_id=0, activation_function="tanh", num_labels=2), "F16",
                      {"strip": "transformer."}),
    "gpt2-lm": (GPT2LMHeadModel, gpt2(GPT2_SMALL), "F32", {}),
    "gpt2-lm-no-prefix": (GPT2LMHeadModel, gpt2(GPT2_TINY, n_inner=52), "F16", {"strip": "transformer.", "buffers": True}),
    "gpt2-lm-untied": (GPT2LMHeadModel, gpt2(GPT2_TINY, tie_word_embeddings=False, activation_function="relu"), "BF16",
                       {"buffers": True}),
    "gpt2-lm-inverse-layer": (GPT2LMHeadModel,
                              gpt2(GPT2_TINY, n_layer=3, scale_attn_by_inverse_layer_idx=True,
                                   activation_function="silu"), "F32", {}),
    "gpt2-lm-unscaled": (GPT2LMHeadModel,
                         gpt2(GPT2_TINY, scale_attn_weights=False, reorder_and_upcast_attn=True,
                              activation_function="quick_gelu"), "F32", {"std": 0.15}),
    "gpt2-lm-stored-head": (GPT2LMHeadModel, gpt2(GPT2_TINY, activation_function="gelu_pytorch_tanh"), "F32",
                            {"keep_tied": True}),
    "gpt2-lm-sharded": (GPT2LMHeadModel, gpt2(GPT2_TINY, n_embd=24, n_head=2), "F16", {"shards": 2}),
    "distilbert": (DistilBertForSequenceClassification, distilbert(id2label=NLI), "F32", {}),
    "distilbert-multi-label": (DistilBertForSequenceClassification,
                               distilbert(n_layers=1, activation="relu", sinusoidal_pos_embds=True, num_labels=4,
                                          problem_type="multi_label_classification"), "F16", {}),
    "distilbert-regression": (DistilBertForSequenceClassification,
                              distilbert(dim=20, n_heads=1, activation="gelu_new", num_labels=1,
                                         problem_type="regression"), "BF16", {}),
    "distilbert-single-label": (DistilBertForSequenceClassification,
                                distilbert(dim=24, n_heads=2, n_layers=1, num_labels=2,
                                           problem_type="single_label_classification"), "F32", {}),
    "bert": (BertForSequenceClassification, bert(id2label=NLI), "F32", {}),
    "bert-relu": (BertForSequenceClassification, bert(num_hidden_layers=1, hidden_act="relu", num_labels=2), "F16", {}),
    "bert-gelu-new": (BertForSequenceClassification,
                      bert(hidden_size=20, num_attention_heads=1, hidden_act="gelu_new", num_labels=5), "BF16", {}),
    "bert-legacy-names": (BertForSequenceClassification,
                          bert(hidden_size=24, num_attention_heads=2, hidden_act="silu"), "F32", {"legacy": True}),
    "bert-tanh": (BertForSequenceClassification,
                  bert(hidden_size=24, num_attention_heads=2, num_hidden_layers=1, hidden_act="tanh", num_labels=1,
                       layer_norm_eps=1e-5), "F32", {}),
}


def file_state(model, config, dtype, options):
    """The tensors of the file: parameters in its dtype, under the names the options ask for."""
    state = {k: v.detach().to(DTYPES[dtype]).contiguous().clone() for k, v in model.named_parameters()}
    if options.get("keep_tied"):
        state["lm_head.weight"] = state["transformer.wte.weight"].clone()
    if options.get("buffers"):
        state = add_causal_buffers(state, config, "transformer.")
    if options.get("strip"):
        state = drop_prefix(state, options["strip"])
    if options.get("legacy"):
        state = legacy_bert_names(state)
    return state


def save_state(state, folder, shards):
    metadata = {"format": "pt"}
    if shards == 1:
        save_file(state, os.path.join(folder, "model.safetensors"), metadata=metadata)
        return
    names = sorted(state)
    weight_map, total = {}, 0
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: state[name] for name in names[shard::shards]}
        save_file(part, os.path.join(folder, file), metadata=metadata)
        weight_map.update({name: file for name in part})
        total += sum(t.numel() * t.element_size() for t in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_json(os.path.join(folder, "model.safetensors.index.json"), index)


def config_dict(config, model, dtype):
    values = config.to_dict()
    values["architectures"] = [type(model).__name__]
    values["dtype"] = str(DTYPES[dtype]).replace("torch.", "")
    if config.id2label:
        values["label2id"] = {label: i for i, label in config.id2label.items()}
    return {k: v for k, v in values.items() if not k.startswith("_")}


def inputs_for(config, name, seed):
    """Sequences of the lengths that matter, plus pad tokens in every position that changes what is classified."""
    longest = getattr(config, "n_positions", None) or config.max_position_embeddings
    pad = config.pad_token_id
    avoid = () if pad is None else (pad,)
    for index, length in enumerate((1, 2, 3, 16, 17, longest)):
        ids = random_ids(length, config.vocab_size, seed + index, avoid)
        types = None
        if config.model_type == "bert" and length > 1:
            types = [0] * (length // 2) + [1] * (length - length // 2)
        yield ids, types
    if pad is not None:
        base = random_ids(9, config.vocab_size, seed + 50, avoid)
        yield base[:4] + [pad] + base[4:], None
        yield base + [pad, pad, pad], None
        yield [pad] + base[:5] + [pad] + base[5:] + [pad], None
        yield [pad, pad], None
    if config.model_type == "bert":
        yield random_ids(5, config.vocab_size, seed + 60), [1, 0, 1, 1, 0]


def float64_error(model, entries):
    """Largest difference between the float32 answers and the same model in float64, relative to the largest logit."""
    double = copy.deepcopy(model).double()
    for module in double.modules():
        module.reorder_and_upcast_attn = False  # insists on float32
    worst = 0.0
    for ids, types in entries:
        single, exact = run(model, ids, types), run(double, ids, types)
        worst = max(worst, float((single - exact).abs().max() / max(1.0, exact.abs().max())))
    return worst


def write_model(out, name, seed):
    model_class, config, dtype, options = MODELS[name]
    config = copy.deepcopy(config)
    config._attn_implementation = "eager"
    model = randomize(model_class(config), seed, options.get("std", 0.2))
    model = round_weights(model.float(), dtype)
    folder = os.path.join(out, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), config_dict(config, model, dtype))
    save_state(file_state(model, config, dtype, options), folder, options.get("shards", 1))
    inputs = list(inputs_for(config, name, 1000 * seed))
    entries = [case(model, ids, types) for ids, types in inputs]
    write_json(os.path.join(folder, "golden.json"), entries, one_per_line=True)
    largest = max(abs(v) for e in entries for row in e["logits"] for v in row)
    print(f"{name:26} {dtype:4} {len(entries):2} cases, largest logit {largest:7.3f}, "
          f"float32 against float64 {float64_error(model, inputs):.1e}")
    return config_dict(config, model, dtype)


REFUSED = [
    ("gpt2-lm", {"activation_function": "xyz"}, "activation_function: unknown activation xyz"),
    ("bert", {"hidden_act": "xyz"}, "hidden_act: unknown activation xyz"),
    ("distilbert", {"activation": "xyz"}, "activation: unknown activation xyz"),
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type: only absolute positions"),
    ("bert", {"position_embedding_type": "relative_key_query"}, "position_embedding_type: only absolute positions"),
    ("bert", {"is_decoder": True}, "is_decoder: a causal BERT gives other answers"),
    ("bert", {"add_cross_attention": True, "is_decoder": True}, "add_cross_attention: no encoder to attend to"),
    ("gpt2-lm", {"add_cross_attention": True}, "add_cross_attention: no encoder to attend to"),
    ("gpt2-lm", {"n_head": 7}, "n_embd: not divisible by n_head"),
    ("bert", {"num_attention_heads": 7}, "hidden_size: not divisible by num_attention_heads"),
    ("distilbert", {"n_heads": 7}, "dim: not divisible by n_heads"),
    ("gpt2-lm", {"n_head": 0}, "n_head: must be positive"),
    ("gpt2-lm", {"n_layer": -1}, "n_layer: must not be negative"),
    ("gpt2-lm", {"n_embd": "36"}, "n_embd: a number is expected"),
    ("bert", {"vocab_size": 10**15}, "vocab_size: out of range"),
    ("bert", {"hidden_size": 2**62}, "hidden_size: out of range"),
    ("distilbert", {"n_layers": 3}, "distilbert.transformer.layer.2: tensors missing from the file"),
    ("distilbert", {"vocab_size": 44}, "word_embeddings: shape differs from the file's"),
    ("bert", {"intermediate_size": 53}, "intermediate.dense: shape differs from the file's"),
    ("bert", {"model_type": "xyz"}, "model_type: unknown architecture xyz"),
]

ACCEPTED = [
    ("gpt2-lm", {"reorder_and_upcast_attn": True}, "the same answer in float32"),
    ("gpt2-cls", {"summary_type": "mean", "summary_use_proj": False}, "summary_* belong to another head"),
    ("gpt2-cls", {"use_cache": False, "attn_pdrop": 0.5, "resid_pdrop": 0.5, "embd_pdrop": 0.5}, "training and caching only"),
    ("bert", {"chunk_size_feed_forward": 4}, "the same answer in pieces"),
    ("bert", {"position_embedding_type": "absolute", "an_unknown_key": {"x": [1]}}, "absolute is what is computed; unknown keys"),
    ("distilbert", {"qa_dropout": 0.5, "seq_classif_dropout": 0.5}, "training only"),
]


def variants(rows, configs):
    """Full configs: what must be refused (or accepted) when put beside the weights of model `base`."""
    return [{"base": base, "why": why, "config": {**configs[base], **changes}} for base, changes, why in rows]


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    configs = {name: write_model(out, name, seed) for seed, name in enumerate(MODELS, start=1)}
    write_json(os.path.join(out, "refused.json"), variants(REFUSED, configs), one_per_line=True)
    write_json(os.path.join(out, "accepted.json"), variants(ACCEPTED, configs), one_per_line=True)


if __name__ == "__main__":
    main()
