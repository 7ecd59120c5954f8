"""Writes tests/golden/data/models/bart*/: tiny random BART models with a byte-level tokenizer, and what transformers
computes with them. Usage: golden_bart.py [OUT]   (default: tests/golden/data/models)

golden.json: [{ids, decoder_ids, logits, rows?}], teacher-forced logits of the decoder's rows (classifiers: ids, logits).
The odd sizes are on purpose; tools/golden_beams.py adds what the models generate."""
import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    BartConfig, BartForConditionalGeneration, BartForSequenceClassification, PreTrainedTokenizerFast)

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "models")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def make_tokenizer():
    """Five special tokens, 256 bytes, a few merges, as BART numbers them."""
    vocab = {t: i for i, t in enumerate(SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = []
    for a, b in ["th", "he", "in", "er", "an", "re", "on", "at", "en", "nd", "ed"]:
        merges.append((a, b))
        vocab[a + b] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                   pad_token="<pad>", cls_token="<s>", sep_token="</s>", mask_token="<mask>",
                                   model_max_length=48)


MODELS = {
    "bart": (BartForConditionalGeneration, torch.float32,
             dict(d_model=24, encoder_layers=2, decoder_layers=3, encoder_attention_heads=3, decoder_attention_heads=2,
                  encoder_ffn_dim=37, decoder_ffn_dim=41, scale_embedding=True)),
    "bart-f16": (BartForConditionalGeneration, torch.float16,
                 dict(d_model=18, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2,
                      decoder_attention_heads=3, encoder_ffn_dim=29, decoder_ffn_dim=23,
                      activation_function="gelu_new")),
    "bart-cls": (BartForSequenceClassification, torch.float32,
                 dict(d_model=24, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
                      decoder_attention_heads=3, encoder_ffn_dim=33, decoder_ffn_dim=35, num_labels=3)),
}


def make_model(kind, dtype, sizes, vocab_size, seed):
    torch.manual_seed(seed)
    model = kind(BartConfig(vocab_size=vocab_size, max_position_embeddings=48, **sizes)).eval()
    wide = 0.35
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if "norm" in name and "weight" in name else wide * torch.randn_like(p))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(0.5 * torch.randn_like(model.final_logits_bias))
            model.final_logits_bias[0, 2] += 2.5  # so that some answers end by themselves
    return model.to(dtype).float()  # what the stored values are


def random_ids(n, vocab_size):
    return [0] + torch.randint(5, vocab_size, (n - 2,)).tolist() + [2] if n > 1 else [2]


def write_cases(folder, cases):
    with open(os.path.join(folder, "golden.json"), "w") as f:
        json.dump(cases, f)
        f.write("\n")


def write_copies(folder, source, cases):
    """The same model as some files hold it: no prefix, and the tied matrix under every name but its own."""
    os.makedirs(folder, exist_ok=True)
    tensors = {k.removeprefix("model."): v for k, v in load_file(os.path.join(source, "model.safetensors")).items()}
    shared = tensors.pop("shared.weight")
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = shared.clone()
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    shutil.copy(os.path.join(source, "config.json"), folder)
    write_cases(folder, cases)


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    for seed, (name, (kind, dtype, sizes)) in enumerate(MODELS.items()):
        folder = os.path.join(out, name)
        model = make_model(kind, dtype, sizes, len(tokenizer), 21 + seed)
        cases = []
        for n, m in [(1, 1), (7, 3), (48, 9), (24, 17), (25, 48), (33, 25)]:
            ids = random_ids(n, len(tokenizer))
            case = {"ids": ids}
            with torch.inference_mode():
                if kind is BartForSequenceClassification:
                    logits = model(input_ids=torch.tensor([ids])).logits
                else:
                    case["decoder_ids"] = [2] + torch.randint(0, len(tokenizer), (m - 1,)).tolist()
                    logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([case["decoder_ids"]])).logits[0]
            rows = sorted({len(logits) // 2, len(logits) - 1})
            case["rows"] = rows
            case["logits"] = [[round(v, 6) for v in logits[r].tolist()] for r in rows]
            cases.append(case)
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if name == "bart-f16":  # as older directories: the keys lie in config.json
            os.remove(os.path.join(folder, "generation_config.json"))
            with open(os.path.join(folder, "config.json")) as f:
                config = json.load(f)
            config.update(num_beams=3, max_length=14, min_length=4, no_repeat_ngram_size=2, length_penalty=2.0,
                          early_stopping=True, forced_bos_token_id=0, normalize_before=False, normalize_embedding=True,
                          task_specific_params={"summarization": {"num_beams": 9, "max_length": 5}})
            with open(os.path.join(folder, "config.json"), "w") as f:
                json.dump(config, f, indent=2)
                f.write("\n")
        write_cases(folder, cases)
        if name == "bart-f16":
            write_copies(os.path.join(out, "bart-copies"), folder, cases)


if __name__ == "__main__":
    main()
