"""Writes what transformers generates with the tiny models of golden_bart.py and golden_generate.py.
Usage: golden_beams.py [DATA]   (default: tests/golden/data)

DATA/beams.json: [{model, text, config, ids, finish}]; config holds generation_config.json keys, ids neither the prompt (or
decoder start) nor a closing end-of-text id. A case whose ids change when the model computes in 64 bits hangs on rounding:
it is dropped, and counted. The last case of a model has config null: what its own files say."""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT_DATA = os.path.join(HERE, "..", "tests", "golden", "data")
TEXTS = ["The quick brown fox", "a", "Zürich 北京 is there", "one two three four five six seven",
         "the end and on and on, until it ends here."]

CONFIGS = [
    dict(num_beams=1, max_length=20),
    dict(num_beams=1, max_length=24, min_length=12, no_repeat_ngram_size=2, repetition_penalty=1.3),
    dict(num_beams=2, max_length=20),
    dict(num_beams=3, max_length=20, length_penalty=0.0),
    dict(num_beams=4, max_length=20, length_penalty=2.0, early_stopping=True),
    dict(num_beams=4, max_length=20, length_penalty=-1.0),
    dict(num_beams=5, max_length=30, length_penalty=1.0, early_stopping="never"),
    dict(num_beams=5, max_length=30, length_penalty=-2.0, early_stopping="never"),
    dict(num_beams=5, max_length=16, length_penalty=0.6, early_stopping=True, no_repeat_ngram_size=3),
    dict(num_beams=3, max_length=32, min_length=10, no_repeat_ngram_size=2, early_stopping=True),
    dict(num_beams=4, max_new_tokens=9, min_new_tokens=9),
    dict(num_beams=4, max_new_tokens=14, min_new_tokens=3, no_repeat_ngram_size=1),
    dict(num_beams=2, max_length=25, repetition_penalty=1.4, length_penalty=1.5),
    dict(num_beams=3, max_length=22, suppress_tokens=[40, 41, 100], begin_suppress_tokens=[7, 8, 2]),
    dict(num_beams=4, max_length=18, eos_token_id=[2, 60, 61, 120], early_stopping=True),
    dict(num_beams=4, max_length=18, eos_token_id=[2, 60, 61, 120], length_penalty=2.0),
    dict(num_beams=6, max_length=12, forced_eos_token_id=2),
]
SEQ2SEQ = [
    dict(num_beams=1, max_length=15, forced_bos_token_id=0, forced_eos_token_id=2),
    dict(num_beams=4, max_length=15, forced_bos_token_id=0, forced_eos_token_id=2),
    dict(num_beams=3, max_length=20, forced_bos_token_id=0, begin_suppress_tokens=[9, 2], length_penalty=2.0),
    dict(num_beams=4, max_length=20, min_length=6, encoder_no_repeat_ngram_size=2, early_stopping=True),
    dict(num_beams=2, max_length=20, decoder_start_token_id=0, no_repeat_ngram_size=3),
    dict(num_beams=4, max_length=2, forced_eos_token_id=2),
]


def generate(model, ids, config, seq2seq):
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)[0].tolist()
    return out[1:] if seq2seq else out[ids.shape[1]:]


def main():
    data = sys.argv[1] if len(sys.argv) > 1 else DEFAULT_DATA
    torch.set_num_threads(1)
    cases, dropped = [], 0
    for folder, seq2seq in [("models/bart", True), ("models/bart-f16", True), ("generate", False)]:
        path = os.path.join(data, folder)
        kind = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
        model = kind.from_pretrained(path, dtype=torch.float32).eval()
        exact = kind.from_pretrained(path, dtype=torch.float64).eval()
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path)
        own = 2 if seq2seq else 0
        files, plain = model.generation_config, GenerationConfig()  # a case's keys are all there is
        for text in TEXTS:
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            for config in CONFIGS + (SEQ2SEQ + [None] if seq2seq else []):
                keys = dict(config or {})
                if not seq2seq:  # lengths of a language model count the prompt
                    for key in ("max_length", "min_length"):
                        if key in keys:
                            keys[key] = min(64, keys[key] + ids.shape[1])
                if config is not None:
                    keys.setdefault("eos_token_id", own)
                    if seq2seq:
                        keys.setdefault("decoder_start_token_id", 2)
                    full = GenerationConfig(pad_token_id=1, do_sample=False, **keys)
                else:
                    full = None
                for m in (model, exact):
                    m.generation_config = files if config is None else plain
                new = generate(model, ids, full, seq2seq)
                if new != generate(exact, ids, full, seq2seq):
                    dropped += 1
                    continue
                ends = keys.get("eos_token_id", own)
                ended = bool(new) and new[-1] in (ends if isinstance(ends, list) else [ends])
                cases.append({"model": folder, "text": text, "config": keys if config is not None else None,
                              "ids": new[:-1] if ended else new, "finish": "eos" if ended else "length"})
    with open(os.path.join(data, "beams.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
    print(f"{len(cases)} cases, {dropped} dropped; "
          f"{sum(c['finish'] == 'eos' for c in cases)} ended by themselves, lengths {sorted({len(c['ids']) for c in cases})}")


if __name__ == "__main__":
    main()
