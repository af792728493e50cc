"""Which programs a shell command of an action would execute, as against what it only mentions (attack cases C.6).

* It looks at the tools of category `shell`: every text in their parameters that is not declared as `content` is a
  command; a list of texts is one command, word by word.
* `shell_programs` names what would run, through wrappers, pipes, substitutions, here-documents and texts for another
  shell. Where that is not all (a computed name, code from a pipe, an alias) `shell_dynamic` is true.
* What cannot be parsed, or is beyond the limits of shell_reading.py, is unknown, never safe.
* Bounded by its limits, so it runs inline. The parser is an extra (`navicert[analysers]`), loaded at the first use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from navicert.adapters.detect.chosen import chosen
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.errors import Unavailable
from navicert.model.signals import Finding
from navicert.model.value import Json

CATEGORY: Final = "shell"
LIMIT: Final = 16 * 1024
"""Bytes of commands in one action that are read; more is `looked=False`."""

_NOT_SHELL: Final = Finding()
_UNKNOWN: Final = Finding(looked=False)


class ShellAnalyser:
    """A `Detector`: the programs, targets and hidden code of the commands that an action would run."""

    name = "shell"
    signals = ("shell_programs", "shell_writes", "shell_inline_code", "shell_dynamic", "shell_parsed")
    inline = True

    def __init__(self, parameters: Mapping[str, Sequence[str]] | None = None) -> None:
        """Look at the named parameters of the tools in `parameters` (full name), whatever their category."""
        self._named = dict(parameters or {})

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        """Return the signals; no values for a tool without commands, `looked=False` where they cannot be read.

        Raises `Unavailable` where the parser is not installed.
        """
        del context
        named = chosen(action, parameters, CATEGORY, self._named)
        if named is None:
            return _NOT_SHELL
        commands = [each for name in named if name in parameters for each in _commands(parameters[name])]
        if not commands or not _sound("".join(word for each in commands for word in each)):
            return _UNKNOWN
        try:
            from navicert.adapters.detect import shell_reading
        except ModuleNotFoundError as error:
            if error.name not in {"tree_sitter", "tree_sitter_bash"}:
                raise
            raise Unavailable("shell: the parser is missing; install navicert[analysers]") from None
        reading = shell_reading.Reading()
        try:
            for each in commands:
                if isinstance(each, str):
                    reading.text(each)
                else:
                    reading.command(list(each))
        except shell_reading.NotRead:
            return _UNKNOWN
        values: dict[str, Json] = {
            "shell_programs": list(reading.programs),
            "shell_inline_code": reading.inline_code,
            "shell_dynamic": reading.dynamic,
            "shell_parsed": True,
        }
        if not reading.targets_open:
            values["shell_writes"] = list(reading.targets)
        return Finding(values=values)


def _sound(text: str) -> bool:
    """Tell whether a text is within the limit, and Unicode."""
    try:
        return len(text.encode()) <= LIMIT
    except UnicodeEncodeError:
        return False


def _commands(value: Json) -> Iterator[str | tuple[str, ...]]:
    """Yield the commands in a parameter: a text as it stands, a list of texts as the words of one."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        words = tuple(each for each in value if isinstance(each, str))
        if words and len(words) == len(value):
            yield words
        else:
            for each in value:
                yield from _commands(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _commands(each)
