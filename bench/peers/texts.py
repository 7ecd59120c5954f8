#!/usr/bin/env python3
"""The first 32 texts of a CSV file, and their ids cut to 128: WORK/texts.csv for pare, WORK/texts.ids.json for its peers.
Usage: texts.py FILE.csv TOKENIZER-DIR WORK
"""
import csv
import json
import os
import sys

from tokenizers import Tokenizer

COUNT, LONGEST = 32, 128


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, folder, work = sys.argv[1:]
    with open(source, newline="", encoding="utf-8") as f:
        texts = [row["text"] for row, _ in zip(csv.DictReader(f), range(COUNT))]
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    with open(os.path.join(work, "texts.ids.json"), "w") as f:
        json.dump([tokenizer.encode(text).ids for text in texts], f)
    with open(os.path.join(work, "texts.csv"), "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f)
        out.writerow(["text"])
        out.writerows([text] for text in texts)


if __name__ == "__main__":
    main()
