"""Checks pare against transformers, bitsandbytes and compressed-tensors, in both directions, and its ONNX files.
Usage: check_interop.py PARE_PROGRAM PROJECT_DIR WORK_DIR [PART...]   (parts: tokens f32 nf4 int8 int4 llm-int8 int8-static
foreign onnx, and those of server_checks.py; default all but faults)

tokens   token ids of the shipped models over data/ equal transformers'
f32      logits of the shipped models for 50 texts equal transformers' within 2e-4 of the largest logit
nf4      what `pare quantize --scheme nf4 --portable` writes opens in transformers + bitsandbytes and agrees within 1e-3
int8     what `pare quantize --scheme int8 --portable` writes opens through compressed-tensors, cosine at least 0.999
int4     the same of int4, whose 4-bit layers are counted
llm-int8 what `pare quantize --scheme llm-int8 --portable` writes opens in transformers + bitsandbytes, cosine at least 0.999
int8-static  the same of int8-static through compressed-tensors, ranges calibrated on the model's data
foreign  directories saved by transformers with bitsandbytes (nf4, double quantization, LLM.int8()) and with
         compressed-tensors open in pare and agree
onnx     what `pare quantize --format onnx` writes passes onnx.checker, and onnxruntime's answers to it are pare's: floats
         and int8 per token closely, int8 as DynamicQuantizeLinear by cosine; padding changes nothing (onnx_checks.py)
server   `pare serve` answers real clients; server/openai and so on are its parts (server_checks.py)
faults   `pare serve` under attack, some minutes (faults.py)

Differences are divided by max(1, largest |logit|). Writes only below WORK_DIR; prints a line per check; exits 1 when
one fails. bitsandbytes computes in BF16 on CPUs that have it; for the comparison each 4-bit layer is told not to, so
that both sides compute in float32.
"""
import csv
import json
import logging
import os
import shutil
import subprocess
import sys
import traceback

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")   # heeded by most progress bars
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)   # says that its optional fast CPU kernel is not installed

import bitsandbytes
import onnx_checks
import server_checks
import torch
from safetensors import safe_open
from transformers import (AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, BertConfig,
                          BertForSequenceClassification, BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel)

F32_BUDGET = 2e-4
NF4_BUDGET = 1e-3
INT8_COSINE = 0.999
BF16_COSINE = 0.99   # bitsandbytes as installed, which may compute in BF16
TEXTS = 50
SEED_IDS = [[3], [7, 9], [5, 11, 2, 40, 17, 33, 8], [(7 * i + 3) % 43 for i in range(30)]]   # models without a tokenizer
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


class Pare:
    """The command line, as its contract describes it."""

    def __init__(self, program):
        self.program = program

    def run(self, *arguments):
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pare {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def rows(self, *arguments):
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def quantize(self, model, out, scheme, *options):
        shutil.rmtree(out, ignore_errors=True)
        self.run("quantize", model, "--scheme", scheme, "--portable", "--even-if-larger", "-o", out, "--quiet", *options)

    def logits_of_ids(self, model, sequences):
        """One tensor of rows per sequence."""
        answers = [self.rows("logits", model, "--ids", ",".join(map(str, ids)))[0] for ids in sequences]
        return [torch.tensor(answer["logits"]) for answer in answers]

    def logits_of_file(self, model, path):
        answers = self.rows("logits", model, "--input", path)
        return [a["ids"] for a in answers], [torch.tensor(a["logits"]) for a in answers]

    def tokens_of_file(self, model, path):
        return [answer["ids"] for answer in self.rows("tokenize", model, "--input", path)]


class Report:
    def __init__(self):
        self.failures = 0

    def check(self, name, ok, detail):
        self.failures += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {name}: {detail}", flush=True)

    def guard(self, name, function, *arguments):
        """Runs one group of checks; an error in it is a failure of the group and does not stop the others."""
        try:
            function(*arguments)
        except Exception as error:
            traceback.print_exc(limit=3)
            self.check(name, False, f"{type(error).__name__}: {str(error)[:400]}")


# ---- transformers' side ----

def auto_class(directory):
    with open(os.path.join(directory, "config.json")) as f:
        is_language_model = "LMHead" in json.load(f)["architectures"][0]
    return AutoModelForCausalLM if is_language_model else AutoModelForSequenceClassification


def open_model(directory, **options):
    return auto_class(directory).from_pretrained(directory, **options).eval()


def open_float32(directory):
    return open_model(directory, dtype=torch.float32, attn_implementation="eager")


def open_bitsandbytes(directory):
    """Everything outside the 4-bit layers in float32, and the 4-bit layers computing in float32 too."""
    model = open_model(directory)
    torch.nn.Module.float(model)   # transformers refuses model.float() for quantized models; their bytes are not touched
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
            module.compute_dtype = torch.float32
    return model


def model_logits(model, sequences):
    """A batch of one each, no padding: one tensor of rows per sequence."""
    answers = []
    with torch.no_grad():
        for ids in sequences:
            logits = model(input_ids=torch.tensor([ids])).logits[0].float()
            answers.append(logits if logits.ndim == 2 else logits[None])
    return answers


def count_4bit(model):
    return sum(isinstance(module, bitsandbytes.nn.Linear4bit) for module in model.modules())


def count_8bit(model):
    return sum(isinstance(module, bitsandbytes.nn.Linear8bitLt) for module in model.modules())


# ---- comparisons ----

def worst_difference(ours, theirs):
    return max(float((a - b).abs().max() / max(1.0, float(b.abs().max()))) for a, b in zip(ours, theirs, strict=True))


def cosine(ours, theirs):
    """Of all logits of all texts, one after the other."""
    a, b = torch.cat([x.flatten() for x in ours]), torch.cat([x.flatten() for x in theirs])
    return float(torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0))


def agreement(ours, theirs):
    pairs = list(zip(ours, theirs, strict=True))
    return sum(bool((a[-1].argmax() == b[-1].argmax())) for a, b in pairs) / len(pairs)


# ---- inputs ----

class Shipped:
    """A shipped model with its data file."""

    def __init__(self, project, name, data):
        self.name = name
        self.path = os.path.join(project, "models", name)
        self.data = os.path.join(project, "data", data)
        self.tokenizer = AutoTokenizer.from_pretrained(self.path)

    def texts(self):
        """(text, pair or None) per row."""
        with open(self.data, newline="") as f:
            if self.data.endswith(".csv"):
                return [(row["text"], None) for row in csv.DictReader(f)]
            return [(row["text"], row.get("pair")) for row in map(json.loads, f)]

    def encode(self, texts):
        pairs = None if texts[0][1] is None else [pair for _, pair in texts]
        return self.tokenizer([text for text, _ in texts], pairs, truncation=True)["input_ids"]   # as pare does

    def sample(self):
        """TEXTS rows spread over the data that fit the model, and their ids."""
        texts = self.texts()
        texts = texts[::max(1, len(texts) // (2 * TEXTS))]
        ids = self.encode(texts)
        chosen = [(t, i) for t, i in zip(texts, ids) if len(i) <= 256][:TEXTS]
        return [t for t, _ in chosen], [i for _, i in chosen]


def shipped_models(project):
    return [Shipped(project, "agnews-gpt2", "ag_news_test.csv"), Shipped(project, "nli-minilm", "mnli_dev_2000.jsonl")]


# Rows are whole blocks of 64: for others bitsandbytes 0.50.2 may decode on a CPU what it did not encode (K = 96, 144).
def make_models(work):
    """A random BERT classifier and a random GPT-2 language model with a tied head: their directories."""
    torch.manual_seed(7)
    bert = BertConfig(vocab_size=43, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=192,
                      max_position_embeddings=70, num_labels=3, initializer_range=0.1)
    gpt2 = GPT2Config(vocab_size=43, n_embd=128, n_layer=2, n_head=4, n_positions=70, initializer_range=0.1,
                      bos_token_id=0, eos_token_id=0)
    made = {"bert-128": BertForSequenceClassification(bert), "gpt2-lm-128": GPT2LMHeadModel(gpt2)}
    directories = []
    for name, model in made.items():
        directories.append(os.path.join(work, name))
        model.eval().save_pretrained(directories[-1])
    return directories


def write_jsonl(path, texts):
    with open(path, "w") as f:
        for text, pair in texts:
            row = {"text": text} if pair is None else {"text": text, "pair": pair}
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


# ---- the parts ----

def check_tokens(pare, report, model):
    expected = model.encode(model.texts())
    found = pare.tokens_of_file(model.path, model.data)
    wrong = [i for i, (a, b) in enumerate(zip(found, expected)) if a != b]
    detail = f"{len(expected)} texts, {sum(map(len, expected))} tokens, {len(wrong)} texts differ"
    if len(found) != len(expected):
        detail += f"; {len(found)} answers"
    if wrong:
        detail += f"; first is row {wrong[0]}: {found[wrong[0]][:20]} instead of {expected[wrong[0]][:20]}"
    report.check(f"tokens {model.name}", not wrong and len(found) == len(expected), detail)


def check_f32(pare, report, model, work):
    texts, expected_ids = model.sample()
    path = os.path.join(work, f"{model.name}.jsonl")
    write_jsonl(path, texts)
    ids, ours = pare.logits_of_file(model.path, path)
    report.check(f"f32 {model.name} ids", ids == expected_ids, f"{len(ids)} texts")
    worst = worst_difference(ours, model_logits(open_float32(model.path), expected_ids))
    report.check(f"f32 {model.name} logits", worst <= F32_BUDGET, f"largest difference {worst:.1e}, budget {F32_BUDGET:.0e}")


def check_bitsandbytes(pare, report, title, directory, sequences):
    """One directory, opened by both programs."""
    ours = pare.logits_of_ids(directory, sequences)
    model = open_bitsandbytes(directory)
    worst = worst_difference(ours, model_logits(model, sequences))
    report.check(title, worst <= NF4_BUDGET and count_4bit(model) > 0,
                 f"{count_4bit(model)} layers in 4 bits, largest difference {worst:.1e}, budget {NF4_BUDGET:.0e}")
    return ours


def check_nf4(pare, report, source, sequences, scheme, work, as_installed):
    name = os.path.basename(source)
    directory = os.path.join(work, f"{name}-{scheme}")
    pare.quantize(source, directory, scheme)
    ours = check_bitsandbytes(pare, report, f"{scheme} {name} in bitsandbytes", directory, sequences)
    if as_installed:
        plain = model_logits(open_model(directory), sequences)
        close = cosine(ours, plain)
        report.check(f"{scheme} {name} as installed", close >= BF16_COSINE,
                     f"cosine {close:.5f}, same label {agreement(ours, plain):.2f}")


def check_kept(pare, report, source, sequences, keep, work):
    """Layers left in F16 must be named, or transformers expects them in 4 bits."""
    name = os.path.basename(source)
    directory = os.path.join(work, f"{name}-kept")
    pare.quantize(source, directory, "nf4", "--keep", keep)
    check_bitsandbytes(pare, report, f"nf4 {name} --keep '{keep}'", directory, sequences)


def check_integers(pare, report, source, sequences, scheme, work):
    name = os.path.basename(source)
    directory = os.path.join(work, f"{name}-{scheme}")
    pare.quantize(source, directory, scheme)
    original = model_logits(open_float32(source), sequences)
    check_compressed_tensors(pare, report, f"{scheme} {name}", directory, sequences, original)


def check_packed(pare, report, source, sequences, work):
    """4-bit values through compressed-tensors, and back from what transformers saves."""
    check_integers(pare, report, source, sequences, "int4", work)
    directory = os.path.join(work, f"{os.path.basename(source)}-int4")
    with safe_open(os.path.join(directory, "model.safetensors"), "pt") as file:
        packed = [name for name in file.keys() if name.endswith(".weight_packed")]
    report.check(f"int4 {os.path.basename(source)} packed", len(packed) > 0, f"{len(packed)} layers in 4 bits")
    check_foreign_compressed(pare, report, directory, sequences, work)


def check_compressed_tensors(pare, report, title, directory, sequences, original=None):
    ours = pare.logits_of_ids(directory, sequences)
    theirs = model_logits(open_float32(directory), sequences)
    close = cosine(ours, theirs)
    detail = f"cosine {close:.6f}, same label {agreement(ours, theirs):.2f}"
    if original is not None:
        detail += f"; against the original: pare {cosine(ours, original):.6f}, compressed-tensors {cosine(theirs, original):.6f}"
    report.check(f"{title} through compressed-tensors", close >= INT8_COSINE, detail)


def check_static(pare, report, model, sequences, work):
    directory = os.path.join(work, f"{model.name}-int8-static")
    pare.quantize(model.path, directory, "int8-static", "--calibrate", model.data)
    check_compressed_tensors(pare, report, f"int8-static {model.name}", directory, sequences)


def check_llm_int8(pare, report, title, directory, sequences):
    """Both in float32 but for what is quantized. An activation on the edge between two codes may fall either way, and what
    follows from it grows from layer to layer: a layer alone agrees to 1e-5 (tests/golden/llm_int8.c)."""
    ours = pare.logits_of_ids(directory, sequences)
    model = open_bitsandbytes(directory)
    theirs = model_logits(model, sequences)
    close = cosine(ours, theirs)
    report.check(title, close >= INT8_COSINE and count_8bit(model) > 0,
                 f"{count_8bit(model)} layers in 8 bits, cosine {close:.6f}, same label {agreement(ours, theirs):.2f}")


def check_portable_llm_int8(pare, report, source, sequences, work, *options):
    name = os.path.basename(source)
    directory = os.path.join(work, f"{name}-llm-int8")
    pare.quantize(source, directory, "llm-int8", *options)
    check_llm_int8(pare, report, f"llm-int8 {name} {' '.join(options)} in bitsandbytes", directory, sequences)


def check_foreign_llm_int8(pare, report, source, sequences, work):
    name = os.path.basename(source)
    directory = os.path.join(work, f"foreign-{name}-llm-int8")
    save_with_bitsandbytes(source, directory, load_in_8bit=True)
    check_llm_int8(pare, report, f"foreign {name} llm-int8", directory, sequences)


def save_with_bitsandbytes(source, directory, **options):
    shutil.rmtree(directory, ignore_errors=True)
    open_model(source, quantization_config=BitsAndBytesConfig(**options)).save_pretrained(directory)
    for file in TOKENIZER_FILES:
        if os.path.exists(os.path.join(source, file)):
            shutil.copyfile(os.path.join(source, file), os.path.join(directory, file))


def check_foreign_nf4(pare, report, source, sequences, double_quant, work):
    scheme = "nf4-dq" if double_quant else "nf4"
    name = os.path.basename(source)
    directory = os.path.join(work, f"foreign-{name}-{scheme}")
    save_with_bitsandbytes(source, directory, load_in_4bit=True, bnb_4bit_quant_type="nf4",
                           bnb_4bit_use_double_quant=double_quant)
    check_bitsandbytes(pare, report, f"foreign {name} {scheme}", directory, sequences)


def check_foreign_compressed(pare, report, source, sequences, work):
    """Saved again by transformers and compressed-tensors, in their own spelling of the configuration."""
    name = os.path.basename(source)
    directory = os.path.join(work, f"foreign-{name}")
    shutil.rmtree(directory, ignore_errors=True)
    open_model(source, dtype=torch.float32).save_pretrained(directory)
    check_compressed_tensors(pare, report, f"foreign {name}", directory, sequences)


MODEL_PARTS = ["tokens", "f32", "nf4", "int8", "int4", "llm-int8", "int8-static", "foreign", "onnx"]


def chosen_parts(names):
    known = MODEL_PARTS + server_checks.PARTS
    unknown = [n for n in names if n not in [*known, "server", server_checks.FAULTS]]
    if unknown:
        sys.exit(f"check_interop.py: no part '{unknown[0]}'; there are {' '.join([*known, 'server', server_checks.FAULTS])}")
    return [part for n in names or known for part in (server_checks.PARTS if n == "server" else [n])]


def check_models(pare, report, parts, project, work):
    shipped = shipped_models(project)
    golden = os.path.join(project, "tests", "golden", "data")
    bert, gpt2 = make_models(work)
    berts = [os.path.join(golden, "models", "bert"), bert]   # the first has rows of 36 and 52
    nli = shipped[1]

    def few(model):
        return model.sample()[1][:12]

    for model in shipped:
        if "tokens" in parts:
            report.guard(f"tokens {model.name}", check_tokens, pare, report, model)
        if "f32" in parts:
            report.guard(f"f32 {model.name}", check_f32, pare, report, model, work)
    for scheme in ("nf4", "nf4-dq"):
        if "nf4" in parts:
            for model in shipped:
                report.guard(f"{scheme} {model.name}", check_nf4, pare, report, model.path, few(model), scheme, work, True)
            for model in berts + [gpt2]:
                report.guard(f"{scheme} tiny", check_nf4, pare, report, model, SEED_IDS, scheme, work, False)
    if "nf4" in parts:
        report.guard("nf4 --keep", check_kept, pare, report, nli.path, few(nli), "q_lin=f16", work)
        report.guard("nf4 --keep", check_kept, pare, report, gpt2, SEED_IDS, "h[.]1[.]=f16", work)
    if "int8" in parts:
        report.guard("int8 nli-minilm", check_integers, pare, report, nli.path, few(nli), "int8", work)
        for model in berts:
            report.guard("int8 tiny", check_integers, pare, report, model, SEED_IDS, "int8", work)
    if "int4" in parts:
        report.guard("int4 nli-minilm", check_packed, pare, report, nli.path, few(nli), work)
        report.guard("int4 tiny", check_packed, pare, report, bert, SEED_IDS, work)   # its rows of 192 stay F16
    if "llm-int8" in parts:
        for model in shipped:
            report.guard(f"llm-int8 {model.name}", check_portable_llm_int8, pare, report, model.path, few(model), work)
        for model in berts + [gpt2]:
            report.guard("llm-int8 tiny", check_portable_llm_int8, pare, report, model, SEED_IDS, work)
        report.guard("llm-int8 --keep", check_portable_llm_int8, pare, report, nli.path, few(nli), work, "--keep", "q_lin=f16")
    if "int8-static" in parts:
        report.guard("int8-static nli-minilm", check_static, pare, report, nli, few(nli), work)
    if "foreign" in parts:
        for model in [m.path for m in shipped] + berts + [gpt2]:
            report.guard("foreign llm-int8", check_foreign_llm_int8, pare, report, model,
                         SEED_IDS if model in berts + [gpt2] else few(next(m for m in shipped if m.path == model)), work)
        for double_quant in (False, True):
            for model in shipped:
                report.guard(f"foreign {model.name}", check_foreign_nf4, pare, report, model.path, few(model), double_quant,
                             work)
            for model in berts + [gpt2]:
                report.guard("foreign tiny", check_foreign_nf4, pare, report, model, SEED_IDS, double_quant, work)
        for name in ("bert-int8", "distilbert-int8", "distilbert-int8-embeddings", "bert-int8-static", "distilbert-int8-static"):
            report.guard(f"foreign {name}", check_foreign_compressed, pare, report, os.path.join(golden, "int8", name), SEED_IDS, work)
    if "onnx" in parts:
        onnx_checks.run(pare, report, shipped, os.path.join(golden, "models"), work)


def main():
    program, project, work = sys.argv[1:4]
    parts = chosen_parts(sys.argv[4:])
    torch.set_num_threads(int(os.environ.get("PARE_INTEROP_THREADS", "1")))
    os.makedirs(work, exist_ok=True)
    pare, report = Pare(program), Report()
    if set(parts) & set(MODEL_PARTS):
        check_models(pare, report, parts, project, work)
    server_checks.run(pare, report, parts, project, work)
    print("all agree" if report.failures == 0 else f"{report.failures} failed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
