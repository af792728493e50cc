"""What a shell command or an SQL statement does, as far as its words show it: for tools that run anything (T2, T4).

* A list of commands is as dangerous as each of them; what cannot be read (substitutions, code in quotes that a program
  runs, unknown programs) executes.
* This reads words, not languages: it only tells asked-for work from other work. Where it matters what exactly runs, a
  policy asks the analysers (`signals.shell_programs`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from navicert.intent.verbs import words
from navicert.model.action import Effect

_PROGRAMS: Final[dict[Effect, str]] = {
    Effect.READ: (
        "ls cat head tail less more grep egrep rg wc sort uniq cut tr pwd cd date whoami hostname uname stat file du df"
        " tree"
        " which type printf echo diff cmp jq column nl basename dirname realpath readlink ps top free uptime id"
        " printenv"
        " true test md5sum sha256sum cal bc seq sleep history man help"
    ),
    Effect.WRITE: (
        "mkdir touch cp mv tee ln sed awk tar zip unzip gzip gunzip patch install make pip pip3 npm yarn cargo go mvn"
        " gradle"
        " apt apt-get brew ruff black prettier isort split paste iconv"
    ),
    Effect.DELETE: "rm rmdir unlink shred truncate dropdb mkfs dd wipe",
    Effect.SEND: "curl wget scp sftp ssh nc ncat netcat rsync telnet ftp mail mailx sendmail mutt socat",
    Effect.GRANT: "chmod chown chgrp setfacl useradd usermod groupadd sudo su doas visudo",
    Effect.CREDENTIALS: "passwd chpasswd ssh-keygen gpg",
}
_PROGRAM: Final = {word: effect for effect, line in _PROGRAMS.items() for word in words(line)}
_GIT: Final = {
    **dict.fromkeys(
        words("status log diff show branch tag blame shortlog rev-parse ls-files describe remote grep"), Effect.READ
    ),
    **dict.fromkeys(
        words("add commit checkout switch merge rebase stash tag init clone fetch pull apply"), Effect.WRITE
    ),
    **dict.fromkeys(words("push send-email"), Effect.SEND),
    **dict.fromkeys(words("clean rm reset restore"), Effect.DELETE),
}
_LISTING: Final = words("branch tag remote")
_LISTS: Final = words("-a -r -v -vv --list -l --merged --no-merged --all show-current --show-current")
_SPLIT: Final = re.compile(r"\|\||&&|[|;&\n]")
_HIDDEN: Final = re.compile(r"\$\(|`|[<>]\(|<<|\$'|\beval\b|\bxargs\b|-(?:exec|ok)(?:dir)?\b|\bbase64\b")
_AWK: Final = re.compile(r"\bsystem\s*\(|\bgetline\b|[|>]\s*\\?\"")
"""With what a program of `awk` runs another, or writes."""
_TO_NOWHERE: Final = re.compile(r"(?:\d{1,3}|&)?>{1,2}\s*(?:/dev/null(?![\w/.-])|&\s*\d\b)")
_STRINGS: Final = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|((?<!\S)#[^\n]*)", re.DOTALL)
"""What a shell takes as it stands, and its comments."""
_HARMLESS: Final = re.compile(r"(?:LC_\w+|LANG|LANGUAGE|TZ|TERM|COLUMNS|NO_COLOR)=")
"""Assignments that change nothing of what a program does; others may (`PATH`, `LD_PRELOAD`)."""
_INSTALLED: Final = frozenset({"", "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin"})
_SQL: Final = re.compile(r"\s*(select|with|show|explain|describe|desc|pragma|values)\b", re.IGNORECASE)
_SQL_WORK: Final = {
    Effect.DELETE: re.compile(r"\b(delete|drop|truncate)\b", re.IGNORECASE),
    Effect.GRANT: re.compile(r"\b(grant|revoke|create\s+user|alter\s+user|create\s+role)\b", re.IGNORECASE),
    Effect.WRITE: re.compile(
        r"\b(insert|update|create|alter|replace|merge|into|copy|call|set)\b|\bpragma\b[^;]*=", re.IGNORECASE
    ),
}
_SQL_STRINGS: Final = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|(--(?=\s|\Z)[^\n]*|/\*(?!!).*?\*/)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\['\"`]")
_SQL_UNSURE: Final = re.compile(r"['\"`#\\]|--|/\*")
"""What is left of a statement where its strings and comments end in another place in another dialect."""
_LONGEST: Final = 20_000


@lru_cache(maxsize=512)
def effects_of_command(text: str, *, sql: bool = False) -> frozenset[Effect]:
    """Return what a command of a shell, or an SQL statement, does; EXECUTE where it cannot be told."""
    if len(text) > _LONGEST:
        return frozenset({Effect.EXECUTE})
    return _statements(text) if sql else _commands(text)


def _commands(text: str) -> frozenset[Effect]:
    bare = _TO_NOWHERE.sub(" ", _STRINGS.sub(_blanked, text))
    hidden = _HIDDEN.search(text) or "'" in bare or '"' in bare or ("awk" in text and _AWK.search(text))
    found = {Effect.EXECUTE} if hidden else set()
    if ">" in bare:
        found.add(Effect.WRITE)
    for part in _SPLIT.split(bare):
        effect = _program(part.split())
        if effect is not None:
            found.add(effect)
    return frozenset(found or {Effect.EXECUTE})


def _blanked(found: re.Match[str]) -> str:
    return " " if found[1] else "q"


def _program(line: list[str]) -> Effect | None:
    while line and (_HARMLESS.match(line[0]) or line[0] in {"env", "time", "nice", "timeout", "nohup", "command"}):
        line = line[1:]
    if not line:
        return None
    folder, _, name = line[0].rpartition("/")
    if folder not in _INSTALLED:
        return Effect.EXECUTE  # it only bears the name
    if name == "git":
        return _git(line[1:])
    if name == "find":
        writes = any(word.startswith(("-fprint", "-fls")) for word in line)
        return Effect.DELETE if "-delete" in line else Effect.WRITE if writes else Effect.READ
    if name in {"sort", "tree"} and any(word.startswith(("-o", "--output")) for word in line):
        return Effect.WRITE
    if name == "sed":
        return Effect.WRITE if any(word.startswith("-i") for word in line) else Effect.READ
    if name == "awk":
        return Effect.READ
    return _PROGRAM.get(name, Effect.EXECUTE)


def _git(line: list[str]) -> Effect:
    verb = next((word for word in line if not word.startswith("-")), "")
    after = line[line.index(verb) + 1 :] if verb else []
    if any(word.startswith(("-c", "--exec-path", "--config-env")) for word in line[: len(line) - len(after)]):
        return Effect.EXECUTE
    if verb in _LISTING and not all(word in _LISTS for word in after):
        return Effect.DELETE if {"-d", "-D", "--delete"} & {*after} else Effect.WRITE
    effect = _GIT.get(verb, Effect.EXECUTE)
    if effect is Effect.READ and any(
        word.startswith(("--output", "--ext-diff", "-O", "--open-files")) for word in after
    ):
        return Effect.EXECUTE
    return effect


def _statements(text: str) -> frozenset[Effect]:
    bare = _SQL_STRINGS.sub(_blanked, text)
    found = {effect for effect, pattern in _SQL_WORK.items() if pattern.search(bare)}
    for part in bare.split(";"):
        begun = part.strip()
        if begun and not _SQL.match(begun) and not any(pattern.match(begun) for pattern in _SQL_WORK.values()):
            found.add(Effect.EXECUTE)
    if _SQL_UNSURE.search(bare) or _ESCAPED.search(text) or not bare.strip(" ;\n\t"):
        found.add(Effect.EXECUTE)
    return frozenset(found or {Effect.READ})
