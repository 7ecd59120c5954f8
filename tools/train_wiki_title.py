#!/usr/bin/env python3
"""Trains models/wiki-title-bart: the lead of an encyclopedia article -> its title (a small BART from scratch, on a CPU).

    train_wiki_title.py train  --data DIR --work DIR [--minutes 60] [--threads 2]     resumes from WORK/state.pt
    train_wiki_title.py export --data DIR --work DIR -o MODEL_DIR [--test-out FILE]   F16 weights, figures on the test articles

DIR holds train_11m.txt, valid.txt and test.txt: articles of English Wikipedia, each headed ` = Title = ` (CC BY-SA 3.0).

The skill such a model needs is to copy the right words, so three kinds of example are mixed, all from the training articles:
  pairs      the start of an article -> its title;
  late       the article read from a later sentence that names the title -> the title;
  subjects   any sentence that opens with a capitalised span before a verb or a bracket -> that span.
Names (words never written in lower case elsewhere) and numbers of the target are often replaced, in text and target alike, by
others drawn from the corpus: the answer is then only to be had by copying. Valid and test articles are never altered.
"""
import argparse, collections, json, math, os, random, re, time
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BartConfig, BartForConditionalGeneration, GenerationConfig
from rouge_score import rouge_scorer

SRC, TGT, VOCAB = 48, 20, 6144
BOS, PAD, EOS, UNK, MASK = range(5)
SMALL = {'of', 'the', 'and', 'de', 'in', 'at', 'for', 'von', 'van', 'der', 'la', 'del', 'on', 'to', 'a', 'y', 'du', 'al', 'di', '&'}
VERB = re.compile(r' (?:is|was|are|were|has|had|became|refers|served|played|began|opened|won)\b|,? \(|, (?:also|born|formerly|known|or|a|an|the) ')
DULL = {'He', 'She', 'It', 'They', 'This', 'These', 'There', 'His', 'Her', 'Its', 'Their', 'In', 'On', 'At', 'After', 'As', 'By', 'For',
        'From', 'When', 'While', 'During', 'Following', 'Since', 'Although', 'However', 'Some', 'Many', 'Other', 'That', 'Both', 'One'}


def articles(path):
    parts = re.split(r'(?m)^ = (.+?) = *$', open(path, encoding='utf8').read())
    return [(parts[i].strip(), re.sub(r'\s+', ' ', parts[i + 1]).strip()) for i in range(1, len(parts) - 1, 2)]


def lead(body, chars=420):
    """The first words of a text, cut at a blank: more than SRC tokens ever need."""
    return body if len(body) <= chars else body[:chars].rsplit(' ', 1)[0]


def sentences(body):
    return re.split(r'(?<=[.!?]) (?=[A-Z"])', body)


class Corpus:
    """Training examples with replaced names; see the top of the file."""

    def __init__(self, arts, seed):
        self.rng = random.Random(seed)
        low = collections.Counter(w for _, b in arts for w in re.findall(r'\b[a-z]{2,}\b', b))
        caps = collections.Counter(w for _, b in arts for w in re.findall(r'\b[A-ZÀ-Þ][\w]{2,}\b', b))
        self.name = {w for w in caps if low[w.lower()] < 3}
        self.pool = sorted(w for w in self.name if w.isalpha() and not w.isupper())
        self.pairs, self.late, self.subj = [], [], []
        for title, body in arts:
            self.pairs.append((lead(body), title))
            sents = sentences(body)
            core = re.sub(r' \(.*\)$', '', title)
            for k, s in enumerate(sents):
                if 0 < k and core in s and s.find(core) < 60:
                    self.late.append((lead(' '.join(sents[k:k + 3])), title))
                sub = self.subject(s)
                if sub:
                    self.subj.append((lead(' '.join(sents[k:k + (2 if k % 3 == 0 else 1)])), sub))
        print(f'pairs {len(self.pairs)} late {len(self.late)} subjects {len(self.subj)} names {len(self.pool)}', flush=True)

    @staticmethod
    def subject(s):
        m = VERB.search(s)
        if not m or not 2 < m.start() < 70:
            return None
        words = s[:m.start()].split()
        if words[0] in DULL or len(words) > 9:
            return None
        if words[0] in ('The', 'A', 'An'):
            words = words[1:]
        if not words or not all(w[0].isupper() or w[0].isdigit() or w in SMALL for w in words):
            return None
        return ' '.join(words) if len(words) > 1 or words[0] not in DULL else None

    def replace(self, text, target, p):
        rng = self.rng
        swap = {}
        for w in set(re.findall(r'\w+', target)):
            if rng.random() < p:
                if w in self.name:
                    swap[w] = rng.choice(self.pool)
                elif w.isdigit() and rng.random() < 0.5:
                    swap[w] = str(rng.randrange(10 ** (len(w) - 1), 10 ** len(w)))
        if not swap:
            return text, target
        pat = re.compile(r'\b(' + '|'.join(map(re.escape, swap)) + r')\b')
        put = lambda m: swap[m.group(1)]
        return pat.sub(put, text), pat.sub(put, target)

    def draw(self, progress):
        """progress 0..1: from copying towards titles."""
        rng = self.rng
        u = rng.random()
        pairs = 0.25 + 0.35 * progress
        if u < pairs:
            text, target = rng.choice(self.pairs)
            p = 0.0 if rng.random() < 0.25 else 0.7
        elif u < pairs + 0.15:
            text, target = rng.choice(self.late)
            p = 0.6
        else:
            text, target = rng.choice(self.subj)
            p = 0.6
        return self.replace(text, target, p)


def make_tokenizer(path, arts):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator((t + ' ' + b for t, b in arts), trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=['<s>', '<pad>', '</s>', '<unk>', '<mask>'], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tok.post_processor = processors.RobertaProcessing(('</s>', EOS), ('<s>', BOS), trim_offsets=True, add_prefix_space=True)
    tok.save(path)


def config():
    return BartConfig(vocab_size=VOCAB, max_position_embeddings=SRC, d_model=256, encoder_layers=2, decoder_layers=2,
                      encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=768, decoder_ffn_dim=768,
                      dropout=0.1, attention_dropout=0.0, activation_dropout=0.0, activation_function='gelu', init_std=0.02,
                      bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=EOS, forced_eos_token_id=EOS,
                      is_encoder_decoder=True, scale_embedding=False, tie_word_embeddings=True)


def encode(tok, texts, n):
    """Rows of ids, cut to n with </s> kept last, padded to the longest."""
    rows = [e.ids if len(e.ids) <= n else e.ids[:n - 1] + [EOS] for e in tok.encode_batch(texts)]
    width = max(map(len, rows))
    ids = torch.tensor([r + [PAD] * (width - len(r)) for r in rows])
    return ids, (ids != PAD).long()


def loss_of(model, tok, batch, smoothing):
    src, mask = encode(tok, [t for t, _ in batch], SRC)
    tgt, _ = encode(tok, [t for _, t in batch], TGT)
    dec = torch.cat([torch.full((len(batch), 1), EOS), tgt[:, :-1]], 1)
    hidden = model.model(input_ids=src, attention_mask=mask, decoder_input_ids=dec).last_hidden_state
    keep = tgt != PAD                         # <s> is a target too: BART's decoder starts </s> <s> ...
    logits = hidden[keep] @ model.model.shared.weight.T + model.final_logits_bias
    return torch.nn.functional.cross_entropy(logits.float(), tgt[keep], label_smoothing=smoothing)


@torch.no_grad()
def answers(model, tok, texts, **options):
    model.eval()
    out = []
    for i in range(0, len(texts), 50):
        src, mask = encode(tok, texts[i:i + 50], SRC)
        ids = model.generate(input_ids=src, attention_mask=mask, **options)
        out += [tok.decode(r.tolist(), skip_special_tokens=True).strip() for r in ids]
    model.train()
    return out


SCORER = rouge_scorer.RougeScorer(['rouge1', 'rouge2', 'rougeL'], use_stemmer=False)


def rouge(refs, outs, kind='rougeL'):
    return [SCORER.score(r, o)[kind].fmeasure for r, o in zip(refs, outs)]


def cut(text, like):
    return ' '.join(text.split()[:len(like.split())])


def mean(x):
    return sum(x) / len(x)


def report(arts, outs, label):
    refs = [t for t, _ in arts]
    m = mean(rouge(refs, outs))
    b = mean(rouge(refs, [cut(body, o) for o, (_, body) in zip(outs, arts)]))
    r = mean(rouge(refs, [cut(body, t) for t, body in arts]))
    print(f'{label} rougeL {m:.4f} lead@output {b:.4f} lead@reference {r:.4f} exact {mean([a == o for a, o in zip(refs, outs)]):.3f}', flush=True)
    return m


def train(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    os.makedirs(args.work, exist_ok=True)
    arts, valid = articles(f'{args.data}/train_11m.txt')[:-1], articles(f'{args.data}/valid.txt')   # the last article is cut off
    tpath = f'{args.work}/tokenizer.json'
    if not os.path.exists(tpath):
        make_tokenizer(tpath, arts)
    tok = Tokenizer.from_file(tpath)
    model = BartForConditionalGeneration(config())
    print(f'parameters {sum(p.numel() for p in model.parameters())}', flush=True)
    ema = {k: v.detach().clone() for k, v in model.state_dict().items() if v.is_floating_point()}
    opt = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01)
    spent, step, best = 0.0, 0, 0.0
    state = f'{args.work}/state.pt'
    if os.path.exists(state):
        s = torch.load(state, weights_only=False)
        model.load_state_dict(s['model']); opt.load_state_dict(s['opt'])
        ema, spent, step, best = s['ema'], s['spent'], s['step'], s['best']
    corpus = Corpus(arts, 100 + step)
    begun, shown, run, saved = time.time(), time.time(), [], time.time()
    model.train()
    while True:
        progress = (spent + time.time() - begun) / (60 * args.minutes)
        if progress >= 1:
            break
        lr = args.lr * min((step + 1) / 400, 1) * min(1, 1.15 * (1 - progress) + 0.02)
        for g in opt.param_groups:
            g['lr'] = lr
        pool = sorted((corpus.draw(progress) for _ in range(args.batch * 4)), key=lambda x: len(x[0]))
        groups = [pool[i::1][:args.batch] for i in range(0, len(pool), args.batch)]
        random.shuffle(groups)
        for batch in groups:
            with torch.autocast('cpu', torch.bfloat16, enabled=args.bf16):
                loss = loss_of(model, tok, batch, 0.1)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            step += 1
            run.append(loss.item())
            decay = min(0.998, step / (step + 20))
            with torch.no_grad():
                for k, v in model.state_dict().items():
                    if k in ema:
                        ema[k].lerp_(v, 1 - decay)
        if len(run) >= 100:
            print(f'step {step} loss {mean(run):.3f} lr {lr:.2e} progress {progress:.3f} {(time.time() - shown) / len(run):.3f} s/step', flush=True)
            run, shown = [], time.time()
        if time.time() - saved > 60 * args.save_minutes:
            best = checkpoint(args, model, opt, ema, tok, valid, spent + time.time() - begun, step, best)
            saved = shown = time.time()
    checkpoint(args, model, opt, ema, tok, valid, spent + time.time() - begun, step, best)


def checkpoint(args, model, opt, ema, tok, valid, spent, step, best):
    live = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict({**live, **ema})
    outs = answers(model, tok, [lead(b) for _, b in valid], num_beams=1, max_length=TGT)
    m = report(valid, outs, f'valid step {step} ({spent / 60:.1f} min)')
    for o, (t, _) in list(zip(outs, valid))[:8]:
        print('   ', t, '<-', o, flush=True)
    if m >= best:
        best = m
        torch.save({k: v.half() for k, v in model.state_dict().items()}, f'{args.work}/best.tmp')
        os.replace(f'{args.work}/best.tmp', f'{args.work}/best.pt')
    model.load_state_dict(live)
    torch.save({'model': live, 'opt': opt.state_dict(), 'ema': ema, 'spent': spent, 'step': step, 'best': best}, f'{args.work}/state.tmp')
    os.replace(f'{args.work}/state.tmp', f'{args.work}/state.pt')
    return best


def interval(diff, seed=7, rounds=2000):
    rng = random.Random(seed)
    n = len(diff)
    m = sorted(mean(rng.choices(diff, k=n)) for _ in range(rounds))
    return m[int(0.025 * rounds)], m[int(0.975 * rounds)]


def export(args):
    torch.set_num_threads(args.threads)
    tok = Tokenizer.from_file(f'{args.work}/tokenizer.json')
    model = BartForConditionalGeneration(config())
    model.load_state_dict(torch.load(f'{args.work}/best.pt'))
    model.tie_weights()
    model.generation_config = GenerationConfig(
        num_beams=4, max_length=TGT, min_length=3, no_repeat_ngram_size=3, length_penalty=1.0, early_stopping=True,
        bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=EOS, forced_eos_token_id=EOS)
    model.half().save_pretrained(args.output)
    model.float()                                          # the figures are of the rounded weights
    tok.save(f'{args.output}/tokenizer.json')
    with open(f'{args.output}/tokenizer_config.json', 'w') as f:
        json.dump({'tokenizer_class': 'BartTokenizer', 'model_max_length': SRC, 'add_prefix_space': True, 'bos_token': '<s>', 'cls_token': '<s>',
                   'eos_token': '</s>', 'sep_token': '</s>', 'pad_token': '<pad>', 'unk_token': '<unk>', 'mask_token': '<mask>'}, f, indent=2)
    arts = articles(f'{args.data}/test.txt')
    if args.test_out:
        with open(args.test_out, 'w', encoding='utf8') as f:
            for t, b in arts:
                f.write(json.dumps({'text': lead(b), 'summary': t}, ensure_ascii=False) + '\n')
    figures(arts, answers(model, tok, [lead(b) for _, b in arts]))


def figures(arts, outs):
    refs = [t for t, _ in arts]
    report(arts, outs, 'test')
    own, base = rouge(refs, outs), rouge(refs, [cut(b, o) for o, (_, b) in zip(outs, arts)])
    at_ref = rouge(refs, [cut(b, t) for t, b in arts])
    for label, other in (('lead cut to the output', base), ('lead cut to the reference', at_ref)):
        d = [x - y for x, y in zip(own, other)]
        lo, hi = interval(d)
        print(f'  minus {label}: {mean(d):+.4f}  95% interval [{lo:+.4f}, {hi:+.4f}]')
    print('  rouge1', round(mean(rouge(refs, outs, 'rouge1')), 4), 'rouge2', round(mean(rouge(refs, outs, 'rouge2')), 4),
          'length ratio', round(mean([len(o.split()) / len(t.split()) for o, t in zip(outs, refs)]), 3))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('mode', choices=['train', 'export'])
    p.add_argument('--data', required=True)
    p.add_argument('--work', required=True)
    p.add_argument('-o', '--output')
    p.add_argument('--test-out')
    p.add_argument('--minutes', type=float, default=60)
    p.add_argument('--save-minutes', type=float, default=4)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--batch', type=int, default=64)
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--bf16', action='store_true')
    args = p.parse_args()
    export(args) if args.mode == 'export' else train(args)


if __name__ == '__main__':
    main()
