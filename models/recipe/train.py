"""Trains one version and keeps the checkpoint with the lowest held-out loss.

    train.py VERSION DATA_DIR OUT_DIR [--minutes M | --steps N] [--start CHECKPOINT.pt --rate R]

With --minutes the learning rate falls with the clock: the run uses the time it is given on any machine,
and its number of steps is in the log. --steps repeats a run of a known length.
"""
import argparse
import json
import math
import os
import random
import time

import torch
import torch.nn.functional as F

from documents import Requests, answer, epoch, plain
from model import Model, Shape
from tokenizer import Tokenizer

VERSIONS = {
    '1': dict(shape=dict(dim=128, hidden_dim=384, num_layers=4, num_heads=4, num_kv_heads=2), rate=3e-3, dropout=0.1),
    '2': dict(shape=dict(dim=256, hidden_dim=640, num_layers=4, num_heads=8, num_kv_heads=4), rate=2e-3, dropout=0.2),
}
BATCH_TOKENS = 4096
WEIGHT_DECAY = 0.1


def batches(documents, batch_tokens=BATCH_TOKENS):
    """Documents of like length together: little padding, and no document sees another."""
    documents = sorted(documents, key=lambda document: len(document[0]))
    batch = []
    for document in documents:
        if batch and len(document[0]) * (len(batch) + 1) > batch_tokens:
            yield padded(batch)
            batch = []
        batch.append(document)
    yield padded(batch)


def padded(documents):
    length = max(len(ids) for ids, _ in documents)
    ids = torch.zeros(len(documents), length, dtype=torch.long)
    labels = torch.full((len(documents), length), -100)
    for row, (i, l) in enumerate(documents):
        ids[row, :len(i)], labels[row, :len(l)] = torch.tensor(i), torch.tensor(l)
    return ids[:, :-1], labels[:, 1:]


def loss_sum(model, ids, labels):
    logits = model(ids)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction='sum')


def held_out_sets(stories, nouns, tokenizer, context):
    """Each held-out story once plain and once as an answer, with a request that never changes."""
    fixed, requests = random.Random(0), Requests(nouns)
    both = {'plain': [plain(story, tokenizer) for story in stories],
            'answer': [answer(requests.ask(story, fixed), story, tokenizer) for story in stories]}
    cut = lambda ids, given: (ids[:context + 1], ([-100] * given + ids[given:])[:context + 1])
    return {name: list(batches([cut(*document) for document in documents])) for name, documents in both.items()}


@torch.no_grad()
def evaluate(model, sets):
    """Mean loss in nats per token, the closing EOS counted as a token."""
    model.eval()
    result = {}
    for name, data in sets.items():
        count = sum((labels != -100).sum().item() for _, labels in data)
        result[name] = sum(loss_sum(model, ids, labels).item() for ids, labels in data) / count
    model.train()
    return result


def optimizer_of(model):
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() != 2]
    groups = [{'params': matrices, 'weight_decay': WEIGHT_DECAY}, {'params': vectors, 'weight_decay': 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.97))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('version', choices=VERSIONS)
    parser.add_argument('data')
    parser.add_argument('out')
    parser.add_argument('--minutes', type=float, default=45)
    parser.add_argument('--steps', type=int)
    parser.add_argument('--start', help='weights to go on from, with a fresh optimizer')
    parser.add_argument('--rate', type=float, help='peak learning rate, instead of that of the version')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--eval-every', type=int, default=200)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seed = 2 if args.start else 1  # a run that goes on must not draw the same epochs again
    torch.manual_seed(seed)
    draw = random.Random(seed)
    os.makedirs(args.out, exist_ok=True)

    version = VERSIONS[args.version]
    data = json.load(open(f'{args.data}/stories.json'))
    tokenizer = Tokenizer.load(f'{args.data}/tokenizer.bin')
    shape = Shape(vocab_size=tokenizer.size, **version['shape'])
    model = Model(shape, version['dropout'])
    if args.start:
        model.load_state_dict(torch.load(args.start)['weights'])
    peak = args.rate or version['rate']
    optimizer = optimizer_of(model)
    sets = held_out_sets(data['held_out'], data['nouns'], tokenizer, shape.context)
    print(f'{sum(weight.numel() for weight in model.parameters())} parameters', flush=True)

    begin, step, tokens, epochs, best, recent = time.time(), 0, 0, 0, math.inf, []

    def progress():
        return step / args.steps if args.steps else (time.time() - begin) / 60 / args.minutes

    def checkpoint():
        nonlocal best
        losses = evaluate(model, sets)
        mean = sum(losses.values()) / len(losses)
        record = dict(step=step, epochs=epochs, tokens=tokens, minutes=round((time.time() - begin) / 60, 2),
                      train=sum(recent) / max(1, len(recent)), **losses)
        if mean < best:
            best = mean
            # written aside and moved: a run cut here still leaves a whole file
            saved = {'shape': vars(shape), 'weights': model.state_dict(), 'record': record}
            torch.save(saved, f'{args.out}/checkpoint.new')
            os.replace(f'{args.out}/checkpoint.new', f'{args.out}/checkpoint.pt')
        print(json.dumps({**record, 'best': mean == best}), flush=True)
        recent.clear()

    model.train()
    while progress() < 1:
        epochs += 1
        order = list(batches(epoch(data['train'], data['nouns'], tokenizer, draw, shape.context)))
        draw.shuffle(order)
        for ids, labels in order:
            if progress() >= 1:
                break
            fall = (1 + math.cos(math.pi * min(1.0, progress()))) / 2
            rate = peak * min(1.0, (step + 1) / 100) * (0.01 + 0.99 * fall)
            for group in optimizer.param_groups:
                group['lr'] = rate
            count = (labels != -100).sum().item()
            loss = loss_sum(model, ids, labels) / count
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step, tokens = step + 1, tokens + count
            recent.append(loss.item())
            if step % args.eval_every == 0:
                checkpoint()
    checkpoint()


if __name__ == '__main__':
    main()
