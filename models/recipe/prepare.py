"""Cuts the corpus into clean stories, holds some out, and collects the words that requests are made of.

    prepare.py CORPUS.txt OUT_DIR   ->  OUT_DIR/stories.json
"""
import collections
import hashlib
import json
import re
import sys

# true of too many stories to ask for, or no nouns
NOT_TOPICS = set('''
    answer anymore arms back best big bit bottom bright chance change cold dad daddy dark day end
    experience eyes face family father first fun ground hand hands happy head lesson lime little lot
    middle might mom moment mommy most mother mouth new next nice old other own rest same see shiny
    side small square sudden things time too top truth try way while wild
'''.split())
SEPARATOR = '<|endoftext|>'
PLAIN = str.maketrans({
    '“': '"', '”': '"', '’': "'", '‘': "'", '–': '-', '—': '-', '…': '...', '\u00a0': ' ',
})


def clean(story):
    story = story.translate(PLAIN)
    lines = (' '.join(line.split()) for line in story.splitlines())
    return '\n'.join(line for line in lines if line)


def usable(story):
    """Drops fragments, and stories whose quotes were broken by a wrong encoding upstream."""
    return story.isascii() and len(story) > 100 and story[-1] in '.!?"'


def held_out(story):
    """By hash of the text, so that the split does not move when the corpus or the order changes."""
    return hashlib.sha256(story.encode()).digest()[0] < 13  # 13 of 256: about 5 %


def nouns(stories):
    """A word between a determiner and a full stop is nearly always a noun: no tagger is needed."""
    found = collections.Counter()
    for story in stories:
        found.update(re.findall(r"\b(?:a|an|the|his|her|their) ([a-z]{3,})(?=[.,!?])", story))
    return sorted(word for word, count in found.items() if count >= 3 and word not in NOT_TOPICS)


def main(corpus, out_dir):
    text = open(corpus, encoding='utf-8').read()
    # the file begins in the middle of a story
    stories = list(dict.fromkeys(filter(usable, map(clean, text.split(SEPARATOR)[1:]))))
    train = [story for story in stories if not held_out(story)]
    kept = [story for story in stories if held_out(story)]
    topics = nouns(train)
    with open(f'{out_dir}/stories.json', 'w') as file:
        json.dump({'train': train, 'held_out': kept, 'nouns': topics}, file)
    print(f'{len(train)} stories to train on ({sum(map(len, train))} bytes), '
          f'{len(kept)} held out ({sum(map(len, kept))} bytes), {len(topics)} nouns')


if __name__ == '__main__':
    main(*sys.argv[1:])
