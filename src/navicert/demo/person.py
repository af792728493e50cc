"""Ben: a person who approves, in a process of his own. His key never leaves its memory.

He is asked on standard input, one line of JSON each, and answers on standard output. Before he signs, he looks at what
would run: it must be what the digest that he signs was made of.
"""

from __future__ import annotations

import sys
from time import time_ns
from typing import TextIO

import msgspec

from navicert.adapters.sign.file_key import new_key
from navicert.core.answers import statement_bytes
from navicert.core.digest import action_digest
from navicert.core.seal import b64
from navicert.model.suspension import Answer, Approver, Statement, Vote, Wait

NAME = "ben"


def main(asked: TextIO, answers: TextIO) -> None:
    """Say who he is, then answer what he is asked, until nothing more comes."""
    key = new_key("Ed25519")
    now = time_ns() // 1000
    person = Approver(name=NAME, key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=now)
    _say(answers, person)
    for line in asked:
        wait = msgspec.json.decode(line, type=Wait)
        shown = wait.effective or wait.action.parameters
        right = action_digest(wait.action.tool, wait.action.operation, shown) == wait.question.digest
        statement = statement_bytes(
            Statement(
                question=wait.question,
                answer=Answer.APPROVE if right else Answer.DENY,
                approver=NAME,
                key_id=key.key_id,
                at=time_ns() // 1000,
                reason="customer 7 asked for it" if right else "what is shown is not what would run",
            )
        )
        _say(answers, Vote(statement=statement, signature=key.sign(statement)))


def _say(answers: TextIO, value: msgspec.Struct) -> None:
    answers.write(msgspec.json.encode(value).decode() + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
