#!/usr/bin/env python3
"""Train the shipped AWD-LSTM: CLINC150 intents with fastai, as ULMFiT does it (Howard & Ruder 2018).

First a language model learns the wording of the training questions without their labels, then its encoder becomes the
encoder of a 150-way classifier. The validation questions are only looked at. Writes export.pkl (Learner.export), model.pth (Learner.save) and
result.json (accuracy on the 4,500 in-scope test questions) into --out, each by rename.

    tools/train_clinc_awd.py --clinc data_full.json --out DIR --vocab 2800 --emb 150 --hid 230    (models/clinc-awd)

data_full.json is from github.com/clinc/oos-eval (CC BY 3.0).
"""
import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.text.all import (AWD_LSTM, CategoryBlock, ColReader, ColSplitter, DataBlock, TextBlock, accuracy,
                             awd_lstm_clas_config, awd_lstm_lm_config, language_model_learner, set_seed,
                             text_classifier_learner)


def frames(path):
    """Labelled rows (in scope only) as one frame with a validation flag, and the test rows."""
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    parts = []
    for name in ("train", "val"):
        part = pd.DataFrame(data[name], columns=["text", "label"])
        part["is_valid"] = name == "val"
        parts.append(part)
    return pd.concat(parts, ignore_index=True), pd.DataFrame(data["test"], columns=["text", "label"])


def save(learn, out):
    """The two files fastai users have, each appearing whole."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as hold:
        learn.path, learn.model_dir = Path(hold), "."
        learn.export("export.pkl")
        learn.save("model", with_opt=False)
        for name in ("export.pkl", "model.pth"):
            os.replace(Path(hold) / name, out / name)


def language_model(args, rows, config, work):
    """Train on the texts alone; returns the vocabulary. The encoder lies in work/encoder.pth."""
    block = DataBlock(blocks=TextBlock.from_df("text", is_lm=True, seq_len=args.lm_len, min_freq=args.min_freq,
                                               max_vocab=args.vocab, n_workers=0),
                      get_x=ColReader("text"), splitter=ColSplitter("is_valid"))
    dls = block.dataloaders(rows, bs=args.lm_batch, seq_len=args.lm_len, num_workers=0)
    learn = language_model_learner(dls, AWD_LSTM, config={**awd_lstm_lm_config, **config}, drop_mult=args.lm_drop,
                                   pretrained=False, metrics=[accuracy], path=work, model_dir=".")
    with learn.no_bar():
        learn.fit_one_cycle(args.lm_epochs, args.lm_rate)
    learn.save_encoder("encoder")
    return dls.vocab


def classifier(args, rows, config, work, vocab):
    block = DataBlock(blocks=(TextBlock.from_df("text", vocab=vocab, seq_len=args.bptt, min_freq=args.min_freq,
                                                max_vocab=args.vocab, n_workers=0), CategoryBlock),
                      get_x=ColReader("text"), get_y=ColReader("label"), splitter=ColSplitter("is_valid"))
    dls = block.dataloaders(rows, bs=args.batch, num_workers=0)
    return text_classifier_learner(dls, AWD_LSTM, seq_len=args.bptt, config={**awd_lstm_clas_config, **config},
                                   drop_mult=args.drop, lin_ftrs=[args.head], pretrained=False,
                                   metrics=[accuracy], path=work, model_dir=".")


def measure(learn, rows):
    loader = learn.dls.test_dl(rows, with_labels=True)
    with learn.no_bar():
        probs, wanted = learn.get_preds(dl=loader)
    return float((probs.argmax(1) == wanted).float().mean())


def main():
    arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arg.add_argument("--clinc", required=True)
    arg.add_argument("--out", required=True, type=Path)
    arg.add_argument("--emb", type=int, default=160)
    arg.add_argument("--hid", type=int, default=256)
    arg.add_argument("--layers", type=int, default=2)
    arg.add_argument("--head", type=int, default=64)
    arg.add_argument("--vocab", type=int, default=3000)
    arg.add_argument("--min-freq", type=int, default=2)
    arg.add_argument("--bptt", type=int, default=72)
    arg.add_argument("--lm-len", type=int, default=24)
    arg.add_argument("--lm-batch", type=int, default=64)
    arg.add_argument("--lm-epochs", type=int, default=12)
    arg.add_argument("--lm-rate", type=float, default=8e-3)
    arg.add_argument("--lm-drop", type=float, default=0.5)
    arg.add_argument("--batch", type=int, default=64)
    arg.add_argument("--epochs", type=int, default=16)
    arg.add_argument("--rate", type=float, default=6e-3)
    arg.add_argument("--drop", type=float, default=0.5)
    arg.add_argument("--threads", type=int, default=1)
    arg.add_argument("--seed", type=int, default=7)
    args = arg.parse_args()
    torch.set_num_threads(args.threads)
    set_seed(args.seed, reproducible=True)
    started = time.time()
    rows, test = frames(args.clinc)
    config = {"emb_sz": args.emb, "n_hid": args.hid, "n_layers": args.layers}
    with tempfile.TemporaryDirectory() as work:
        vocab = language_model(args, rows, config, work) if args.lm_epochs else None
        learn = classifier(args, rows, config, work, vocab)
        if vocab is not None:
            learn.load_encoder("encoder")
            learn.unfreeze()
        with learn.no_bar():
            learn.fit_one_cycle(args.epochs, args.rate, wd=0.05)
        found = measure(learn, test)
        words = learn.dls.vocab[0]
        save(learn, args.out)
    result = {"accuracy": found, "test_rows": len(test), "vocabulary": len(words), "classes": len(learn.dls.vocab[1]),
              "parameters": int(np.sum([p.numel() for p in learn.model.parameters()])),
              "minutes": round((time.time() - started) / 60, 1),
              "arguments": {k: v for k, v in vars(args).items() if k not in ("clinc", "out")}}
    (args.out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
