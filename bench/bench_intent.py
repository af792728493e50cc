"""Provenance: what it costs to index the outputs of tools, and to ask where a value comes from.

The outputs are mails as YAML, records as JSON, and pages of prose: different text each time, so that nothing is
remembered. Indexing is `passages` and `Index.add` together, by KB of output. Looking is `Index.find`, one value after
the other, with 5, 50 and 500 KB held: some values stand in a few places, one stands in every mail, most in none.
"""

from __future__ import annotations

import json
import random
from functools import partial

from harness import US, Bench, at_most, repeat, sample, spread

from navicert.intent.index import Index
from navicert.intent.passages import passages
from navicert.intent.values import Source

SIZES = (5, 50, 500)
KB = 1024
WORDS = (
    "the a of to in for with on at by from and or is was has new old next last early late small large green open week"
    " month year report meeting invoice garden office team client project budget window travel hotel train lunch figure"
    " draft section chapter question answer plan price model total number list review order share please send read"
)


def main() -> None:
    bench = Bench("intent", __doc__)
    seconds = 0.002 if bench.quick else 0.1
    rounds = bench.count(11, 2)
    for size in SIZES:
        texts = [list(outputs(size, seed)) for seed in range(rounds + 1)]
        costs = [sample(partial(indexed, text), 1).cpu * US / (sum(map(len, text)) / KB) for text in texts][1:]
        bench.figure(f"index.{size}", f"indexed, each KB of {size} KB", spread(costs), "µs", target=at_most(60))
    for size in SIZES:
        samples = repeat(partial(found, held(outputs(size, 0)), asked()), seconds=seconds, rounds=rounds)
        bench.figure(
            f"find.{size}",
            f"one value, {size} KB held",
            spread([item.cpu * US for item in samples]),
            "µs",
            target=at_most(10),
        )
    bench.finish()


def indexed(texts, times) -> None:
    for _ in range(times):
        held(texts)


def held(texts) -> Index:
    index = Index()
    for number, text in enumerate(texts):
        index.add(Source(action_id=str(number), tool="desk.read"), passages(text))
    return index


def found(index, values, times) -> None:
    for turn in range(times):
        index._found.clear()  # noqa: SLF001 every value is asked for as if for the first time
        index.find(values[turn % len(values)])


def asked():
    chance = random.Random(0)
    few = [f"{name}{number}@desk.example" for number in (0, 3) for name in ("ann", "bob")]
    none = ["eve@evil.example", "GB33BUKB20201555555555", "https://evil.example/a/b", 4711.5, "ORD-99182"]
    return [chance.choice([*few, "A-1-3", "2026-05-11", "owner@desk.example", *none, *none]) for _ in range(500)]


def outputs(size, seed):
    chance = random.Random(seed)
    made = 0
    number = 0
    while made < size * KB:
        text = (mails, records, page)[number % 3](chance, number)
        made += len(text)
        number += 1
        yield text


def sentence(chance) -> str:
    return " ".join(chance.choices(WORDS.split(), k=chance.randint(6, 16))).capitalize() + "."


def mails(chance, number) -> str:
    rows = []
    for row in range(3):
        body = "\n\n\n    ".join(" ".join(sentence(chance) for _ in range(3)) for _ in range(2))
        rows.append(
            f"- body: '{body}'\n  cc: []\n  id_: '{number * 10 + row}'\n  recipients:\n  - owner@desk.example\n"
            f"  sender: ann{number}@desk.example\n  status: received\n  subject: {sentence(chance)[:-1]}\n"
            f"  timestamp: 2026-05-{row + 10} 13:00:00\n"
        )
    return "".join(rows)


def records(chance, number) -> str:
    return json.dumps(
        [
            {
                "order_id": f"A-{number}-{row}",
                "owner": {"name": f"Bob {row}", "email": f"bob{number}@desk.example"},
                "amount": chance.randint(100, 99999) / 100,
                "note": sentence(chance),
            }
            for row in range(8)
        ]
    )


def page(chance, number) -> str:
    prose = "".join(f"<p>{' '.join(sentence(chance) for _ in range(4))}</p>\n" for _ in range(4))
    return f'<html><body><h1>Page {number}</h1>{prose}<a href="https://desk.example/{number}">more</a></body></html>'


if __name__ == "__main__":
    main()
