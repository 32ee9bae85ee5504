"""Names letter by letter: a table of logits is learned, and the best table can be counted.

Each letter is followed by another with a probability that depends on nothing else (a bigram model,
as in the lecture on makemore). The loss is the cross entropy of the next letter. Its minimum is
known: the probabilities are the shares in the list, so the loss that training reaches is checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.learn import losses, optim

NAMES = """
emma olivia ava isabella sophia mia amelia harper evelyn abigail ella scarlett grace lily aria
hannah nora zoe stella hazel ellie violet luna anna clara alice eva ada ida iris liam noah james
oliver elijah lucas mason logan ethan jacob levi daniel henry owen leo theo felix hugo oscar emil
"""

Pair = tuple[str, str]


def pairs(names: Sequence[str]) -> Counter[Pair]:
    """How often a letter follows another; names begin and end with a point."""
    return Counter(pair for name in names for pair in pairwise(f".{name}."))


def loss(logits: dict[str, list[Real]], counts: Mapping[Pair, int], letters: str) -> Real:
    """The mean cross entropy of the letters that follow."""
    terms = [
        losses.cross_entropy(logits[first], letters.index(second)) * float(count)
        for (first, second), count in counts.items()
    ]
    return math.sum(terms) / float(sum(counts.values()))


def smallest_loss(counts: Mapping[Pair, int]) -> float:
    """The loss where each probability is the share in the list."""
    firsts: Counter[str] = Counter()
    for (first, _), count in counts.items():
        firsts[first] += count
    surprises = [n * math.log(firsts[first] / n) for (first, _), n in counts.items()]
    return sum(surprises) / sum(counts.values())


def train(counts: Mapping[Pair, int], letters: str, steps: int) -> dict[str, list[float]]:
    logits = {first: [0.0] * len(letters) for first in letters}
    optimizer = optim.adam(optim.cosine(0.5, steps))
    state = optimizer.init(logits)
    gradient = tg.jit(tg.grad(loss), static_argnames=["counts"])
    for _ in range(steps):
        logits, state = optimizer.update(gradient(logits, counts, letters), state, logits)
    return logits


def name(logits: dict[str, list[float]], letters: str, source: Random) -> str:
    """A name, drawn letter by letter."""
    found = "."
    while len(found) < 2 or found[-1] != ".":
        weights = [math.exp(logit) for logit in logits[found[-1]]]
        found += source.choices(letters, weights)[0]
    return found.strip(".")


def main() -> None:
    counts = pairs(NAMES.split())
    letters = "".join(sorted({first for first, _ in counts}))
    logits = train(counts, letters, 200)
    found, best = loss(logits, counts, letters), smallest_loss(counts)
    source = Random(1)
    print(f"loss {found:.4f}, and {best:.4f} by counting")
    print("new names:", ", ".join(name(logits, letters, source) for _ in range(8)))
    assert 0.0 < found - best < 0.01


if __name__ == "__main__":
    main()
