"""Writes a checkpoint as llama2.c reads it, and golden tokens to check a converted model against.

    export.py CHECKPOINT.pt TOKENIZER.bin OUT_DIR
        -> model.bin (v0, fp32), tokenizer.bin, chat_template.jinja, golden.json
"""
import json
import os
import shutil
import struct
import sys

import torch

from model import Model, Shape
from tokenizer import BOS, EOS, Tokenizer

PROMPT = 'Once upon a time'
CHAT_PROMPT = 'Ask: Tell me a story about a dog and a ball.\nStory:\n'


def load(checkpoint):
    saved = torch.load(checkpoint)
    model = Model(Shape(**saved['shape']))
    model.load_state_dict(saved['weights'])
    return model.eval(), saved['record']


def write_llama2c(model, path):
    s, layers = model.shape, model.layers
    each = lambda name: [getattr(layer, name).weight for layer in layers]
    tensors = [model.tok_emb.weight, *each('rms_att'), *each('wq'), *each('wk'), *each('wv'), *each('wo'),
               *each('rms_ffn'), *each('w1'), *each('w2'), *each('w3'), model.rms_final.weight, model.cos, model.sin]
    with open(path, 'wb') as file:
        # a positive vocabulary size says that the output shares the embedding
        header = (s.dim, s.hidden_dim, s.num_layers, s.num_heads, s.num_kv_heads, s.vocab_size, s.context)
        file.write(struct.pack('<7i', *header))
        for tensor in tensors:
            file.write(tensor.detach().contiguous().numpy().astype('<f4').tobytes())


@torch.no_grad()
def generate(model, prompt_ids, num_tokens, temperature=0.0, stop=None):
    """Greedy at temperature 0. Without a cache: slow, and nothing to get wrong."""
    ids = list(prompt_ids)
    for _ in range(min(num_tokens, model.shape.context - len(ids))):
        logits = model(torch.tensor([ids]))[0, -1]
        if temperature:
            ids.append(torch.multinomial(torch.softmax(logits / temperature, -1), 1).item())
        else:
            ids.append(logits.argmax().item())
        if ids[-1] == stop:
            break
    return ids[len(prompt_ids):]


def golden(model, tokenizer, prompt):
    """64 greedy tokens, past EOS if it comes: a converted model must give the same."""
    ids = [BOS] + tokenizer.encode(prompt)
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0, -1]
    greedy = generate(model, ids, 64)
    return {'prompt': prompt, 'prompt_ids': ids, 'greedy_ids': greedy, 'greedy_text': tokenizer.decode(greedy),
            'first_logits': [round(value, 5) for value in logits.tolist()]}


def main(checkpoint, tokenizer_path, out_dir):
    os.makedirs(out_dir, exist_ok=True)
    model, record = load(checkpoint)
    tokenizer = Tokenizer.load(tokenizer_path)
    write_llama2c(model, f'{out_dir}/model.bin')
    shutil.copy(tokenizer_path, f'{out_dir}/tokenizer.bin')
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'chat_template.jinja'), out_dir)
    with open(f'{out_dir}/golden.json', 'w') as file:
        json.dump({**golden(model, tokenizer, PROMPT), 'chat': golden(model, tokenizer, CHAT_PROMPT)}, file)
    print(json.dumps(record), os.path.getsize(f'{out_dir}/model.bin'), 'bytes')


if __name__ == '__main__':
    main(*sys.argv[1:])
