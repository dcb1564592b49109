"""The tokenizer: BPE as llama2.c reads it (`tokenizer.bin`), trained here in plain Python.

    tokenizer.py STORIES.json TOKENIZER.bin [VOCAB_SIZE]

Invariant: no piece holds a space or a newline after its first character, nor letters beside other
characters. So each word can be encoded on its own, and the result is that of llama2.c's `encode`.
"""
import collections
import json
import re
import struct
import sys

UNKNOWN, BOS, EOS, FIRST_BYTE, FIRST_PIECE = 0, 1, 2, 3, 259
WORD = re.compile(r' ?[A-Za-z]+| ?[^A-Za-z \n]+| |\n')


class Tokenizer:
    def __init__(self, pieces):
        self.pieces = pieces
        self.ids = {piece: FIRST_PIECE + i for i, piece in enumerate(pieces)}
        self._words = {}

    @property
    def size(self):
        return FIRST_PIECE + len(self.pieces)

    def encode(self, text, prefix_space=True):
        """No BOS, no EOS. `prefix_space` is llama2.c's dummy space in front of a text."""
        ids = []
        for word in WORD.findall(' ' + text if prefix_space else text):
            if word not in self._words:
                self._words[word] = self._encode_word(word)
            ids += self._words[word]
        return ids

    def _encode_word(self, word):
        parts = list(word)
        while True:
            # an earlier merge has a higher score, so the lowest id wins; of equals the leftmost
            best = min(((self.ids.get(a + b, self.size), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))),
                       default=(self.size, 0))
            if best[0] == self.size:
                break
            i = best[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        ids = []
        for part in parts:
            ids += [self.ids[part]] if part in self.ids else [FIRST_BYTE + byte for byte in part.encode()]
        return ids

    def decode(self, ids):
        out = b''
        for id in ids:
            if id >= FIRST_PIECE:
                out += self.pieces[id - FIRST_PIECE].encode()
            elif id >= FIRST_BYTE:
                out += bytes([id - FIRST_BYTE])
        return out.decode(errors='replace')

    def save(self, path):
        # names of the first three as in llama2.c's own files; byte tokens are spelled out
        names = ['<unk>', '\n<s>\n', '\n</s>\n'] + [f'<0x{byte:02X}>' for byte in range(256)]
        entries = [(name.encode(), 0.0) for name in names]
        entries += [(piece.encode(), -float(rank)) for rank, piece in enumerate(self.pieces)]
        with open(path, 'wb') as file:
            file.write(struct.pack('<i', max(len(text) for text, _ in entries)))
            for text, score in entries:
                file.write(struct.pack('<fi', score, len(text)) + text)

    @classmethod
    def load(cls, path):
        data = open(path, 'rb').read()
        at, texts = 4, []
        while at < len(data):
            length = struct.unpack_from('<fi', data, at)[1]
            texts.append(data[at + 8:at + 8 + length])
            at += 8 + length
        return cls([text.decode() for text in texts[FIRST_PIECE:]])


def train(texts, vocab_size):
    words = collections.Counter()
    for text in texts:
        words.update(WORD.findall(' ' + text))
        words.update(WORD.findall(text)[:1])  # an answer in a chat begins without the space
    # rows of [parts, count]; single characters come last, as in SentencePiece, where they cannot be merged into
    rows = [[list(word), count] for word, count in words.items() if word != '\n']
    characters = sorted({c for parts, _ in rows for c in parts})
    merged = []
    while len(merged) < vocab_size - FIRST_PIECE - len(characters):
        pairs = collections.Counter()
        for parts, count in rows:
            for pair in zip(parts, parts[1:]):
                pairs[pair] += count
        (a, b), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        merged.append(a + b)
        for row in rows:
            parts = row[0]
            if a in parts:
                i = 0
                while i < len(parts) - 1:
                    if parts[i] == a and parts[i + 1] == b:
                        parts[i:i + 2] = [a + b]
                    i += 1
        rows = [row for row in rows if len(row[0]) > 1]
    return Tokenizer(list(dict.fromkeys(merged)) + characters)


def main(stories, out, vocab_size='2048'):
    tokenizer = train(json.load(open(stories))['train'], int(vocab_size))
    tokenizer.save(out)
    text = ''.join(json.load(open(stories))['held_out'])
    ids = tokenizer.encode(text, prefix_space=False)
    assert tokenizer.decode(ids) == text and Tokenizer.load(out).pieces == tokenizer.pieces
    print(f'{tokenizer.size} tokens, {len(text) / len(ids):.2f} bytes per token on held-out text')


if __name__ == '__main__':
    main(*sys.argv[1:])
