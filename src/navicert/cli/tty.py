"""The person's own terminal: where what they decide on is shown, and where reason and passphrase are typed (R4.a).

* Only the controlling terminal (`/dev/tty`) is asked: never standard input, an environment variable, an argument or a
  file, all of which a governed program could fill in.
* What was typed before the question stood there is thrown away: nobody answers what they have not read.
"""

from __future__ import annotations

import os
import termios
from types import TracebackType
from typing import Final, Self

from navicert.cli.faults import Misused
from navicert.cli.terminal import Terminal
from navicert.core.inert import inert

_LONGEST: Final = 4_096
_TRIES: Final = 3


class Tty:
    """The controlling terminal, as a context manager; raises `Misused` where this process has none."""

    def __init__(self, purpose: str) -> None:
        try:
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            raise Misused(
                f"there is no terminal to {purpose} on; run this in a terminal of your own: nothing takes its place"
            ) from None
        self._stream = open(os.dup(self._fd), "w", errors="backslashreplace")  # noqa: PTH123, SIM115 - closed below
        self.out = Terminal(self._stream)

    def ask(self, question: str) -> str:
        """Return one line that the person types, seen as it is typed; raises `Misused` where it is empty."""
        answer = self._line(question, hidden=False).strip()
        if not answer:
            raise Misused("nothing was typed, so nothing was done")
        return answer

    def passphrase(self, question: str) -> str:
        """Return a passphrase, typed unseen; raises `Misused` where it is empty."""
        answer = self._line(question, hidden=True)
        if not answer:
            raise Misused("no passphrase was typed, so nothing was signed")
        return answer

    def new_passphrase(self, name: str, shortest: int) -> str:
        """Return a passphrase of at least so many characters, typed twice the same."""
        for _ in range(_TRIES):
            first = self.passphrase(f"new passphrase for {inert(name)}: ")
            if len(first.strip()) < shortest:
                self.out.say(f"  shorter than {shortest} characters; choose a longer one")
                continue
            if self.passphrase("once more: ") == first:
                return first
            self.out.say("  these were not the same; begin again")
        raise Misused("no passphrase was set, so no key was made")

    def _line(self, question: str, *, hidden: bool) -> str:
        held = termios.tcgetattr(self._fd)
        quiet = [*held]
        quiet[3] = (held[3] | termios.ICANON | termios.ISIG | termios.ECHO | termios.ECHONL) & ~(
            termios.ECHO if hidden else 0
        )
        quiet[0] |= termios.ICRNL
        try:
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, quiet)
            self._stream.write(question)
            self._stream.flush()
            data = os.read(self._fd, _LONGEST)
        finally:
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, held)
        try:
            return data.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Misused("what was typed is not valid text in UTF-8; type it again") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        os.close(self._fd)
