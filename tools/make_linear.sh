#!/bin/bash
# make_linear.sh PARE DATA OUT: makes the shipped linear classifiers, three of 8 bits and three of 32, with `pare train`. PARE is build/pare, by its
# absolute path. DATA holds sms_spam_train.csv, clinc150_train.csv and sst2_train.csv (text,label; see the cards in
# models/ for where they come from). The same data give the same bytes, on any machine.
set -eu
pare=$1
out=$(realpath -m "$3")
mkdir -p "$out"
cd "$2" # so that pare.json holds names without a path
one() {
  local name=$1
  shift
  "$pare" train "$@" -o "$name"
  mkdir -p "$out/$name"
  cp "$name"/* "$out/$name"
  rm -r "$name"
}
# The options are those that tools/choose_linear.py finds on held-out texts; docs/models/linear.md has its command.
one spam-linear --data sms_spam_train.csv --c 10 --max-bytes 5000 --precision 8
one sentiment-linear --data sst2_train.csv --c 1 --bits 18 --max-bytes 20000 --precision 8
one intent-linear --data clinc150_train.csv --c 30 --bits 18 --max-bytes 200000 --precision 8
# The originals that the study of linear models quantizes.
one spam-linear-f32 --data sms_spam_train.csv --c 10 --max-bytes 12000 --precision 32
one sentiment-linear-f32 --data sst2_train.csv --c 1 --bits 18 --max-bytes 40000 --precision 32
one intent-linear-f32 --data clinc150_train.csv --c 30 --bits 18 --max-bytes 450000 --precision 32
