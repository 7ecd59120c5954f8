#!/usr/bin/env python3
"""Expected answers of fastai 2.8's tokenizer (spaCy 3.8, Python 3.11), for tests/golden/fastai_text.c.

usage: golden_fastai.py tests/golden/data/fastai

Writes tokens.json (texts, a vocabulary, ids under several sets of rules, pairs, decoded texts) and sweep.bin (a CRC of
the ids for every 256 code points).
"""

import json
import os
import random
import struct
import sys
import zlib
from functools import reduce

import pandas as pd
from fastai.text import core
from fastai.text.data import Numericalize

TEXTS = [
    "",
    " ",
    "\n",
    " \n ",
    "a",
    "Hello, world!",
    "He's can't won't I'm y'all don't've isn't couldn't've who's it's that'll shan't ain't o'clock ma'am",
    "can't.\" can't.) (can't) \"I'm\" he's. 's 'S ’s dog's DOG'S dogs' dog’s I’m don’t",
    "gonna gotta cannot Cannot let's c'mon 'em 'cause 'bout nothin' doin how'd'y and/or w/o",
    "visit http://example.com/a?b=c#d, or www.foo.co.uk. ftp://u:p@h.example.com:8080/x?y (see http://a.bc)",
    "mail me@x.org, foo@bar.com; foo@bar foo@@bar.com a@b.c.d.ee mailto:me@x.org.",
    "http://10.0.0.1 http://172.20.1.1/x 8.8.8.8 1.2.3.4:80/x 192.168.1.1 223.255.255.254 224.1.1.1 0.0.0.0",
    "x://y.zz ab://y.zz ab:y.zz http:// www. a.bc: a.bc:8 a.bc:80 a.bc:123456 a_b.com -a.com a-.com a.b_c.dd ünï.de",
    ":) :-( foo:) (: >.< ^_^ xD <3 :'( ¯\\(ツ)/¯ (╯°□°）╯︵┻━┻ word:-) a8) ಠ_ಠ : ) :-)) a :(((",
    "10km 5km² 3kg 20% $5 US$5 5US$ 5$ 10€ 7°C. 5°F. 3 m/s, 4km/h. 9am 10p.m. 12a.m. 3+4 5-6 2*3 2^3 1--2 5+ 7+.",
    "U.S. U.K. e.g. i.e. Mr. Smith Ph.D. a.m. St. Inc. foo.Bar lower.Upper A.B. AB. Ab. aB. XYZ. x. 5. %. ². +. -.",
    "&lt;b&gt; &amp;amp; &#39;x&#39; &quot;q&quot; &nbsp; &copy; &notit; &notin; &ampx &Aacute &bogus; &; &",
    "&#x41; &#128; &#0; &#xD800; &#x110000; &#1; &# &#; &#x; &#65 &#X41z &#99999999999; &#xFFFE;x &NotEqualTilde;",
    "#39; nbsp; <br /> <unk> \\n a @.@ b @-@ c ... .... quot; #36;5 #146;s \\\"",
    "!!!!! cccc aaa bb      zzz... 1111 ----- ====== héééé 😀😀😀😀 ......",
    "word word word word. no no no! yes yes the the the\n the ha ha ha ha ha, a a a a",
    "ab ab abc ab ab ab abc",
    "x x x-y x x x",
    "\tw w w\tw  w",
    "no no, no no no no; 5 5 5 5 é é é",
    "ALL CAPS HERE Title Case Here iPhone McDonald A I B. U.S.A. HTML5 X-RAY ÀÉ Ünder ABC123 A1b2 I'M NASA's",
    "ΑΣ ΣΑΣ ΌΔΟΣ. Σ Σ' 'Σ aΣ AΣ\u00ad. A\u0301Σ Σ\u0301A İstanbul Ǆ ǅ ẞ AΣB",
    "a-b a--b a---b a----b well-known—dash a—b a–b a ~ b a~b x:y x/y x=y a<b>c 5:a a,b 1,2 a,1 ,a a, -a a-",
    "\"quoted\" 'single' ‘curly’ “double” «x» (a) [b] {c} (a(b)c) ''x'' `y` '' \"",
    "a\u200bb a\u00a0b a\u2003b \ufeffx\u2028y\u0085z\x1cq\x1fr\x00s\u00adt",
    "a  b   c\td\n\ne \r\n f\u3000g\u00a0\u00a0h",
    "foo\n\nbar  \n baz\n",
    "/ # \\ a/b c#d e\\f ##x http:\\\\y",
    "xxbos xxmaj xxup xxrep 3 a 'xxbos' xxunk xxfld 1 (xxpad)",
    "...a a... .. a..b ….… a…b …… a.. ..a a....",
    "(a) ((b)) ))) ((( :)) :-)) a) b( )a [(x)] .) ).",
    "©®™ a©b →x 5→6 ☃snow man☃ a☃b ❤️ 👨‍👩‍👧 🇩🇪 1️⃣ a👍b",
    "中文字 日本語です。한국어 हिन्दी। العربية؟ ภาษาไทย שָׁלוֹם",
    "caf\u00e9 cafe\u0301 nai\u0308ve \ufb01n ｆｕｌｌ",
    "The quick brown fox doesn't jump over the lazy dog's back; it's 10:30 a.m. on Monday, Nov. 2nd (2020).",
    "Reuters - Short-sellers, Wall Street's dwindling\\band of ultra-cynics, are seeing green again.",
    " = Robert Boulter = \n @-@ what @,@ s 1 @.@ 5 <unk> ( born 1970 ) ",
    "how do i say 'hotel' in finnish? what's the exchange rate of $1 usd to €?",
    f"{'a-b' * 21}a.com {'a-b' * 21}ab.com x-y.{'ab' * 31}a x-y.{'ab' * 32} x-y.bc:12345 x-y.bc:123456 x-y.bc:1",
    "5اكواب 5غرام 5мбар 5abcdef 'bout) ('bout",
    "SUBJECT: FREE!!! Win £1,000,000 NOW!!! Call 0800-123-456 or text WIN2 to 80086...",
]
DEFAULT = [rule.__name__ for rule in core.defaults.text_proc_rules]
CASES = [
    (DEFAULT, ["replace_space"]),
    ([], []),
    (["lowercase"], []),
    (["replace_maj", "replace_all_caps", "replace_wrep", "replace_rep"], ["replace_space"]),
    (["rm_useless_spaces", "fix_html", "spec_add_spaces", "fix_html", "lowercase"], ["replace_space", "replace_space"]),
]
PAIRS = [("Hello, world!", "What's up?"), ("", "b"), ("A", ""), ("NO NO", "NO no"), ("x\n", " y ")]


def random_texts(exceptions):
    rng = random.Random(1)
    pieces = list(" \n'\".,:;!?()[]{}<>/#\\@&%$+-*=_~^|0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    pieces += [" "] * 20 + "'s n't ... .. http:// www. .com @ km US$ °C … — – “ ” ’ ‘ 😀 é É Σ İ 中 \u200b ² xx &amp; &lt;".split(" ")
    for _ in range(400):
        yield "".join(rng.choice(pieces if rng.random() < 0.85 else exceptions) for _ in range(rng.randint(1, 30)))


def tokens(spacy, texts, rules, post_rules):
    rules = [getattr(core, name) for name in rules]
    post = [getattr(core, name) for name in post_rules]
    texts = [reduce(lambda t, rule: rule(t), rules, text) for text in texts]
    return [[reduce(lambda t, rule: rule(t), post, str(t)) for t in found] for found in spacy(texts)]


def sweep(spacy, ids):
    """CRCs; tests/golden/fastai_text.c makes the same texts."""
    out = b""
    for first in range(0, 0x110000, 256):
        chars = [chr(c) for c in range(first, first + 256) if not 0xD800 <= c < 0xE000]
        text = " ".join(f"a{c}b 5{c} {c}A. x.{c}" for c in chars)
        found = tokens(spacy, [text], DEFAULT, ["replace_space"])[0]
        out += struct.pack("<I", zlib.crc32(struct.pack(f"<{len(found)}I", *map(ids, found))))
    return out


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    spacy = core.SpacyTokenizer("en")
    exceptions = sorted(__import__("spacy").blank("en").tokenizer.rules)
    texts = TEXTS + list(random_texts(exceptions))
    by_case = [tokens(spacy, texts, *case) for case in CASES]
    words = list(core.defaults.text_spec_tok)
    for found in by_case:
        for i, row in enumerate(found):
            words += row if i < len(TEXTS) and i % 5 else []  # words of the other texts may be unknown
    words = list(dict.fromkeys(words)) + ["xxfake"] * 3
    numericalize = Numericalize(vocab=words)
    del numericalize.o2i["xxfake"]  # as in a vocabulary that fastai made itself

    def ids(token):
        return numericalize.o2i.get(token, 0)

    cases = [
        dict(rules=rules, post_rules=post, ids=[[ids(t) for t in row] for row in found])
        for (rules, post), found in zip(CASES, by_case)
    ]
    pairs = []
    for first, second in PAIRS:
        table, _ = core.tokenize_df(pd.DataFrame({"a": [first], "b": [second]}), ["a", "b"], n_workers=0, tok=spacy)
        pairs.append([first, second, [ids(t) for t in table["text"].iloc[0]]])
    marked, _ = core.tokenize_df(
        pd.DataFrame({"a": TEXTS[:12]}), ["a"], n_workers=0, tok=spacy, mark_fields=True
    )
    decoder = core.Tokenizer(spacy)
    decoded = [str(decoder.decodes(numericalize.decodes(row))) for row in cases[0]["ids"][: len(TEXTS)]]
    with open(os.path.join(out, "tokens.json"), "w", encoding="utf-8") as f:
        data = dict(
            vocab=words,
            texts=texts,
            cases=cases,
            pairs=pairs,
            marked=[[ids(t) for t in row] for row in marked["text"]],
            decoded=decoded,
        )
        json.dump(data, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    with open(os.path.join(out, "sweep.bin"), "wb") as f:
        f.write(sweep(spacy, ids))


if __name__ == "__main__":
    main()
