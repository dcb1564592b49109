"""Held-out loss of a checkpoint, per token and per byte, so that models with other tokenizers can be compared.

    score.py CHECKPOINT.pt DATA_DIR
"""
import json
import math
import sys

from export import load
from tokenizer import Tokenizer
from train import evaluate, held_out_sets


def main(checkpoint, data_dir):
    model, record = load(checkpoint)
    data, tokenizer = json.load(open(f'{data_dir}/stories.json')), Tokenizer.load(f'{data_dir}/tokenizer.bin')
    context = model.shape.context
    sets = held_out_sets(data['held_out'], data['nouns'], tokenizer, context)
    # EOS is scored as one token of no bytes; the ends of the few stories past the context are not scored
    scored = [tokenizer.decode(tokenizer.encode(story)[:context]) for story in data['held_out']]
    num_bytes = {'plain': sum(len(text) - 1 for text in scored)}  # without the dummy space
    for name, loss in evaluate(model, sets).items():
        num_tokens = sum((labels != -100).sum().item() for _, labels in sets[name])
        bits = f', {loss * num_tokens / math.log(2) / num_bytes[name]:.4f} bits per byte' if name in num_bytes else ''
        print(f'{name}: {loss:.4f} nats per token over {num_tokens} tokens{bits}')
    print(json.dumps(record))


if __name__ == '__main__':
    main(*sys.argv[1:])
