#!/usr/bin/env python3
"""What serve.py needs beside the models: texts as JSON bodies, and a vocabulary for the models that generate.
Usage: serve_prepare.py PROJECT WORK

Below WORK/serve: texts/NAME.txt (one text per line), texts/NAME.bodies (the same as JSON bodies), tokenizer/ (a byte-level
BPE of GPT-2's 50,257 ids), NAME.int8/ (pare's models with it, links), NAME.f32.gguf (llama.cpp's with it).
"""
import csv
import json
import os
import random
import shutil
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

LONGEST = 128  # ids of a text, special ones with them: nobody cuts
SHORT = 8
SHORT_TEXTS = 5000
ZIPF_TEXTS, ZIPF_DRAWS, ZIPF_POWER = 1000, 20000, 1.0
PROMPTS, PROMPT_IDS = 512, 16
VOCABULARY, END = 50257, "<|endoftext|>"
SEED = 1


def column(path, name="text"):
    with open(path, newline="", encoding="utf-8") as f:
        return [" ".join(row[name].split()) for row in csv.DictReader(f)]


def write(folder, name, texts, bodies=None):
    bodies = bodies or [json.dumps({"inputs": text}) for text in texts]
    for ending, lines in (("txt", texts), ("bodies", bodies)):
        with open(os.path.join(folder, f"{name}.{ending}"), "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in lines)


def short_texts(tokenizer, texts):
    """Distinct texts of six common words: eight ids with the two special ones."""
    known = tokenizer.get_vocab()
    words = sorted({w for text in texts for w in text.lower().split() if w.isalpha() and len(w) > 2 and w in known})
    draw, found = random.Random(SEED), {}
    while len(found) < SHORT_TEXTS:
        text = " ".join(draw.sample(words, SHORT - 2))
        if len(tokenizer.encode(text).ids) == SHORT:
            found[text] = None
    return list(found)


def zipf(texts):
    weights = [1 / (i + 1) ** ZIPF_POWER for i in range(ZIPF_TEXTS)]
    return random.Random(SEED).choices(texts[:ZIPF_TEXTS], weights, k=ZIPF_DRAWS)


def make_texts(project, folder):
    tokenizer = Tokenizer.from_file(os.path.join(project, "models/nli-minilm/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    news = list(dict.fromkeys(column(os.path.join(project, "data/ag_news_test.csv"))))
    lengths = [len(e.ids) for e in tokenizer.encode_batch(news)]
    news = [text for text, n in zip(news, lengths) if n <= LONGEST]
    write(folder, "ag", news)
    short = short_texts(tokenizer, news)
    write(folder, "short", short)
    write(folder, "ag-100", news[:100])
    write(folder, "short-100", short[:100])
    write(folder, "zipf", zipf(news))
    for name, file in (("sentiment-linear", "sst2_dev"), ("spam-linear", "sms_spam_test"), ("intent-linear", "clinc150_test")):
        texts = column(os.path.join(project, "data", f"{file}.csv"))
        one = {"inputs": "", "parameters": {"top_k": 1}} if name == "intent-linear" else {"inputs": ""}
        write(folder, name, texts, [json.dumps({**one, "inputs": text}) for text in texts])
    draw = random.Random(SEED)
    prompts = [[draw.randrange(300, VOCABULARY - 1) for _ in range(PROMPT_IDS)] for _ in range(PROMPTS)]
    with open(os.path.join(folder, "prompts.txt"), "w") as f:
        f.writelines(", ".join(map(str, ids)) + "\n" for ids in prompts)


def make_tokenizer(project, folder):
    """Byte-level BPE learnt from the project's texts, filled up with pairs of its pieces: only its size matters here."""
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learnt.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY - 1, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    learnt.train_from_iterator(column(os.path.join(project, "data/ag_news_test.csv")), trainer)
    out = json.loads(learnt.to_str())
    vocabulary, merges = out["model"]["vocab"], out["model"]["merges"]
    pieces = sorted((p for p in vocabulary if len(p) == 2), key=vocabulary.get)
    for a in pieces:
        for b in pieces:
            if len(vocabulary) < VOCABULARY - 1 and a + b not in vocabulary:
                vocabulary[a + b] = len(vocabulary)
                merges.append([a, b])
    if len(vocabulary) != VOCABULARY - 1:
        sys.exit(f"serve_prepare.py: {len(vocabulary)} pieces, expected {VOCABULARY - 1}")
    out["added_tokens"] = [{"id": VOCABULARY - 1, "content": END, "single_word": False, "lstrip": False, "rstrip": False,
                            "normalized": False, "special": True}]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "GPT2Tokenizer", "eos_token": END, "bos_token": END, "unk_token": END,
                   "add_prefix_space": False, "model_max_length": 1024}, f)


def link_model(source, tokenizer, target):
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for folder in (source, tokenizer):
        for name in os.listdir(folder):
            os.symlink(os.path.relpath(os.path.join(folder, name), target), os.path.join(target, name))


def make_gguf(source, tokenizer, target):
    from convert import to_gguf
    with open(os.path.join(tokenizer, "tokenizer.json"), encoding="utf-8") as f:
        words = json.load(f)
    pieces = sorted(words["model"]["vocab"], key=words["model"]["vocab"].get) + [END]
    to_gguf(source, target + ".part", {"tokens": pieces, "merges": [" ".join(m) for m in words["model"]["merges"]]})
    os.rename(target + ".part", target)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    project, work = sys.argv[1:]
    root = os.path.join(work, "serve")
    texts, tokenizer = os.path.join(root, "texts"), os.path.join(root, "tokenizer")
    os.makedirs(texts, exist_ok=True)
    make_texts(project, texts)
    if not os.path.exists(os.path.join(tokenizer, "tokenizer_config.json")):
        make_tokenizer(project, tokenizer)
    for name in ("distilgpt2", "gpt2"):
        link_model(os.path.join(work, "pare", f"{name}.int8"), tokenizer, os.path.join(root, f"{name}.int8"))
        gguf = os.path.join(root, f"{name}.f32.gguf")
        if not os.path.exists(gguf):
            make_gguf(os.path.join(work, "models", name), tokenizer, gguf)


if __name__ == "__main__":
    main()
