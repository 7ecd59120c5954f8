"""Writes tests/golden/data/generate/: a tiny GPT-2 with a byte-level tokenizer, and what transformers makes of it.
Usage: golden_generate.py [OUT]   (default: tests/golden/data/generate)

golden.json: "greedy": [{prompt, penalty, max_new, ids, text}], "filters": [{logits, temperature, top_k, top_p, min_p, kept,
probabilities}], "nll": {text, context, stride, tokens, mean}."""
import json
import os
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.generation.logits_process import (
    MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_OUT = os.path.join(HERE, "..", "tests", "golden", "data", "generate")
PROMPTS = ["The quick brown fox", "a", "Zürich 北京", "1 2 3 4 5 6 7 8 9", "\n\nindeed, indeed"]
TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. " * 4


def make_tokenizer():
    """256 bytes, a few merges, one special token: 270 ids."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(["<|endoftext|>"] + alphabet)}
    merges = []
    for a, b in ["th", "he", "in", "er", "an", "re", "on", "at", "en", "nd", "ed"]:
        merges.append((a, b))
        vocab[a + b] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", model_max_length=64)


def make_model(vocab_size):
    torch.manual_seed(11)
    config = GPT2Config(vocab_size=vocab_size, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + 0.2 * torch.randn_like(p) if "ln_" in name and "weight" in name else 0.25 * torch.randn_like(p))
    return model


def greedy(model, tokenizer):
    cases = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        for penalty in (1.0, 1.3):
            with torch.inference_mode():
                out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
                                     repetition_penalty=penalty, pad_token_id=0)
            new = out[0, ids.shape[1]:].tolist()
            if new and new[-1] == 0:
                new.pop()
            cases.append({"prompt": prompt, "penalty": penalty, "max_new": 24, "ids": new,
                          "text": tokenizer.decode(new, skip_special_tokens=True)})
    return cases


def filters():
    torch.manual_seed(5)
    cases = []
    for temperature, top_k, top_p, min_p in [(1.0, 0, 0, 0), (0.7, 5, 0, 0), (1.0, 0, 0.8, 0), (1.5, 0, 0, 0.2), (0.9, 12, 0.9, 0.05)]:
        scores = 2 * torch.randn(1, 24)
        logits = scores[0].tolist()
        for warper in ([TemperatureLogitsWarper(temperature)] if temperature != 1 else []) + (
                [TopKLogitsWarper(top_k)] if top_k else []) + ([TopPLogitsWarper(top_p)] if top_p else []) + (
                [MinPLogitsWarper(min_p)] if min_p else []):
            scores = warper(None, scores)
        p = torch.softmax(scores.double(), -1)[0]
        cases.append({"logits": logits, "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
                      "probabilities": p.tolist()})
    return cases


def nll(model, tokenizer, context=32, stride=20):
    """Windows of `context` moving by `stride`; each token is scored once, by the first window that reaches it."""
    ids = tokenizer(TEXT)["input_ids"]
    total, scored, done, start = 0.0, 0, 1, 0
    while done < len(ids):
        window = torch.tensor([ids[start:start + context]])
        with torch.inference_mode():
            logp = torch.log_softmax(model(window).logits.double(), -1)[0]
        end = start + window.shape[1]
        for t in range(done, end):
            total -= logp[t - 1 - start, ids[t]].item()
            scored += 1
        done, start = end, start + stride
    return {"text": TEXT, "context": context, "stride": stride, "tokens": scored, "mean": total / scored}


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_OUT
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    golden = {"greedy": greedy(model, tokenizer), "filters": filters(), "nll": nll(model, tokenizer)}
    with open(os.path.join(out, "golden.json"), "w") as f:
        json.dump(golden, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
