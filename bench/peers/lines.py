"""What is compared: one Line per workload, with its participants and targets. Data only; run.py runs it.

A participant's time is in ms per unit of the line: a batch, a text file, a token. Targets are ratios, the fastest of
`of` over ours, by the medians of the rounds; participants that no target names are shown beside.
"""
import dataclasses


@dataclasses.dataclass
class Target:
    of: list  # names of participants; the fastest of them counts
    least: float


@dataclasses.dataclass
class Line:
    name: str
    title: str
    ours: dict  # {"model": directory below WORK/pare, "args": of pare bench, "take": which time, "isa": or None}
    peers: dict  # name -> {"peer", "form", "precision", "work", "env"} of a worker, or {"pare": as ours} or {"llama": ...}
    targets: list
    model: str = ""  # the original that answers are compared with
    unit: str = "ms"  # or tokens/s
    limit: str = "int8"  # what bounds it: int8, f32, bf16 (products), or read (bytes of weights)
    scheme: str = "int8"  # ours; a scheme that is not built leaves the line out


def _cls(model, batch, length, peers):
    work = {"kind": "classify", "batch": batch, "length": length}
    return {name: dict(spec, work=work) for name, spec in _forms(model).items() if name in peers}


def _forms(model):
    return {
        "PyTorch F32": {"peer": "torch"},
        "ONNX Runtime F32": {"peer": "ort", "form": f"{model}.onnx"},
        "ONNX Runtime int8": {"peer": "ort", "form": f"{model}.int8.onnx"},
        "OpenVINO F32": {"peer": "openvino", "form": f"{model}.onnx"},
        "OpenVINO BF16": {"peer": "openvino", "form": f"{model}.onnx", "precision": "bf16"},
        "OpenVINO NNCF int8": {"peer": "openvino", "form": f"{model}.nncf.xml"},
        "OpenVINO NNCF int8, rest BF16": {"peer": "openvino", "form": f"{model}.nncf.xml", "precision": "bf16"},
        "CTranslate2 F32": {"peer": "ct2", "form": f"{model}.ct2-float32", "precision": "float32"},
        "CTranslate2 int8": {"peer": "ct2", "form": f"{model}.ct2-int8"},
    }


def _shape(batch, length):
    return ["--batch", str(batch), "--length", str(length)]


ORT, NNCF, CT2 = "ONNX Runtime int8", "OpenVINO NNCF int8", "CTranslate2 int8"
NNCF_BF16 = f"{NNCF}, rest BF16"  # OpenVINO's own choice where the CPU has BF16
INT8 = [ORT, NNCF, NNCF_BF16, CT2]
# What else a library chooses by the CPU follows, so that it is AVX2 all through.
AVX2_ALL = {"CT2_FORCE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def _distilbert(name, batch, length, targets):
    return Line(name, f"DistilBERT classification, {batch} x {length}, int8", model="distilbert-cls",
                ours={"model": "distilbert-cls.int8", "args": _shape(batch, length)},
                peers=_cls("distilbert-cls", batch, length, INT8), targets=targets)


def _ragged():
    def way(model, how):
        return dict(_forms("distilbert-cls")[model], work={"kind": "texts", "way": how})

    peers = {"ONNX Runtime, padded": way(ORT, "padded"), "ONNX Runtime, 4 sorted batches": way(ORT, "sorted"),
             "CTranslate2, one batch": way(CT2, "padded"), "CTranslate2, 4 sorted batches": way(CT2, "sorted"),
             "OpenVINO, 4 sorted batches": way(NNCF, "sorted")}
    counted = list(peers)
    peers |= {"ONNX Runtime, one at a time": way(ORT, "single"), "OpenVINO, one at a time": way(NNCF, "single")}
    return Line("ragged", "DistilBERT classification, 32 AG News texts at once, int8", model="distilbert-cls",
                ours={"model": "distilbert-cls.int8-texts", "args": ["--data", "TEXTS", "--max-tokens", "128"]},
                peers=peers, targets=[Target(counted, 1.5)])


def _gpt2():
    model, args = "gpt2-cls", _shape(1, 128)

    def line(name, scheme, limit, peers, targets):
        return Line(name, f"GPT-2 small classification, 1 x 128, {scheme}", model=model, scheme=scheme, limit=limit,
                    ours={"model": f"{model}.{scheme}", "args": args}, peers=peers, targets=targets)

    def forms(*names):
        # CTranslate2 does not read the classifier: the language model stands for it, with one row of its head.
        out = _cls(model, 1, 128, names)
        return out | {k: dict(_forms("gpt2")[k], model="gpt2", work={"kind": "prefill", "prompt": 128})
                      for k in names if k.startswith("CTranslate2")}

    f32 = ["PyTorch F32", "ONNX Runtime F32", "OpenVINO F32", "CTranslate2 F32"]
    return [line("gpt2-cls", "int8", "int8", forms(*INT8), [Target([ORT], 1.3)]),
            line("gpt2-cls-f32", "f32", "f32", forms(*f32), [Target(f32, 1.0)]),
            line("gpt2-cls-bf16", "bf16", "bf16", forms("OpenVINO BF16"), [Target(["OpenVINO BF16"], 1.1)])]


def _decode_args(prompt, generate, streams=1):
    return ["--prompt", str(prompt), "--generate", str(generate), "--streams", str(streams)]


def _decode(model, scheme, llama, least, shown=()):
    peers = {f"llama.cpp {llama}": {"llama": f"{model}.{llama.lower()}.gguf", "what": "decode"}}
    if llama == "Q4_0":
        peers["llama.cpp Q4_0, output too"] = {"llama": f"{model}.q4_0-all.gguf", "what": "decode"}
    counted = list(peers)
    for name in shown:
        peers[name] = dict(_forms(model)[name], work={"kind": "decode", "prompt": 16, "generate": 64})
    return Line(f"{model}-{scheme}", f"{'DistilGPT-2' if model == 'distilgpt2' else 'GPT-2 small'} decode, prompt 16, 64 new, "
                f"{scheme}", model=model, unit="tokens/s", limit="read", scheme=scheme,
                ours={"model": f"{model}.{scheme}", "args": _decode_args(16, 64), "take": "token_ms"},
                peers=peers, targets=[Target(counted, least)])


def _prefill(name, isa=None):
    peers = {CT2: dict(_forms("distilgpt2")[CT2], work={"kind": "prefill", "prompt": 512}, per=512)}
    return Line(name, "DistilGPT-2 prefill of 512, int8", model="distilgpt2", unit="tokens/s",
                ours={"model": "distilgpt2.int8", "args": _decode_args(512, 1), "take": "first_token_ms", "per": 512,
                      "isa": isa},
                peers=peers | {"llama.cpp Q8_0": {"llama": "distilgpt2.q8_0.gguf", "what": "prefill", "per": 512}},
                targets=[Target([CT2], 1.5)])


def _streams():
    one = {"model": "distilgpt2.int8", "args": _decode_args(16, 64), "take": "token_ms"}
    eight = dict(one, args=_decode_args(16, 64, 8), per=8)
    return Line("decode-8", "DistilGPT-2 decode, 8 streams, int8", model="distilgpt2", unit="tokens/s", limit="read",
                ours=eight, peers={"pare, 1 stream": {"pare": one}}, targets=[Target(["pare, 1 stream"], 4.0)])


def _avx2(line, least=1.0):
    """The line with AVX2 alone: CTranslate2 with all its libraries told. CT2_FORCE_CPU_ISA alone is shown: oneDNN, which
    multiplies for it, goes on with AVX-512 and VNNI then, as ONEDNN_VERBOSE=1 tells."""
    spec, all_through = line.peers[CT2], f"{CT2}, all libraries AVX2"
    return dataclasses.replace(line, name=f"avx2-{line.name}", title=f"{line.title}, AVX2 only",
                               ours=dict(line.ours, isa="avx2"),
                               peers={CT2: dict(spec, env={"CT2_FORCE_CPU_ISA": "AVX2"}),
                                      all_through: dict(spec, env=AVX2_ALL)},
                               targets=[Target([all_through], least)])


def lines():
    b1 = _distilbert("distilbert-128", 1, 128, [Target([ORT], 1.35), Target([NNCF, NNCF_BF16], 1.1)])
    b32 = _distilbert("distilbert-32", 1, 32, [Target([ORT], 1.2), Target([NNCF, NNCF_BF16], 1.2)])
    b8 = _distilbert("distilbert-8x128", 8, 128, [Target([ORT], 1.3), Target([NNCF, NNCF_BF16], 1.0)])
    decode = _decode("distilgpt2", "int8", "Q8_0", 1.25, [CT2])
    return [b1, b32, b8, _ragged(), *_gpt2(),
            decode, _decode("distilgpt2", "int4", "Q4_0", 1.2), _decode("distilgpt2", "nf4", "Q4_0", 1.0),
            _decode("gpt2", "int8", "Q8_0", 1.25, [CT2]), _decode("gpt2", "int4", "Q4_0", 1.2),
            _decode("gpt2", "nf4", "Q4_0", 1.0),
            _prefill("prefill-512"), _streams(),
            _avx2(b1), _avx2(b32), _avx2(b8), _avx2(_prefill("prefill-512")), _avx2(decode)]


# Opening a model: ours is absolute. MB of memory beyond the weight file.
LOAD = {"model": "distilbert-cls", "load_ms": 25, "over_file_mb": 25,
        "ours": {"pare": "distilbert-cls.int8", "pare, with a tokenizer": "distilbert-cls.int8-texts"},
        "peers": _cls("distilbert-cls", 1, 128, [ORT, CT2])}
