"""Prints stories of a checkpoint, unedited: the samples of the model card.

    sample.py CHECKPOINT.pt TOKENIZER.bin [TEMPERATURE] [SEED] [REQUEST...]
"""
import sys

import torch

from export import generate, load
from tokenizer import BOS, EOS, Tokenizer

REQUESTS = (
    'Tell me a story about a dog and a ball.',
    'a story about Lily and a red kite',
    'Write a story about a bear and Tom.',
)


def main(checkpoint, tokenizer_path, temperature='0.8', seed='1', *requests):
    torch.manual_seed(int(seed))
    model, tokenizer = load(checkpoint)[0], Tokenizer.load(tokenizer_path)
    prompts = [f'Ask: {request}\nStory:\n' for request in requests or REQUESTS]
    for prompt in prompts if requests else ['Once upon a time', *prompts]:
        ids = generate(model, [BOS] + tokenizer.encode(prompt), 400, float(temperature), EOS)
        ended = ids[-1] == EOS
        print(f'{prompt}{tokenizer.decode(ids[:-1] if ended else ids)}{"" if ended else " [cut]"}\n---')


if __name__ == '__main__':
    main(*sys.argv[1:])
