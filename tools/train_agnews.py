"""Trains a small GPT-2 on AG News from scratch, language modelling and topic classification together, with its own
byte-level BPE of 8,192 tokens. Usage: train_agnews.py DATA OUT MINUTES

Reads DATA/ag_news/{train_full,test}.csv (columns text, label) and DATA/wikipedia/train_11m.txt. Writes OUT/agnews-gpt2
(GPT2ForSequenceClassification), OUT/news-gpt2 (GPT2LMHeadModel, the same trunk) and OUT/tok (the vocabulary).
models/agnews-gpt2 is the result of 25 minutes on 2 CPU cores.
"""
import csv
import os
import random
import sys
import time

import torch
from tokenizers import ByteLevelBPETokenizer
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel, GPT2TokenizerFast

LABELS = ["World", "Sports", "Business", "Sci/Tech"]
END = "<|endoftext|>"
VOCABULARY = 8192
MAX_TOKENS = 128        # a news text is cut here for training
BATCH = 48
WIKI_CHARACTERS = 6_000_000
WIKI_BATCH, WIKI_EVERY = 12, 3
PEAK_RATE, WARMUP_STEPS = 1.2e-3, 150


def read_rows(path):
    with open(path, newline="") as f:
        return [(row["text"], LABELS.index(row["label"])) for row in csv.DictReader(f)]


def train_tokenizer(texts, folder):
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(texts, vocab_size=VOCABULARY, special_tokens=[END], min_frequency=3)
    os.makedirs(folder, exist_ok=True)
    trainer.save_model(folder)
    return GPT2TokenizerFast(f"{folder}/vocab.json", f"{folder}/merges.txt", unk_token=END, bos_token=END,
                             eos_token=END, pad_token=END, model_max_length=256)


def pad(sequences, value):
    rows = pad_sequence([torch.tensor(ids) for ids in sequences], batch_first=True, padding_value=value)
    return rows, torch.tensor([len(ids) for ids in sequences])


class NewsModel:
    """A GPT-2 language model with a classification head on the hidden state of the last token."""

    def __init__(self, end):
        self.end = end
        self.settings = dict(vocab_size=VOCABULARY, n_positions=256, n_embd=256, n_layer=4, n_head=4, bos_token_id=end,
                             eos_token_id=end, pad_token_id=end, attn_pdrop=0.1, embd_pdrop=0.1, resid_pdrop=0.1)
        self.language = GPT2LMHeadModel(GPT2Config(**self.settings))
        self.head = torch.nn.Linear(256, len(LABELS), bias=False)
        torch.nn.init.normal_(self.head.weight, std=0.02)

    def parameters(self):
        return list(self.language.parameters()) + list(self.head.parameters())

    def last_hidden(self, hidden, lengths):
        return hidden[torch.arange(len(lengths)), lengths - 1]

    def losses(self, sequences, labels):
        """Cross entropy of the topics (label smoothing 0.05) and of the next tokens inside each text."""
        rows, lengths = pad(sequences, self.end)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.language.transformer(rows).last_hidden_state
            next_tokens = self.language.lm_head(hidden[:, :-1])
            topics = self.head(self.last_hidden(hidden, lengths))
        targets = rows[:, 1:].clone()
        targets[torch.arange(targets.shape[1])[None] >= (lengths - 1)[:, None]] = -100
        language_loss = cross_entropy(next_tokens.float().flatten(0, 1), targets.flatten(), ignore_index=-100)
        topic_loss = cross_entropy(topics.float(), torch.tensor(labels), label_smoothing=0.05)
        return topic_loss, language_loss, int(lengths.sum())

    def wiki_loss(self, ids):
        starts = [random.randrange(len(ids) - MAX_TOKENS - 1) for _ in range(WIKI_BATCH)]
        rows = torch.tensor([ids[i:i + MAX_TOKENS] for i in starts])
        with torch.autocast("cpu", torch.bfloat16):
            return self.language(rows, labels=rows).loss.float()

    def accuracy(self, sequences, labels):
        self.language.eval()
        order, correct = sorted(range(len(labels)), key=lambda i: len(sequences[i])), 0
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(order), 100):
                part = order[start:start + 100]
                rows, lengths = pad([sequences[i] for i in part], self.end)
                hidden = self.language.transformer(rows).last_hidden_state
                answers = self.head(self.last_hidden(hidden, lengths)).argmax(-1)
                correct += (answers == torch.tensor([labels[i] for i in part])).sum().item()
        self.language.train()
        return correct / len(labels)

    def save(self, out, tokenizer):
        self.language.save_pretrained(f"{out}/news-gpt2")
        tokenizer.save_pretrained(f"{out}/news-gpt2")
        config = GPT2Config(**self.settings, num_labels=len(LABELS), id2label=dict(enumerate(LABELS)),
                            label2id={name: i for i, name in enumerate(LABELS)})
        classifier = GPT2ForSequenceClassification(config)
        classifier.transformer.load_state_dict(self.language.transformer.state_dict())
        classifier.score.weight.data = self.head.weight.data.clone()
        classifier.save_pretrained(f"{out}/agnews-gpt2")
        tokenizer.save_pretrained(f"{out}/agnews-gpt2")


def length_batches(sequences):
    """Batches of texts of similar length."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]) + random.random() * 8)
    return [order[i:i + BATCH] for i in range(0, len(order), BATCH)]


def learning_rate(step, done):
    return PEAK_RATE * min(1, (step + 1) / WARMUP_STEPS) * max(0.02, 1 - done)


def fit(model, train, test, wiki_ids, minutes, save):
    """train, test: (sequences, labels). The schedule follows the clock, so it ends where the time does."""
    sequences, labels = train
    optimizer = torch.optim.AdamW(model.parameters(), lr=0, weight_decay=0.05, betas=(0.9, 0.98))
    batches = length_batches(sequences)
    start, step, seen, topic_average, language_average = time.time(), 0, 0, 0.0, 0.0
    model.language.train()
    while time.time() - start < minutes * 60:
        random.shuffle(batches)
        for batch in batches:
            done = (time.time() - start) / (minutes * 60)
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, done)
            topic, language, tokens = model.losses([sequences[i] for i in batch], [labels[i] for i in batch])
            loss = topic + 0.5 * language
            if step % WIKI_EVERY == 0:
                loss = loss + 0.5 * model.wiki_loss(wiki_ids)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step, seen = step + 1, seen + tokens
            topic_average = 0.98 * topic_average + 0.02 * topic.item()
            language_average = 0.98 * language_average + 0.02 * language.item()
            if step % 100 == 0:
                weight = 1 - 0.98 ** step
                print(f"{step} {done:.2f} topic {topic_average / weight:.3f} language {language_average / weight:.3f} "
                      f"{seen / (time.time() - start):.0f} tokens/s", flush=True)
            if step % 600 == 0:
                print("test", model.accuracy(test[0][:1500], test[1][:1500]), flush=True)
                save()


def main():
    data, out, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3])
    random.seed(2)
    torch.manual_seed(2)
    torch.set_num_threads(2)
    train, test = read_rows(f"{data}/ag_news/train_full.csv"), read_rows(f"{data}/ag_news/test.csv")
    with open(f"{data}/wikipedia/train_11m.txt") as f:
        wiki = f.read()
    tokenizer = train_tokenizer([text for text, _ in train] + wiki.split("\n"), f"{out}/tok")
    model = NewsModel(tokenizer.convert_tokens_to_ids(END))

    def encode(rows):
        return [tokenizer(text)["input_ids"][:MAX_TOKENS] for text, _ in rows], [label for _, label in rows]

    train, test = encode(train), encode(test)
    wiki_ids = tokenizer(wiki[:WIKI_CHARACTERS])["input_ids"]
    print(len(train[0]), "rows", sum(map(len, train[0])), "tokens; wiki", len(wiki_ids), flush=True)
    fit(model, train, test, wiki_ids, minutes, lambda: model.save(out, tokenizer))
    print("final test", model.accuracy(*test))
    model.save(out, tokenizer)


if __name__ == "__main__":
    main()
