#!/usr/bin/env python3
"""Copies a model directory with its F32 weights rounded to F16 (nearest, ties to even): to_f16.py SOURCE OUT

Writes model.safetensors and config.json (its dtype) and copies generation_config.json, tokenizer.json and
tokenizer_config.json. Weights that F16 cannot hold are refused.
"""
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    tensors = load_file(source / "model.safetensors")
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float32:
            tensors[name] = tensor.half()
            if not torch.isfinite(tensors[name]).all():
                sys.exit(f"{name}: a weight beyond the range of F16")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["dtype"] = "float16"
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, out / name)
        (out / name).chmod(0o644)


if __name__ == "__main__":
    main()
