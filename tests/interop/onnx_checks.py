"""The ONNX files pare writes, in onnxruntime: a part of check_interop.py.

f32, f16, bf16      logits within 1e-5 of pare's, relative to max(1, largest |logit|): the same arithmetic in another order
int8 per token      pare's formula in plain operators, within 1e-5 too, but where a last-bit difference moves an activation
                    to the next of its 255 steps and the layers after see that step: so the median is held, and the labels
int8, int8-tensor   DynamicQuantizeLinear takes one scale for all tokens, pare one per token: another (coarser) rounding
"""
import json
import os
import shutil

import numpy
import onnx
import onnxruntime

FLOAT_BUDGET = 1e-5
GOLDEN_BUDGET = 2e-4   # as tests/golden/models.c holds pare itself to
TINY = ("bert", "bert-gelu-new", "bert-relu", "bert-tanh", "distilbert", "gpt2-cls", "gpt2-cls-no-pad", "gpt2-lm",
        "gpt2-lm-inverse-layer", "gpt2-lm-unscaled", "gpt2-lm-untied")
IDS = [[3], [7, 9], [5, 11, 2, 40, 17, 33, 8], [(7 * i + 3) % 43 for i in range(30)]]
FORMS = [("f32", ()), ("f16", ()), ("bf16", ()), ("int8", ()), ("int8-tensor", ()), ("int8", ("--onnx-per-token",))]
ROWS = {"agnews-gpt2": 500, "nli-minilm": 300}   # the first of the data, as docs/formats-onnx.md says
INT8_COSINE = 0.99
INT8_LABELS = 0.95
PER_TOKEN_MEDIAN = 0.01
PER_TOKEN_LABELS = 0.99


def open_session(directory):
    (file,) = [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".onnx")]
    onnx.checker.check_model(file, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def feed(session, sequences, left=False, types=None):
    """One padded batch: ids, mask and, where the model wants them, token types."""
    longest = max(map(len, sequences))
    ids, mask, kinds = (numpy.zeros((len(sequences), longest), numpy.int64) for _ in range(3))
    for row, sequence in enumerate(sequences):
        columns = slice(longest - len(sequence), longest) if left else slice(0, len(sequence))
        ids[row, columns] = sequence
        mask[row, columns] = 1
        if types:
            kinds[row, columns] = types[row]
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": kinds}
    return {i.name: given[i.name] for i in session.get_inputs()}


def alone(session, sequences):
    """Rows of logits per sequence, each in a batch of its own."""
    answers = [session.run(None, feed(session, [ids]))[0][0] for ids in sequences]
    return [a if a.ndim == 2 else a[None] for a in answers]


def differences(ours, theirs):
    return [float(numpy.abs(a - b).max() / max(1.0, numpy.abs(a).max())) for a, b in zip(ours, theirs, strict=True)]


def cosine(ours, theirs):
    a, b = (numpy.concatenate([x.ravel() for x in side]).astype(numpy.float64) for side in (ours, theirs))
    return float(a @ b / numpy.sqrt((a @ a) * (b @ b)))


def same_label(ours, theirs):
    return sum(int(a[-1].argmax() == b[-1].argmax()) for a, b in zip(ours, theirs, strict=True))


def write_forms(pare, source, scheme, options, work):
    """The same weights as ONNX and as pare's own directory."""
    exported, own = os.path.join(work, "onnx"), os.path.join(work, "own")
    for directory in (exported, own):
        shutil.rmtree(directory, ignore_errors=True)
    common = ("quantize", source, "--scheme", scheme, "--even-if-larger", "--quiet", "-o")
    pare.run(*common, exported, "--format", "onnx", *options)
    pare.run(*common, own)
    return exported, own


def title(name, scheme, options):
    return f"onnx {name} {scheme}{' per token' if options else ''}"


def check_tiny(pare, report, source, scheme, options, work):
    exported, own = write_forms(pare, source, scheme, options, work)
    session = open_session(exported)
    # bf16 dot products would round the activations too, which ONNX does not.
    ours = [numpy.array(json.loads(pare.run("logits", own, "--ids", ",".join(map(str, ids)), "--isa", "scalar", "--json"))
                        ["logits"]) for ids in IDS]
    theirs = alone(session, IDS)
    worst = differences(ours, theirs)
    close = cosine(ours, theirs)
    if not scheme.startswith("int8"):
        ok = max(worst) <= FLOAT_BUDGET
    elif options:
        ok = sorted(worst)[len(worst) // 2] <= FLOAT_BUDGET and close >= INT8_COSINE
    else:
        ok = close >= INT8_COSINE
    report.check(title(os.path.basename(source), scheme, options), ok, f"largest difference {max(worst):.1e}, cosine {close:.6f}")
    if not scheme.startswith("int8") or options:
        check_padding(report, session, title(os.path.basename(source), scheme, options), theirs)


def check_padding(report, session, what, expected):
    """A padded batch gives each text what it gets alone; GPT-2 numbers positions by its mask, so on either side."""
    for left in (False, True) if "gpt2" in what else (False,):
        batch = session.run(None, feed(session, IDS, left))[0]
        longest = max(map(len, IDS))
        rows = [answer if answer.ndim == 1 else answer[longest - len(ids):] if left else answer[:len(ids)]
                for answer, ids in zip(batch, IDS)]
        worst = max(differences(expected, [row if row.ndim == 2 else row[None] for row in rows]))
        report.check(f"{what}, padded {'left' if left else 'right'}", worst <= FLOAT_BUDGET, f"largest difference {worst:.1e}")


def write_rows(model, work):
    path = os.path.join(work, f"{model.name}-onnx.jsonl")
    with open(path, "w") as f:
        for text, pair in model.texts()[:ROWS[model.name]]:
            f.write(json.dumps({"text": text} if pair is None else {"text": text, "pair": pair}) + "\n")
    return path


def logits_of(pare, directory, path):
    answers = pare.rows("logits", directory, "--input", path, "--isa", "avx2")   # no bf16 dot products: see check_tiny
    return [answer["ids"] for answer in answers], [numpy.array(answer["logits"]) for answer in answers]


def check_shipped(pare, report, model, scheme, options, work):
    exported, own = write_forms(pare, model.path, scheme, options, work)
    path = write_rows(model, work)
    ids, ours = logits_of(pare, own, path)
    _, original = logits_of(pare, model.path, path)
    theirs = alone(open_session(exported), ids)
    worst, close, same = differences(ours, theirs), cosine(ours, theirs), same_label(ours, theirs)
    median = sorted(worst)[len(worst) // 2]
    if not scheme.startswith("int8"):
        ok = max(worst) <= FLOAT_BUDGET and same == len(ours)
    elif options:
        ok = median <= PER_TOKEN_MEDIAN and same >= PER_TOKEN_LABELS * len(ours)
    else:
        ok = close >= INT8_COSINE and same >= INT8_LABELS * len(ours)
    report.check(title(model.name, scheme, options), ok,
                 f"{len(ours)} texts, same label {same}, difference median {median:.1e}, largest {max(worst):.1e}, cosine {close:.6f}; "
                 f"same label as the original: pare {same_label(original, ours)}, ONNX {same_label(original, theirs)}")


def check_golden(pare, report, source, work):
    """The texts whose answers by transformers the project keeps, BERT's second token type among them."""
    exported, _ = write_forms(pare, source, "f32", (), work)
    session = open_session(exported)
    with open(os.path.join(source, "golden.json")) as f:
        cases = json.load(f)
    expected = [numpy.array(case["logits"]) for case in cases]
    found = [session.run(None, feed(session, [case["ids"]], types=[case["types"]] if "types" in case else None))[0] for case in cases]
    found = [answer[0] if answer.ndim == 3 else answer for answer in found]
    found = [answer[case["rows"]] if "rows" in case else answer for answer, case in zip(found, cases)]   # the rows that are kept
    worst = max(differences(expected, found))
    report.check(f"onnx {os.path.basename(source)} against transformers", worst <= GOLDEN_BUDGET,
                 f"{len(cases)} texts, largest difference {worst:.1e}")


def run(pare, report, shipped, golden, work):
    for name in TINY:
        for scheme, options in FORMS:
            report.guard(f"onnx {name}", check_tiny, pare, report, os.path.join(golden, name), scheme, options, work)
        report.guard(f"onnx {name} golden", check_golden, pare, report, os.path.join(golden, name), work)
    for model in shipped:
        for scheme, options in FORMS:
            report.guard(f"onnx {model.name}", check_shipped, pare, report, model, scheme, options, work)
