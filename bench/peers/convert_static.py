#!/usr/bin/env python3
"""OpenVINO's static INT8 of the ONNX files of convert.py, calibrated by NNCF on 8 rows of random ids.
Usage: convert_static.py FORMS

Writes FORMS/NAME.nncf.xml (and .bin). A process of its own: once imported, NNCF changes what PyTorch answers.
"""
import logging
import os
import sys

import numpy as np
import openvino
import nncf

logging.disable(logging.CRITICAL)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name in ("distilbert-cls", "gpt2-cls"):
        source, target = (os.path.join(sys.argv[1], name + ending) for ending in (".onnx", ".nncf.xml"))
        if os.path.exists(target):
            continue
        rng = np.random.default_rng(1)
        rows = [{"input_ids": rng.integers(1000, 20000, (1, 128)), "attention_mask": np.ones((1, 128), np.int64)}
                for _ in range(8)]
        model = nncf.quantize(openvino.Core().read_model(source), nncf.Dataset(rows), subset_size=len(rows),
                              model_type=nncf.ModelType.TRANSFORMER)
        openvino.save_model(model, target, compress_to_fp16=False)
        print(f"{os.path.basename(target)} written", flush=True)


if __name__ == "__main__":
    main()
