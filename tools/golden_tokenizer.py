#!/usr/bin/env python3
"""Expected tokenizer answers from Hugging Face's transformers and tokenizers, for tests/golden/tokenizer.c.

usage: golden_tokenizer.py tests/golden/data/tokenizer models

Writes small tokenizers and what transformers 5.23 (tokenizers 0.23.3) says of them and of two shipped models.
"""

import json
import os
import random
import shutil
import struct
import sys
import zlib

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

CORPUS = """the quick brown fox jumps over the lazy dog and then the other dog jumps over the quick brown fox again
it's what we've said, they'll say, I'm sure you'd say it; he doesn't. 'twas 1999 or 2024, 3.14 and 100,000 of them
Stocks rose sharply on Monday after the central bank said that it would not raise interest rates this year.
naïve café résumé Übergröße señor façade Straße İstanbul ÉCOLE Ωμέγα привет Москва 東京 中文字 한국어 हिन्दी ไทย العربية
def main(argc, argv): return {"key": [1, 2, 3]}; // comment <tag> & more -- dashes ... done!? (yes) [no] @user #tag $5 50%
""" * 2

TEXTS = [
    "",
    " ",
    "  ",
    "a",
    "\n",
    "\t\n \r\n",
    "Hello, world!",
    "Hello  world   and    more     spaces      here.",
    " leading and trailing ",
    "it's we've they'll I'm you'd don't 'S 'T ''s 'll'll x'sy I'M",
    "'",
    "''''''",
    "' s",
    "'re're'v",
    "1234567890 12 3.14 1,000 ½ ² Ⅷ ① ١٢٣ १२३ 12abc34",
    "snake_case CamelCase kebab-case a.b.c a/b\\c",
    "The café is naïve: résumé, Ångström, ÉCOLE",
    "cafe\u0301 nai\u0308ve A\u030angstro\u0308m e\u0301\u0323 q\u0307\u0323",
    "\u1e9b\u0323 ﬁ ﬂ ﬃ ① ℌ ㎏ ｆｕｌｌ ｗｉｄｔｈ ﷺ ㍿ Ǆ ǆ ĳ",
    "İstanbul ISPARTA ıi ΣΊΣΥΦΟΣ ẞ ß ǅ Ω Å K",
    "北京は中国の首都です。東京タワー",
    "中a文b字𠀀𪚥㐀豈",
    "한국어 텍스트 각 \u1112\u1161\u11ab 가\u11a8",
    "हिन्दी में पाठ क्षत्रिय नमस्ते",
    "ภาษาไทยไม่มีช่องว่าง",
    "مرحبا بالعالم كَتَبَ ‏abc‎ ١٢٣",
    "שָׁלוֹם עולם",
    "Привет, мир! ЁЖИК ёжик",
    "Ελληνικά τόνος",
    "Tiếng Việt có dấu: Nguyễn Văn Ổ",
    "👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ ☺ 1️⃣",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋ ∑∏√∞≠≤ ⟨a|b⟩ 𝔸𝕓𝒞",
    "a\u0000b\u0000",
    "\u0001\u0002\u001f\u007f\u0080\u0085\u009f x\u00ady",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff\ufffdg",
    "a\u00a0b\u2003c\u3000d\u2028e\u202ff\u205fg\u1680h\u180ei",
    "\u00a0\u00a0 x \u3000\u3000",
    "\x0b\x0c\x1c\x1d\x1e\x1f\x85",
    "\u0300\u0301combining first",
    "a\u0300\u0301\u0302\u0303\u0304\u0305b",
    "\ue000 \U000f0000 \u0378 \U0001fbf0 \U0010ffff \ufdd0",
    "x" * 99 + " " + "y" * 100 + " " + "z" * 101 + " " + "é" * 100 + " " + "中" * 101,
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababab abcabcabc aabbaabb cabbage",
    "!!!???...---***",
    "a!b?c.d,e;f:g",
    "`~$^+|<>=",
    "“quoted” ‘text’ — dash… «x» ¿qué?",
    "don't  can 't  wo n't do not I 'm he 's we 've you 're end . stop ? go ! a , b ' c",
    "https://example.com/path?q=1&r=two#frag user@example.org",
    "print('hello')\n\tif x == 1:\n\t\treturn  None\n\n\n",
    "<|endoftext|>",
    "a<|endoftext|>b",
    "<|endoftext|><|endoftext|> x",
    "<|endoftext",
    "[CLS] a [SEP] b [MASK] c [PAD] [UNK]",
    "[cls][SEP][ SEP]x[MASK]y",
    "<s>a</s> <mask> b<mask>c  <mask>  d <pad><unk>",
    "  <mask>",
    "\u3000<mask>\u00a0x",
    "word WORD Word wordword word_ _word word. (word) éword wordé 中word",
    "left  LL  left\u2003LL RR  right RR\u3000right both  BB  both RR LL BBLL",
    "Yesterday YESTERDAY yesterday YesterDay",
    "new\nline token ab abc abcd abcde bcd",
    "##ing ing ##",
    "@@ a@@b",
    "\u0130\u0307 i\u0307 \u0049\u0307",
    "\u01c5\u01c8 \u1f88 \u03f4 \u2126",
    "\u1100\u1161\u11a8\uac00\u11a8 \u1100\uac00",
    "\u0344 \u0f73 \u0958 \u2adc \U0001d15e \ufb1d \u212b",
    "\u09c7\u09be \u0b47\u0b3e \u1b05\u1b35 \U00011131\U00011127",
    "Stocks rose sharply on Monday after the bank said it would not raise rates; the quick brown fox doesn't care.",
]
LAST = len(TEXTS) - 1
PAIRS = [(6, 7), (LAST, 9), (9, LAST), (0, 6), (6, 0), (0, 0), (24, 28), (57, 56), (58, 59), (LAST, LAST), (6, 53)]
CUT = [7, 9, 57, LAST]
LIMITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 17, 20, 21, 30, 31, 40, 64, 200]


def long_texts():
    """100 kB each; tests/golden/tokenizer.c makes the same ones."""
    state, letters = 1, []
    for _ in range(100000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        letters.append("abcdefghijklmnopqrstuvwxyz     '.\n19"[(state >> 16) % 36])
    return [
        "a" * 100000,
        " " * 100000,
        "'" * 100000,
        "ab" * 50000,
        "abc " * 25000,
        "中" * 33333,
        "a\u0301" * 33333,
        "\n" * 100000,
        "1" * 100000,
        " \u00a0" * 33333,
        "".join(letters),
        "".join(x for x in letters if x.isalpha()),
    ]


def byte_chars():
    keep = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    out, extra = {}, 0
    for b in range(256):
        if b in keep:
            out[b] = chr(b)
        else:
            out[b], extra = chr(256 + extra), extra + 1
    return out


def train_bpe(words, count):
    """Plain BPE: the most frequent pair, the smallest among equals."""
    words, merges = [list(w) for w in words], []
    while len(merges) < count:
        pairs = {}
        for w in words:
            for p in zip(w, w[1:]):
                pairs[p] = pairs.get(p, 0) + 1
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == best:
                    w[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def byte_level_words(text):
    from tokenizers import pre_tokenizers

    return [w for w, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)]


def bpe_vocab(specials, merges, alphabet):
    vocab = {}
    for piece in [*specials, *alphabet, *("".join(m) for m in merges)]:
        vocab.setdefault(piece, len(vocab))
    return vocab


def added(ident, content, **flags):
    base = dict(
        id=ident, content=content, single_word=False, lstrip=False, rstrip=False, normalized=True, special=False
    )
    return {**base, **flags}


def special(ident, content, **flags):
    return added(ident, content, special=True, normalized=False, **flags)


BYTE_LEVEL = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
GENERIC = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64}


def bpe_model(vocab, merges, **more):
    base = dict(
        type="BPE",
        dropout=None,
        unk_token=None,
        continuing_subword_prefix=None,
        end_of_word_suffix=None,
        fuse_unk=False,
        byte_fallback=False,
        ignore_merges=False,
        vocab=vocab,
        merges=[list(m) for m in merges],
    )
    return {**base, **more}


def wordpiece_model(vocab, **more):
    base = dict(
        type="WordPiece", unk_token="[UNK]", continuing_subword_prefix="##", max_input_chars_per_word=100, vocab=vocab
    )
    return {**base, **more}


def tokenizer_json(model, normalizer=None, pre=None, post=None, decoder=None, tokens=()):
    return dict(
        version="1.0",
        truncation=None,
        padding=None,
        added_tokens=list(tokens),
        normalizer=normalizer,
        pre_tokenizer=pre,
        post_processor=post,
        decoder=decoder,
        model=model,
    )


def word_vocab(lower, prefix, specials):
    pieces = set()
    text = CORPUS.lower() if lower else CORPUS
    for word in text.replace("'", " ' ").replace(".", " . ").replace(",", " , ").split():
        pieces |= {word, word[:1], *(prefix + c for c in word)}
        if len(word) > 3:
            pieces |= {word[:3], prefix + word[3:], prefix + word[-2:]}
    return {p: i for i, p in enumerate([*specials, *sorted(pieces)])}


def template(single, pair, ids):
    def part(p):
        name, kind = p.split(":")
        body = {"id": name.lstrip("$"), "type_id": int(kind)}
        return {"Sequence": body} if name.startswith("$") else {"SpecialToken": body}

    tokens = {k: {"id": k, "ids": v, "tokens": [k] * len(v)} for k, v in ids.items()}
    return dict(
        type="TemplateProcessing",
        single=[part(p) for p in single.split()],
        pair=[part(p) for p in pair.split()],
        special_tokens=tokens,
    )


def build():
    """Name -> {file name: content}; a str is written as it is, else as JSON."""
    cases, merges = {}, train_bpe(byte_level_words(CORPUS), 300)
    alphabet = sorted(byte_chars().values())
    plain = bpe_vocab(["<|endoftext|>"], merges, alphabet)
    bare = bpe_vocab([], [], alphabet)
    merges_txt = "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges)

    cases["gpt2-legacy"] = {
        "vocab.json": plain,
        "merges.txt": merges_txt,
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "add_prefix_space": True,
            "model_max_length": 10**30 - 1,
        },
    }
    cases["gpt2-bos"] = {
        "vocab.json": plain,
        "merges.txt": merges_txt,
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "add_bos_token": True,
            "pad_token": "<pad>",
            "truncation_side": "left",
        },
    }
    roberta = bpe_vocab(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], merges, alphabet)
    mask = dict(content="<mask>", lstrip=True, normalized=False, rstrip=False, single_word=False)
    roles = dict(
        bos_token="<s>", eos_token="</s>", sep_token="</s>", cls_token="<s>", unk_token="<unk>", pad_token="<pad>"
    )
    cases["roberta-legacy"] = {
        "vocab.json": roberta,
        "merges.txt": merges_txt,
        "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512},
        "special_tokens_map.json": {**roles, "mask_token": mask},
    }
    cases["bart-legacy"] = {"vocab.json": roberta, "merges.txt": merges_txt, "config.json": {"model_type": "bart"}}
    upper = word_vocab(False, "##", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    lower = word_vocab(True, "##", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    cases["bert-cased"] = {
        "vocab.txt": "".join(p + "\n" for p in upper),
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": False,
            "tokenize_chinese_chars": False,
            "clean_up_tokenization_spaces": True,
        },
    }
    cases["bert-uncased"] = {
        "vocab.txt": "".join(p + " \r\n" for p in lower) + "the\n",
        "config.json": {"model_type": "bert"},
    }
    cases["bert-added"] = {
        "vocab.txt": "".join(p + "\n" for p in lower),
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizer",
            "strip_accents": False,
            "added_tokens_decoder": {
                str(len(lower)): {k: v for k, v in added(0, "Yesterday").items() if k != "id"},
                "2": {k: v for k, v in special(0, "[CLS]").items() if k != "id"},
                str(len(lower) + 1): {k: v for k, v in special(0, "word", single_word=True).items() if k != "id"},
            },
        },
    }

    tokens = [
        special(0, "<s>"),
        special(1, "<pad>"),
        special(2, "</s>"),
        special(3, "<unk>"),
        special(4, "<mask>", lstrip=True),
    ]
    n = len(roberta)
    tokens += [
        added(n, "word", single_word=True),
        added(n + 1, "LL", lstrip=True, normalized=False),
        added(n + 2, "RR", rstrip=True, normalized=False),
        added(n + 3, "BB", lstrip=True, rstrip=True),
        added(n + 4, "new\nline"),
        added(n + 5, "abc", normalized=False),
        added(n + 6, "ab", normalized=False),
        added(n + 7, "abcde", normalized=False),
        added(n + 8, "bcd"),
        added(n + 9, " ", lstrip=True, rstrip=True, single_word=True),
    ]
    cases["roberta-json"] = {
        "tokenizer_config.json": {**GENERIC, **roles, "mask_token": "<mask>"},
        "tokenizer.json": tokenizer_json(
            {**bpe_model(roberta, []), "merges": [f"{a} {b}" for a, b in merges]},
            None,
            {**BYTE_LEVEL, "add_prefix_space": True},
            dict(type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 0], trim_offsets=True, add_prefix_space=True),
            BYTE_LEVEL,
            tokens,
        ),
    }
    sequence = dict(
        type="Sequence",
        normalizers=[
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            {
                "type": "Sequence",
                "normalizers": [{"type": "Strip", "strip_left": True, "strip_right": False}, {"type": "Lowercase"}],
            },
            {"type": "Replace", "pattern": {"String": "a"}, "content": "\u00e4\u00e4"},
        ],
    )
    n = len(plain)
    cases["sequence"] = {
        "tokenizer_config.json": {**GENERIC, "bos_token": "<|endoftext|>"},
        "tokenizer.json": tokenizer_json(
            bpe_model(plain, merges),
            sequence,
            dict(type="Sequence", pretokenizers=[{"type": "Whitespace"}, BYTE_LEVEL]),
            dict(
                type="Sequence",
                processors=[
                    BYTE_LEVEL,
                    template(
                        "<|endoftext|>:0 $A:0", "<|endoftext|>:0 $A:0 <x>:3 $B:7", {"<|endoftext|>": [0], "<x>": [5, 6]}
                    ),
                ],
            ),
            BYTE_LEVEL,
            [special(0, "<|endoftext|>"), added(n, "Yesterday"), added(n + 1, "Caf\u00e9", special=True)],
        ),
    }
    at = word_vocab(True, "@@", ["[UNK]", "[CLS]", "[SEP]", "[PAD]"])
    cases["wordpiece-at"] = {
        "tokenizer_config.json": {**GENERIC, "truncation_side": "left"},
        "tokenizer.json": tokenizer_json(
            wordpiece_model(at, continuing_subword_prefix="@@", max_input_chars_per_word=10),
            dict(
                type="BertNormalizer", clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=True
            ),
            {"type": "WhitespaceSplit"},
            dict(type="BertProcessing", sep=["[SEP]", 2], cls=["[CLS]", 1]),
            dict(type="WordPiece", prefix="@@", cleanup=False),
            [special(1, "[CLS]"), special(2, "[SEP]")],
        ),
    }
    chars = sorted(set(CORPUS) - {" ", "\n"})
    char_merges = train_bpe(CORPUS.split(), 150)
    char_vocab = bpe_vocab(["<unk>"], char_merges, chars)
    cases["chars-fuse"] = {
        "tokenizer_config.json": GENERIC,
        "tokenizer.json": tokenizer_json(
            bpe_model(char_vocab, char_merges, unk_token="<unk>", fuse_unk=True),
            {"type": "NFKC"},
            {"type": "Whitespace"},
        ),
    }
    whole = dict(char_vocab)
    whole["cabbage"], whole["snake_case CamelCase kebab-case a.b.c a/b\\c"] = len(whole), len(whole) + 1
    cases["chars-whole"] = {
        "tokenizer_config.json": GENERIC,
        "tokenizer.json": tokenizer_json(bpe_model(whole, char_merges, unk_token="<unk>", ignore_merges=True)),
    }
    cases["chars-drop"] = {
        "tokenizer_config.json": GENERIC,
        "tokenizer.json": tokenizer_json(
            bpe_model(char_vocab, char_merges),
            {"type": "NFKD"},
            {"type": "BertPreTokenizer"},
            template("$A:0 $A:1", "$B:0 $A:1", {}),
            dict(type="WordPiece", prefix="t", cleanup=True),
        ),
    }
    rng, pieces = random.Random(7), [""]
    for size in range(1, 5):
        pieces += [a + b for a in pieces if len(a) == size - 1 for b in "abc"]
    tangled = [(a, b) for a in pieces[1:] for b in pieces[1:] if len(a + b) <= 4]
    rng.shuffle(tangled)
    cases["tangled"] = {
        "tokenizer_config.json": GENERIC,
        "tokenizer.json": tokenizer_json(
            bpe_model({p: i for i, p in enumerate(pieces[1:])}, tangled), None, {"type": "WhitespaceSplit"}
        ),
    }
    late = dict(plain)
    for piece in ["Ġfoxes", "Monday", "Ġæ±ī", "ĠStocksrose"]:
        late.setdefault(piece, len(late))
    cases["bytes-whole"] = {
        "tokenizer_config.json": GENERIC,
        "tokenizer.json": tokenizer_json(
            bpe_model(late, merges, ignore_merges=True), None, BYTE_LEVEL, BYTE_LEVEL, BYTE_LEVEL
        ),
    }
    cases["bytes-no-regex"] = {
        "tokenizer_config.json": GENERIC,
        "tokenizer.json": tokenizer_json(
            bpe_model(plain, merges),
            None,
            {**BYTE_LEVEL, "use_regex": False, "add_prefix_space": True},
            None,
            BYTE_LEVEL,
        ),
    }
    bert = dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    for name, normalizer in dict(
        nfc={"type": "NFC"},
        nfd={"type": "NFD"},
        nfkc={"type": "NFKC"},
        nfkd={"type": "NFKD"},
        bert=bert,
        lower={"type": "Lowercase"},
        accents={"type": "StripAccents"},
    ).items():
        cases["bytes-" + name] = {
            "tokenizer_config.json": GENERIC,
            "tokenizer.json": tokenizer_json(bpe_model(bare, []), normalizer, BYTE_LEVEL, None, BYTE_LEVEL),
        }
    return cases


SWEPT = [
    "agnews-gpt2",
    "nli-minilm",
    "bytes-nfc",
    "bytes-nfd",
    "bytes-nfkc",
    "bytes-nfkd",
    "bytes-bert",
    "bytes-lower",
    "bytes-accents",
    "chars-fuse",
]


def crc(ids):
    return zlib.crc32(struct.pack(f"<{len(ids)}I", *ids))


def sweep(tok):
    """One CRC-32 of ids for each block of 256 code points: each between a and b, a space between."""

    def block(start):
        return " ".join(f"a{chr(c)}b" for c in range(start, start + 256) if not 0xD800 <= c < 0xE000)

    return [crc(tok(block(s), add_special_tokens=False)["input_ids"]) for s in range(0, 0x110000, 256)]


def encode(tok, a, b=None, **kw):
    try:  # as lists: given two strings, transformers drops an empty second one
        r = tok([a], None if b is None else [b], return_token_type_ids=True, **kw)
    except Exception as e:  # the library's own exceptions have no finer type
        if "Truncation error" not in str(e):
            raise
        return None
    return [r["input_ids"][0], r["token_type_ids"][0]]


def expected(tok):
    rng = random.Random(11)
    out = {
        "vocab_size": max(tok.get_vocab().values()) + 1,
        "specials": [tok.num_special_tokens_to_add(False), tok.num_special_tokens_to_add(True)],
        "roles": {
            r: getattr(tok, r + "_id")
            for r in ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
        },
    }
    out["max_length"] = tok.model_max_length if tok.model_max_length < 2**30 else None
    out["texts"] = [encode(tok, t) for t in TEXTS]
    out["plain"] = [crc(encode(tok, t, add_special_tokens=False)[0]) for t in TEXTS]
    out["literal"] = [crc(encode(tok, t, split_special_tokens=True)[0]) for t in TEXTS]
    out["cut"] = [[encode(tok, TEXTS[i], truncation=True, max_length=m)[0] for m in (6, 7)] for i in CUT]
    out["pairs"] = []
    for a, b in PAIRS:
        out["pairs"].append(encode(tok, TEXTS[a], TEXTS[b]))
    out["cut_pairs"] = []  # CRC of ids and types, or null where the library refuses
    for a, b in PAIRS:
        for limit in LIMITS:
            for how in ("longest_first", "only_first"):
                for add in (True, False):
                    room = limit - (out["specials"][1] if add else 0)
                    r = None
                    if limit and room >= 0:
                        r = encode(tok, TEXTS[a], TEXTS[b], truncation=how, max_length=limit, add_special_tokens=add)
                    out["cut_pairs"].append(r and crc(r[0] + r[1]))
    out["decoded"] = [[tok.decode(r[0]), tok.decode(r[0], skip_special_tokens=True)] for r in out["texts"]]
    out["random_ids"] = []
    for length in [1, 2, 3, 5, 10, 20, 40] * 3:
        ids = [rng.randrange(out["vocab_size"]) for _ in range(length)]
        out["random_ids"].append([ids, tok.decode(ids), tok.decode(ids, skip_special_tokens=True)])
    out["long"] = [[len(i), crc(i)] for i in (encode(tok, t)[0] for t in long_texts())]
    return out


def write(path, value):
    with open(path, "w", encoding="utf-8", newline="") as f:
        if isinstance(value, str):
            f.write(value)
        else:
            json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")


def main(out, models):
    from transformers import AutoTokenizer

    cases = build()
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    write(os.path.join(out, "texts.json"), {"texts": TEXTS, "pairs": PAIRS, "limits": LIMITS, "cut": CUT})
    for name in [*cases, "agnews-gpt2", "nli-minilm"]:
        folder = os.path.join(out, name)
        os.makedirs(folder)
        for file, content in cases.get(name, {}).items():
            write(os.path.join(folder, file), content)
        tok = AutoTokenizer.from_pretrained(folder if name in cases else os.path.join(models, name))
        write(os.path.join(folder, "expected.json"), expected(tok))
        if name in SWEPT:
            crcs = sweep(tok)
            with open(os.path.join(folder, "sweep.bin"), "wb") as f:
                f.write(struct.pack(f"<{len(crcs)}I", *crcs))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
