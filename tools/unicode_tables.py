#!/usr/bin/env python3
"""Prints the tables of src/text/unicode_tables.h: where tokenizers 0.23.3 and libutf8proc 2.8 differ, asking both about
every code point."""
import ctypes
import string


def main():
    from tokenizers import normalizers, pre_tokenizers

    lib = ctypes.CDLL("libutf8proc.so.2")
    lib.utf8proc_category_string.restype = ctypes.c_char_p
    lib.utf8proc_tolower.argtypes = [ctypes.c_int32]
    lib.utf8proc_map.restype = ctypes.c_ssize_t
    cat = [lib.utf8proc_category_string(c).decode() for c in range(0x110000)]
    chars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]

    def covering(wanted, never):  # ranges that cover wanted and touch nothing of never, as few as possible
        ranges, current = [], None
        for c in range(0x110000):
            if c in never:
                current = None
            elif c in wanted:
                if current is None:
                    ranges.append(current := [c, c])
                current[1] = c
        return ranges

    def exact(wanted):
        return covering(wanted, set(chars) - wanted)

    def emit(comment, name, ranges):
        print(f"// {comment}\nstatic const struct code_range {name}[] = {{")
        print("\n".join(f"    {{0x{a:X}, 0x{b:X}}}," for a, b in ranges) + "\n};\n")

    bert = normalizers.BertNormalizer
    clean = bert(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    strip = bert(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    split, words = pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Whitespace()
    control = {c for c in chars if clean.normalize_str(f"a{chr(c)}b") == "ab"} - {0xFFFD}
    nonspacing = {c for c in chars if strip.normalize_str("a" + chr(c)) == "a"}
    punctuation = {c for c in chars if len(split.pre_tokenize_str(f"a{chr(c)}b")) == 3}
    mark = {c for c in chars if normalizers.StripAccents().normalize_str("a" + chr(c)) == "a"}
    known = control | nonspacing | punctuation
    ours = {c for c in chars if cat[c] in ("Cc", "Cf", "Co", "Mn") or cat[c][0] == "P"} - {9, 10, 13}
    emit(
        "Unknown to HF's category tables: not Mn, P*, Cc, Cf or Co there.",
        "unknown_category",
        covering(ours - known, known),
    )
    print("// there but not in utf8proc:", [hex(c) for c in known - ours if chr(c) not in string.punctuation])
    emit(
        "Unknown to HF's normalization tables: not a mark there, combining class 0.",
        "unknown_mark",
        covering({c for c in chars if cat[c][0] == "M"} - mark, mark),
    )
    print("// there but not in utf8proc:", [hex(c) for c in mark if cat[c][0] != "M"])
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letter = {c for c in chars if len(level.pre_tokenize_str("a" + chr(c))) == 1}
    number = {c for c in chars if c not in letter and len(level.pre_tokenize_str("1" + chr(c))) == 1}
    word = {c for c in chars if len(words.pre_tokenize_str(f"a{chr(c)}b")) == 1}
    emit(
        "Letters of later versions, as \\p{L} of HF's regular expressions has them.",
        "later_letter",
        exact({c for c in letter if cat[c][0] != "L"}),
    )
    emit("Numbers of later versions, as \\p{N}.", "later_number", exact({c for c in number if cat[c][0] != "N"}))
    emit("Word characters of later versions, as \\w.", "later_word", exact({c for c in word if cat[c] == "Cn"}))

    def mapped(text, options):
        out = ctypes.c_char_p()
        data = text.encode()
        lib.utf8proc_map(data, len(data), ctypes.byref(out), options)
        return out.value.decode()

    compat = normalizers.NFKD()
    ours = {c: mapped(chr(c), 2 | 4 | 16) for c in chars if c}  # STABLE, COMPAT, DECOMPOSE
    known = {c for c in ours if ours[c] != chr(c) and compat.normalize_str(chr(c)) == ours[c]}
    unknown = {c for c in ours if compat.normalize_str(chr(c)) != ours[c]} - {0x11938}  # a canonical one
    emit("Compatibility decompositions that HF does not know.", "unknown_compat", covering(unknown, known))
    lower = normalizers.Lowercase()
    print("// Lower-case mappings of later versions.")
    for c in chars:
        if lower.normalize_str(chr(c)) != chr(lib.utf8proc_tolower(c)):
            print(f"// 0x{c:X} ->", [hex(ord(x)) for x in lower.normalize_str(chr(c))])


if __name__ == "__main__":
    main()
