"""An AWD-LSTM text classifier in INT8: pare beside PyTorch's dynamic quantization, in turns, in one run.
Usage: awd_lstm.py [--pare build/pare] [--threads 2] [--rounds 7] [--emb 400] [--hid 1152] [--layers 3] [--tokens 24]

Makes a model with random weights in a temporary folder, quantizes it both ways, checks that both give the answer of the
F32 model to within quantization, then lets them take turns: one text of --tokens tokens at a time. Prints one JSON line
per round and one with the median of the rounds' ratios. Needs torch and safetensors; run it on an idle machine.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
import warnings

arg = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arg.add_argument("--pare", default=os.path.join(os.path.dirname(__file__), "..", "..", "build", "pare"))
arg.add_argument("--threads", type=int, default=2)
arg.add_argument("--rounds", type=int, default=7)
arg.add_argument("--runs", type=int, default=200, help="texts timed per turn")
arg.add_argument("--emb", type=int, default=400)
arg.add_argument("--hid", type=int, default=1152)
arg.add_argument("--layers", type=int, default=3)
arg.add_argument("--vocab", type=int, default=20000)
arg.add_argument("--tokens", type=int, default=24)
args = arg.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)

warnings.filterwarnings("ignore")  # PyTorch is moving this quantization to another package
import torch  # noqa: E402 (after the thread counts)
from safetensors.torch import save_file  # noqa: E402

LABELS, HEAD = 20, 50
torch.set_num_threads(args.threads)
torch.manual_seed(1)


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(args.vocab, args.emb)
        widths = [args.emb] + [args.hid] * (args.layers - 1) + [args.emb]
        self.rnns = torch.nn.ModuleList(
            torch.nn.LSTM(a, b, batch_first=True) for a, b in zip(widths[:-1], widths[1:]))
        self.head = torch.nn.Sequential(
            torch.nn.BatchNorm1d(3 * args.emb), torch.nn.Linear(3 * args.emb, HEAD, bias=False), torch.nn.ReLU(),
            torch.nn.BatchNorm1d(HEAD), torch.nn.Linear(HEAD, LABELS, bias=False))

    def forward(self, ids):
        x = self.emb(ids)
        for rnn in self.rnns:
            x, _ = rnn(x)
        return self.head(torch.cat([x[:, -1], x.max(1)[0], x.mean(1)], 1))

    def fastai_names(self):
        """The state_dict under the names fastai gives it."""
        out = {"0.module.encoder.weight": self.emb.weight}
        for i, rnn in enumerate(self.rnns):
            out[f"0.module.rnns.{i}.weight_hh_l0_raw"] = rnn.weight_hh_l0
            for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
                out[f"0.module.rnns.{i}.module.{name}"] = getattr(rnn, name)
        for i, (norm, linear) in enumerate([(0, 1), (3, 4)]):
            for name in ("weight", "bias", "running_mean", "running_var"):
                out[f"1.layers.{i}.0.{name}"] = getattr(self.head[norm], name)
            out[f"1.layers.{i}.2.weight"] = self.head[linear].weight
        return {k: v.detach().contiguous() for k, v in out.items()}


def run_pare(*words):
    done = subprocess.run([args.pare, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"pare {words[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout) if "--json" in words else None


def write_models(model, folder):
    """The F32 directory and pare's INT8 of it."""
    source, int8 = os.path.join(folder, "f32"), os.path.join(folder, "int8")
    os.makedirs(source)
    save_file(model.fastai_names(), os.path.join(source, "model.safetensors"))
    config = {"model_type": "awd_lstm", "architectures": ["AWDLSTMForSequenceClassification"], "vocab_size": args.vocab,
              "emb_size": args.emb, "hidden_size": args.hid, "num_layers": args.layers, "bptt": 72, "max_length": 1440,
              "head_layers": [HEAD], "id2label": {str(i): str(i) for i in range(LABELS)}}
    with open(os.path.join(source, "config.json"), "w") as f:
        json.dump(config, f)
    run_pare("quantize", source, "--scheme", "int8", "--output", int8)
    return int8


def check_answers(model, quantized, int8, ids):
    with torch.inference_mode():
        exact, theirs = model(ids)[0], quantized(ids)[0]
    ours = run_pare("logits", int8, "--ids", ",".join(map(str, ids[0].tolist())), "--json")["logits"][0]
    scale = exact.abs().max().item()
    for name, row in (("PyTorch", theirs), ("pare", torch.tensor(ours))):
        error = (row - exact).abs().max().item() / scale
        print(json.dumps({"answer": name, "largest_error": round(error, 4)}))
        if error > 0.2:
            raise SystemExit(f"{name} answers something else: what follows would compare different work")


def time_torch(model, ids):
    times = []
    with torch.inference_mode():
        for i in range(args.runs + 5):
            start = time.perf_counter()
            model(ids)
            if i >= 5:
                times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def time_pare(int8):
    record = run_pare("bench", int8, "--batch", "1", "--length", str(args.tokens), "--iterations", str(args.runs),
                      "--threads", str(args.threads), "--json")
    return record["latency_ms"]["median"]


def main():
    model = Classifier().eval()
    ids = torch.randint(2, args.vocab, (1, args.tokens))
    quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear, torch.nn.LSTM}, dtype=torch.qint8)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        int8 = write_models(model, folder)
        check_answers(model, quantized, int8, ids)
        for i in range(args.rounds):
            theirs = time_torch(quantized, ids)
            time.sleep(0.5)  # until PyTorch's threads have stopped spinning
            ours = time_pare(int8)
            ratios.append(theirs / ours)
            print(json.dumps({"round": i, "pytorch_ms": round(theirs, 3), "pare_ms": round(ours, 3),
                              "ratio": round(theirs / ours, 3)}), flush=True)
    print(json.dumps({"median_ratio": round(statistics.median(ratios), 3), "lowest": round(min(ratios), 3),
                      "highest": round(max(ratios), 3), "threads": args.threads, "tokens": args.tokens}))


if __name__ == "__main__":
    main()
