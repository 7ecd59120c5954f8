#!/usr/bin/env python3
"""Makes the models that are timed: the architectures users have, at their real sizes, with seeded random weights (how
long a model takes does not depend on what it has learnt).
Usage: make_models.py MODELS

Writes MODELS/{distilbert-cls,gpt2-cls,distilgpt2,gpt2}, Hugging Face directories without a tokenizer. One
that is there stays. Needs torch and transformers.
"""
import os
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch  # noqa: E402
from transformers import (DistilBertConfig, DistilBertForSequenceClassification,  # noqa: E402
                          GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel)

MAKE = {
    "distilbert-cls": lambda: DistilBertForSequenceClassification(DistilBertConfig(num_labels=3)),
    "gpt2-cls": lambda: GPT2ForSequenceClassification(GPT2Config(num_labels=4, pad_token_id=50256)),
    "distilgpt2": lambda: GPT2LMHeadModel(GPT2Config(n_layer=6)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config()),
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, make in MAKE.items():
        path = os.path.join(sys.argv[1], name)
        if os.path.exists(os.path.join(path, "model.safetensors")):
            continue
        torch.manual_seed(0)
        model = make().eval()
        model.save_pretrained(path)
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters", flush=True)


if __name__ == "__main__":
    main()
