"""Writes tests/golden/data/torch: files of torch.save and a fastai export, with what they hold.
Usage: golden_torch.py [OUT]

models/NAME  a directory with pytorch_model.bin instead of safetensors; models.json says which of tests/golden/data/models
             has the same weights, and so the same logits bit for bit
dtypes*.pt   every element type and several ways to lie in a storage; dtypes.json: the values
refused/     files that are to be refused, refused.json: with which words
fastai/      export.pkl (Learner.export, compressed afterwards to keep it small), model.pth (Learner.save) and golden.json:
             texts with fastai's ids and probabilities
"""
import json
import os
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

warnings.filterwarnings("ignore")

import torch
from safetensors.torch import load_file

from golden_common import randomize, row_list, write_json

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "golden" / "data"
MODELS = {"zip": "bert-relu", "legacy": "distilbert-regression", "transposed": "gpt2-cls-tanh", "sharded": "gpt2-lm-no-prefix",
          "tied": "gpt2-lm-no-prefix", "deflated": "bert-gelu-new"}


def deflate(path):
    """The same archive with its entries compressed, as a careful user might have packed it again."""
    old = zipfile.ZipFile(path)
    entries = [(name, old.read(name)) for name in old.namelist()]
    old.close()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for name, content in entries:
            new.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, 9)


def save_model(kind, state, folder):
    path = folder / "pytorch_model.bin"
    if kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "transposed":  # a checkpoint, its matrices stored column by column
        turned = {k: v.t().contiguous().t() if v.ndim == 2 else v for k, v in state.items()}
        torch.save({"epoch": torch.tensor(3), "state_dict": turned}, path)
    elif kind == "tied":  # the output layer is the embedding: one storage, two names
        embedding = state.get("wte.weight", state.get("transformer.wte.weight"))
        torch.save({**state, "lm_head.weight": embedding}, path, _use_new_zipfile_serialization=False)
    elif kind == "sharded":
        names = sorted(state)
        places = {}
        for i in (0, 1):
            file = f"pytorch_model-{i + 1:05}-of-00002.bin"
            part = {k: state[k] for k in names[i::2]}
            torch.save(part, folder / file)
            places.update({k: file for k in part})
        write_json(folder / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": places})
    else:
        torch.save(state, path)
        if kind == "deflated":
            deflate(path)


def write_models(out):
    for kind, name in MODELS.items():
        folder = out / "models" / kind
        folder.mkdir(parents=True)
        shutil.copy(DATA / "models" / name / "config.json", folder)
        save_model(kind, load_file(DATA / "models" / name / "model.safetensors"), folder)
    write_json(out / "models.json", MODELS)


def write_dtypes(out):
    base = torch.arange(24, dtype=torch.float32) - 7
    cube = base.reshape(2, 3, 4)
    state = {str(d).removeprefix("torch."): (base - 3).to(d) for d in
             (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16,
              torch.int8)}
    state |= {"uint8": torch.arange(24, dtype=torch.uint8), "bool": base > 0, "scalar": torch.tensor(2.5),
              "empty": torch.zeros(0, 3), "middle": base[5:11], "every_other": base[1::2], "transposed": cube[1].t(),
              "permuted": cube.permute(2, 0, 1), "column": cube[:, 1:2, 3], "flat": cube, "one_row": cube[:1, :1],
              "parameter": torch.nn.Parameter(base[:4].clone()), "parameter_view": torch.nn.Parameter(cube[0].t())}
    torch.save(state, out / "dtypes.pt")
    torch.save(state, out / "dtypes_legacy.pt", _use_new_zipfile_serialization=False)
    expected = {k: {"dtype": str(v.dtype).removeprefix("torch."), "shape": list(v.shape),
                    "values": v.detach().double().flatten().tolist()} for k, v in state.items()}
    write_json(out / "dtypes.json", expected)


def write_refused(out):
    folder = out / "refused"
    folder.mkdir()
    cases = {
        "sparse": (torch.eye(3).to_sparse(), "_rebuild_sparse_tensor"),
        "complex": (torch.zeros(2, dtype=torch.complex64), "ComplexFloatStorage"),
        "expanded": (torch.zeros(1).expand(1000), "larger than its storage"),
        "five": (torch.zeros(1, 1, 1, 1, 1), "5 dimensions"),
        "unsigned": (torch.zeros(2, dtype=torch.uint16), "expected"),
    }
    for name, (tensor, _) in cases.items():
        torch.save({"a.weight": tensor}, folder / f"{name}.pt")
    torch.save([1, 2, 3], folder / "list.pt")
    write_json(out / "refused.json", {**{f"{n}.pt": words for n, (_, words) in cases.items()}, "list.pt": "no weights"})


def texts_of(learn, texts):
    cases = []
    for text in texts:
        ids = learn.dls.test_dl([text]).dataset[0][0].tolist()
        with learn.no_bar():
            scores = learn.predict(text)[2]
        cases.append({"text": text, "ids": ids, "scores": row_list(scores[None].float())[0]})
    return cases


def write_fastai(out):
    import pandas as pd
    from fastai.text.all import (AWD_LSTM, CategoryBlock, ColReader, DataBlock, RandomSplitter, TextBlock,
                                 awd_lstm_clas_config, set_seed, text_classifier_learner)
    folder = out / "fastai"
    folder.mkdir()
    set_seed(5, reproducible=True)
    words = "please order the large pizza with cheese and call me back when it is ready thanks".split()
    rows = pd.DataFrame({"text": [" ".join(words[i % 5:i % 5 + 4 + i % 7]) for i in range(40)],
                         "label": [("order", "call", "thanks")[i % 3] for i in range(40)]})
    block = DataBlock(blocks=(TextBlock.from_df("text", seq_len=8, min_freq=2, n_workers=0), CategoryBlock),
                      get_x=ColReader("text"), get_y=ColReader("label"), splitter=RandomSplitter(0.2, seed=1))
    dls = block.dataloaders(rows, bs=8, num_workers=0)
    config = {**awd_lstm_clas_config, "emb_sz": 10, "n_hid": 14, "n_layers": 2}
    learn = text_classifier_learner(dls, AWD_LSTM, seq_len=8, config=config, lin_ftrs=[9], pretrained=False, max_len=32)
    randomize(learn.model, 5, std=0.5)
    with torch.no_grad():
        for name, buffer in sorted(learn.model.named_buffers()):
            if name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape))
        for name, parameter in learn.model.named_parameters():
            if name.startswith("1.layers") and parameter.ndim == 1 and name.endswith("0.weight"):
                parameter.add_(1.0)
    learn.path, learn.model_dir = folder, "."
    learn.export("export.pkl")
    learn.save("model", with_opt=True)
    deflate(folder / "export.pkl")
    texts = ["please call me", "Order the LARGE pizza!!!! with cheese &amp; thanks", "it's ready, when is it back?",
             " ".join(words * 4), "unheard of"]
    write_json(folder / "golden.json", {"labels": list(dls.vocab[1]), "vocabulary": len(dls.vocab[0]),
                                        "cases": texts_of(learn, texts)})


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "torch"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_models(out)
    write_dtypes(out)
    write_refused(out)
    write_fastai(out)


if __name__ == "__main__":
    main()
