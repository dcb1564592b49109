"""Makes the training documents of one epoch from the stories: plain ones, and answers to a request.

The text of a request is that of chat_template.jinja. Names are exchanged for others on every epoch, so that
the model has to copy the name that was asked for and cannot learn a story by heart.
"""
import re

from tokenizer import BOS, EOS

GIRLS = ('Lily Lucy Jane Mia Sue Sarah Anna Sally Daisy Amy Molly Emily Sara Jen Jill Ellie Susie Lola Lisa Emma '
         'Lila Jenny Rose Alice Ruby Mary Bella Hannah Cindy Tina Zoe Maria Annie Julie Sophie Rosie').split()
BOYS = ('Timmy Ben Tom Tim Sam Max Jack Bob Billy Joe John Tommy Benny Jimmy Sammy Peter Jim Bobby Johnny Pete Todd '
        'Fred Paul Ted Mike Joey Jerry Josh Bill Mark Luke Jake Finn Dave Charlie James Leo').split()
NAME = re.compile(r'\b(' + '|'.join(GIRLS + BOYS) + r')\b')

REQUESTS = (
    'Tell me a story about {}.', 'Tell me a story about {}.', 'Write a story about {}.', 'A story about {}, please.',
    'Please tell me a story about {}.', 'Can you tell me a story about {}?', 'Write a short story about {}.',
    'I want a story about {}.', 'tell me a story about {}', 'write a story about {}', 'a story about {}', '{}', '{}.',
)
OPEN_REQUESTS = (
    'Tell me a story.', 'Tell me a story, please.', 'Write a story.', 'Can you tell me a story?', 'tell me a story',
    'Hello!', 'Hi', 'Another one, please.',
)


def exchange_names(story, random):
    """Another name of the same kind for each name, and never the same one for two."""
    old = sorted(set(NAME.findall(story)))
    new = {}
    for names in (GIRLS, BOYS):
        mine = [name for name in old if name in names]
        new.update(zip(mine, random.sample(names, len(mine))))
    return NAME.sub(lambda match: new[match[0]], story)


class Requests:
    """Asks for one to three things that the story is really about: names, and nouns that it repeats."""

    def __init__(self, nouns):
        self._nouns = set(nouns)

    def ask(self, story, random):
        topics = self._topics(story, random)
        if not topics or random.random() < 0.08:
            return random.choice(OPEN_REQUESTS)
        text = topics[0] if len(topics) == 1 else ', '.join(topics[:-1]) + ' and ' + topics[-1]
        return random.choice(REQUESTS).format(text)

    def _topics(self, story, random):
        names = list(dict.fromkeys(NAME.findall(story)))[:2]
        words = re.findall(r'[a-z]+', story)
        counts = {noun: words.count(noun) for noun in sorted(set(words) & self._nouns)}
        nouns = sorted((noun for noun in counts if counts[noun] > 1), key=lambda noun: -counts[noun])[:5]
        picked = random.sample(names, random.randint(0, len(names)))
        nouns = random.sample(nouns, min(len(nouns), random.randint(1, 3)))
        picked += [self._phrase(noun, story, random) for noun in nouns]
        return picked[:random.randint(1, 3)]

    def _phrase(self, noun, story, random):
        found = re.search(rf'\b(?:a|an|the) ([a-z]+) {noun}\b', story)
        adjective = found[1] + ' ' if found and found[1] not in self._nouns and random.random() < 0.3 else ''
        phrase = adjective + noun
        if noun.endswith('s') and not noun.endswith('ss'):
            return phrase
        if re.search(rf'\b(?:a|an|the|his|her) (?:[a-z]+ )?{noun}\b', story) is None:
            return phrase
        return ('an ' if phrase[0] in 'aeiou' else 'a ') + phrase


def plain(story, tokenizer):
    """(ids, how many of them are given and not learnt)"""
    return [BOS] + tokenizer.encode(story) + [EOS], 1


def answer(request, story, tokenizer, first=True, prefix_space=True):
    """A later turn follows the EOS of the one before it and has no BOS of its own."""
    prompt = tokenizer.encode(f'Ask: {request}\nStory:\n', prefix_space)
    prompt = [BOS] + prompt if first else prompt
    return prompt + tokenizer.encode(story, prefix_space=False) + [EOS], len(prompt)


def epoch(stories, nouns, tokenizer, random, context):
    """Lists of (ids, labels); a label of -100 is not learnt. Half are answers, some of those in two turns."""
    requests = Requests(nouns)
    documents = []
    for story in random.sample(stories, len(stories)):
        if random.random() < 0.7:
            story = exchange_names(story, random)
        if random.random() < 0.5:
            turns = [plain(story, tokenizer)]
        else:
            turns = [answer(requests.ask(story, random), story, tokenizer)]
            if random.random() < 0.15:
                second = exchange_names(random.choice(stories), random)
                # runtimes differ in whether they put the dummy space after a special token too
                turns.append(answer(requests.ask(second, random), second, tokenizer, False, random.random() < 0.5))
        ids, labels = [], []
        for turn, given in turns:
            ids += turn
            labels += [-100] * given + turn[given:]
        documents.append((ids[:context + 1], labels[:context + 1]))
    return documents
