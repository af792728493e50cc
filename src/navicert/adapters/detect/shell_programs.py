"""From the words of one shell command to the programs that would execute (attack cases C.6). Pure; knows no parser.

* A word is a text, or None where it is computed. What cannot be told makes the command *dynamic*, never silent: a
  computed name, an option of a wrapper that is not in its table, code that comes from a pipe.
* Programs that start others by rules of their own (editors, build tools, remote tools) are seen as themselves, and as
  far as the tables here go.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import re2

Words = Sequence[str | None]


class Look(Protocol):
    """What is found. `text` looks at shell text one level deeper, and raises beyond the limits."""

    dynamic: bool
    inline_code: bool

    def program(self, name: str) -> None:
        """Note that a program would execute."""
        ...

    def text(self, text: str) -> None:
        """Look at a text that a shell would execute."""
        ...

    def writes(self, target: str | None) -> None:
        """Note a file that would be written."""
        ...


class _Wrapper(NamedTuple):
    """A program whose operands are a command. flags, valued: options without and with a value of their own.

    before: how many operands stand before the command. assigns: `NAME=VALUE` may stand before it. joined: the command
    is one text for a shell. command: the option whose value is a text for a shell. default: what runs without operands.
    """

    flags: str = ""
    valued: str = ""
    before: int = 0
    assigns: bool = False
    joined: bool = False
    command: str = ""
    default: str = ""


_WRAPPERS: Final[dict[str, _Wrapper]] = {
    "builtin": _Wrapper(),
    "busybox": _Wrapper(),
    "chroot": _Wrapper("--skip-chdir", "--userspec --groups", before=1, default="sh"),
    "chrt": _Wrapper("-b -f -i -o -r -a -m -v", "-T -P -D", before=1),
    "command": _Wrapper("-p"),
    "coproc": _Wrapper(),
    "doas": _Wrapper("-n -L", "-u -C"),
    "env": _Wrapper(
        "-i -0 -v - --ignore-environment --null --debug", "-u -C --unset --chdir", assigns=True, command="-S"
    ),
    "exec": _Wrapper("-c -l", "-a"),
    "flock": _Wrapper("-s -x -e -n -u -o -F", "-w -E --timeout", before=1, command="-c"),
    "ionice": _Wrapper("-t", "-c -n --class --classdata"),
    "ltrace": _Wrapper("-f -c -S -i -r -t -T", "-e -o -s -u -l -n"),
    "nice": _Wrapper("", "-n --adjustment"),
    "nocorrect": _Wrapper(),
    "noglob": _Wrapper(),
    "nohup": _Wrapper(),
    "nsenter": _Wrapper("-a -F -m -u -i -n -p -U -C -r -w", "-t -S -G", default="sh"),
    "pkexec": _Wrapper("--disable-internal-agent", "--user"),
    "proxychains": _Wrapper("-q", "-f"),
    "runuser": _Wrapper("-l -m -p -P", "-u -g -G -s", command="-c"),
    "setarch": _Wrapper("-R -v", "", before=1),
    "setpriv": _Wrapper(
        "--clear-groups --keep-groups --no-new-privs --init-groups --reset-env", "--reuid --regid --groups"
    ),
    "setsid": _Wrapper("-c -f -w --ctty --fork --wait"),
    "ssh": _Wrapper(
        "-4 -6 -A -a -C -f -G -g -K -k -M -N -n -q -s -T -t -V -v -X -x -Y -y",
        "-B -b -c -D -E -e -F -I -i -J -L -l -m -O -p -Q -R -S -W -w -o",
        before=1,
        joined=True,
    ),
    "stdbuf": _Wrapper("", "-i -o -e --input --output --error"),
    "strace": _Wrapper("-f -ff -c -C -q -r -t -tt -T -v -y -yy -i -k", "-e -o -s -u -P -S -b -a -E -O"),
    "su": _Wrapper("-l - -m -p -P --login", "-s -g -G -w", before=1, command="-c"),
    "sudo": _Wrapper(
        "-A -b -E -H -K -k -n -P -S -v -l -B --preserve-env --non-interactive --stdin --set-home",
        "-u -g -h -p -C -r -t -T -U -D -R --user --group --host --prompt --chdir",
        assigns=True,
    ),
    "taskset": _Wrapper("-a -c", "", before=1),
    "time": _Wrapper("-p -v -a --portability --verbose --append", "-f -o --format --output"),
    "timeout": _Wrapper("-v --foreground --preserve-status --verbose", "-s -k --signal --kill-after", before=1),
    "toybox": _Wrapper(),
    "unbuffer": _Wrapper("-p"),
    "unshare": _Wrapper(
        "-m -u -i -n -p -U -C -T -f -r -c --fork --mount --user --pid --net --map-root-user", "-R -w -S -G"
    ),
    "watch": _Wrapper("-b -c -d -e -g -t -x -p -w", "-n -q --interval", joined=True),
    "xargs": _Wrapper(
        "-0 -r -t -p -x -o --null --no-run-if-empty --verbose --exit --open-tty",
        "-n -I -P -L -s -d -a -E --max-args --max-procs --max-lines --delimiter --arg-file --replace",
        default="echo",
    ),
    "script": _Wrapper("-a -e -f -q -T", "-O -I -B -o -m -E", before=1, command="-c"),
}
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash", "rksh", "yash"})
_SHELL_VALUED: Final = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})
_INTERPRETERS: Final[dict[str, tuple[str, str, str]]] = {
    "bun": ("e", "--eval -e", ""),
    "csh": ("c", "-c", ""),
    "deno": ("", "eval", ""),
    "fish": ("c", "-c --command -C --init-command", ""),
    "lua": ("e", "-e", "-l"),
    "node": ("ep", "-e --eval -p --print -pe", "-r --require --import --loader"),
    "nodejs": ("ep", "-e --eval -p --print -pe", "-r --require"),
    "osascript": ("e", "-e", "-l"),
    "perl": ("eE", "-e -E", "-I -M -m"),
    "php": ("rBRE", "-r -B -R -E --run", "-d -c"),
    "pwsh": ("cC", "-c -Command -EncodedCommand", ""),
    "python": ("c", "-c", "-W -X --check-hash-based-pycs"),
    "pypy": ("c", "-c", "-W -X"),
    "Rscript": ("e", "-e", ""),
    "ruby": ("e", "-e", "-I -r"),
    "tclsh": ("", "", ""),
    "tcsh": ("c", "-c", ""),
}
"""Interpreters of code that is not shell: letters that mean code in a cluster of options, such options, valued ones."""

_VERSIONED: Final = re2.compile(r"(python|pypy|perl|ruby|lua|php|node|tclsh)[\d.]+w?")
_ASSIGNMENT: Final = re2.compile(r"(?s)([A-Za-z_]\w*)\+?=(.*)")
_GLOB: Final = re2.compile(r"[*?\[\]{}]")
_AWK_ACTS: Final = re2.compile(r"system|getline|\||@|print[^;}\n]*>|close\s*\(")
_SED_BEFORE: Final = r"(?s)(?:^|[;{}\n$/\d!,])\s*"
_SED_REPLACES: Final = "|".join(
    rf"s{each}(?:\\.|[^\\{each}])*{each}(?:\\.|[^\\{each}])*{each}[gpiImM\d]*[ew]"
    for each in map(re2.escape, string.punctuation.replace("\\", ""))
)
_SED_ACTS: Final = re2.compile(rf"{_SED_BEFORE}(?:[eEwWrR](?:\s|$|;)|{_SED_REPLACES})")
_GIT_RUNS: Final = re2.compile(
    r"(?i)alias|pager|editor|sshcommand|hookspath|fsmonitor|external|textconv|filter|helper|askpass|proxy|driver|cmd|program"
)
_RULING: Final = re2.compile(
    r"PATH|IFS|ENV|BASH_ENV|SHELL|SHELLOPTS|BASHOPTS|PS[0-9]|CDPATH|HOME|LD_\w+|DYLD_\w+|BASH_FUNC.*|PYTHONSTARTUP"
    r"|PYTHONHOME|PYTHONINSPECT|PERL5(?:OPT|LIB|DB)|RUBY(?:OPT|LIB)|NODE_OPTIONS|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|GCONV_PATH"
)
_COMMANDS_IN: Final = re2.compile(
    r"PROMPT_COMMAND|(?:GIT_|MAN)?PAGER|(?:GIT_|GIT_SEQUENCE_)?EDITOR|VISUAL|BROWSER|LESSOPEN|LESSCLOSE|GIT_SSH(?:_COMMAND)?"
    r"|GIT_EXTERNAL_DIFF|GIT_PROXY_COMMAND|(?:SSH|SUDO|GIT)_ASKPASS|RSYNC_RSH|CVS_RSH|TAR_OPTIONS|FZF_DEFAULT_COMMAND"
)
_ARRAYED: Final = frozenset(
    {"alias", "source", ".", "enable", "bind", "complete", "mapfile", "readarray", "hash", "parallel"}
)
_FIND_RUNS: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FIND_WRITES: Final = frozenset({"-fprint", "-fprint0", "-fprintf", "-fls"})
_MOST_NESTED: Final = 32


def assigned(look: Look, name: str, value: str | None) -> None:
    """Note what an assignment means: some variables say which programs run, or what a name stands for."""
    if _RULING.fullmatch(name):
        look.dynamic = True
    elif _COMMANDS_IN.fullmatch(name):
        if value is None:
            look.dynamic = True
        elif value.strip():
            look.text(value)


def run(look: Look, words: Words, given: str | None = None, *, more: bool = False, nested: int = 0) -> None:
    """Note what executes where these words are a command.

    given: what stands on its standard input, where that is a text. more: operands are added from elsewhere.
    """
    name = words[0] if words else None
    if nested > _MOST_NESTED or name is None or not (base := name.rpartition("/")[2]) or _GLOB.search(name.strip("[")):
        look.dynamic = True  # a computed name, or one that ends in a slash, or a pattern
        return
    look.program(base)
    rest = words[1:]
    if base in _WRAPPERS:
        _wrapped(look, base, rest, given, more=more, nested=nested)
    elif base in _SHELLS:
        _shell(look, rest, given, more=more)
    elif (kind := _versionless(base)) in _INTERPRETERS:
        _interpreter(look, kind, rest, given, more=more)
    elif base == "find":
        _find(look, rest, nested)
    elif base in _ARRAYED:
        look.dynamic = (
            look.dynamic or base not in {"complete", "hash", "mapfile", "readarray", "enable", "bind"} or len(rest) > 1
        )
    elif base == "eval":
        look.dynamic = True
        if rest and None not in rest:
            look.text(" ".join(word for word in rest if word is not None))
    elif base == "trap":
        _trap(look, rest)
    else:
        _by_its_options(look, base, rest)


def _versionless(base: str) -> str:
    found = _VERSIONED.fullmatch(base)
    return found[1] if found else base


def _wrapped(look: Look, base: str, rest: Words, given: str | None, *, more: bool, nested: int) -> None:
    wrapper = _WRAPPERS[base]
    if base == "command" and rest and rest[0] in {"-v", "-V"}:
        return
    at, replaced = _operands(look, base, wrapper, rest)
    if at is None:
        return
    command = rest[at:]
    if base in {"su", "script"}:
        look.dynamic = True  # a shell on a terminal
    elif not command:
        if wrapper.default and not more:
            look.program(wrapper.default)
            look.dynamic = look.dynamic or wrapper.default == "sh"
        elif more or (base == "sudo" and any(word in {"-s", "-i"} for word in rest)):
            look.dynamic = True
    elif wrapper.joined:
        if None in command:
            look.dynamic = True
            run(look, command, nested=nested + 1)
        else:
            look.text(" ".join(word for word in command if word is not None))
    elif base == "xargs" and command[0] is not None and replaced in command[0]:
        look.dynamic = True
    else:
        given = None if base == "xargs" else given
        run(look, command, given, more=more or base == "xargs", nested=nested + 1)


def _operands(look: Look, base: str, wrapper: _Wrapper, rest: Words) -> tuple[int | None, str]:
    """Return where the command begins (None: there is none to look at any more), and what `xargs` replaces in it."""
    before, replaced = wrapper.before, "{}"
    at = 0
    while at < len(rest):
        word = rest[at]
        if word is None:
            if not before:
                look.dynamic = True
                return None, replaced
            before -= 1
        elif _carries_text(base, wrapper, word):
            _text_of(look, word, rest[at + 1 :], wrapper.command)
            return None, replaced
        elif word[:1] == "-" and word != "--" and (word != "-" or "-" in wrapper.flags.split()):
            attached = word.removeprefix("--replace=").removeprefix("-I")
            if _takes_next(look, base, wrapper, word):
                at += 1
                if word in {"-I", "--replace"} and at < len(rest):
                    replaced = rest[at] or replaced
            elif base == "xargs" and attached not in {word, ""}:
                replaced = attached
        elif wrapper.assigns and (found := _ASSIGNMENT.fullmatch(word)):
            assigned(look, found[1], found[2])
        elif word != "--":
            if not before:
                return at, replaced
            before -= 1
        at += 1
    return at, replaced


def _carries_text(base: str, wrapper: _Wrapper, word: str) -> bool:
    if not wrapper.command:
        return False
    return word == wrapper.command or (base == "env" and word.startswith(("-S", "--split-string")))


def _takes_next(look: Look, base: str, wrapper: _Wrapper, word: str) -> bool:
    """Tell whether the value of an option is the next word."""
    flags, valued = wrapper.flags.split(), wrapper.valued.split()
    name, equals, _ = word.partition("=")
    if base == "ssh" and word[:2] in {"-o", "-F"}:
        look.dynamic = True  # its settings may name programs
    if name in valued:
        return not equals
    known = name in flags or _cluster(word, flags, valued) or (base == "nice" and word[1:].isdigit())
    if not known:
        look.dynamic = True  # it may take the next word for itself
    return False


def _cluster(word: str, flags: Sequence[str], valued: Sequence[str]) -> bool:
    """Tell whether a word is short options written together, the last perhaps with its value: `-xn5`."""
    if word[:2] == "--":
        return False
    for place, letter in enumerate(word[1:], 1):
        if f"-{letter}" in valued:
            return place < len(word) - 1  # its value stands in the same word
        if f"-{letter}" not in flags:
            return False
    return True


def _text_of(look: Look, word: str, rest: Words, option: str) -> None:
    """Look at the text that an option carries, in its own word or in the next."""
    attached = word.removeprefix("--split-string").removeprefix("=") if word[:2] == "--" else word.removeprefix(option)
    text = attached or (rest[0] if rest else None)
    if text is None:
        look.dynamic = True
        return
    tail = rest if attached else rest[1:]
    if option == "-S":  # the words that follow belong to the same command
        if None in tail:
            look.dynamic = True
        text = " ".join([text, *(word for word in tail if word is not None)])
    look.text(text)


def _shell(look: Look, rest: Words, given: str | None, *, more: bool) -> None:
    code = from_input = False
    at = 0
    while at < len(rest):
        word = rest[at]
        if word is None:
            look.dynamic = True
            return
        if word[:1] not in {"-", "+"} or word == "-":
            break
        at += 1
        if word == "--":
            break
        if word in {"--version", "--help"}:
            return
        if word in _SHELL_VALUED:
            at += 1
            look.dynamic = look.dynamic or word.startswith("--")
        elif word[:2] != "--":
            code = code or (word[0] == "-" and "c" in word)
            from_input = from_input or "s" in word[1:]
            at += "o" in word[1:] or "O" in word[1:]
    operand = rest[at] if at < len(rest) else ""
    if code:
        if not operand:
            look.dynamic = True
        else:
            look.text(operand)
    elif operand and operand != "-" and not from_input:
        look.dynamic = look.dynamic or operand.startswith(("/dev/", "/proc/"))
    elif operand is None or given is None or more:
        look.dynamic = True  # a computed script, or one that comes from a pipe, a file or a terminal
    else:
        look.text(given)


def _interpreter(look: Look, kind: str, rest: Words, given: str | None, *, more: bool) -> None:
    letters, options, valued = _INTERPRETERS[kind]
    at = 0
    while at < len(rest):
        word = rest[at]
        if word is None:
            look.dynamic = True
            return
        name = word.partition("=")[0]
        if name in options.split() or (
            word[:1] == "-" and word[:2] != "--" and set(word[1:]) & set(letters) and _code(kind, word)
        ):
            look.inline_code = True
            return
        if word == "-m" and kind in {"python", "pypy"}:
            look.dynamic = look.dynamic or at + 1 >= len(rest) or rest[at + 1] is None
            return
        if word in {"--version", "--help", "-V", "-v", "-h", "-i"} and len(rest) == 1:
            return
        if word[:1] != "-" or word == "-":
            break
        at += 2 if word in valued.split() else 1
    operand = rest[at] if at < len(rest) else "-"
    if operand in {"-", "/dev/stdin"} or more:
        if given is None:
            look.dynamic = True
        else:
            look.inline_code = True
    elif operand is None or operand.startswith(("/dev/", "/proc/")):
        look.dynamic = True


def _code(kind: str, word: str) -> bool:
    """Tell whether a cluster of options carries code: not where an option with a value begins it (`-Werror`)."""
    return not (kind in {"python", "pypy"} and word[1] in "WXm") and not (kind == "perl" and word[1] in "IMm")


def _find(look: Look, rest: Words, nested: int) -> None:
    at = 0
    while at < len(rest):
        word = rest[at]
        at += 1
        if word in _FIND_RUNS:
            end = at
            while end < len(rest) and rest[end] not in {";", "+"}:
                end += 1
            command = rest[at:end]
            if command and command[0] is not None and "{}" in command[0]:
                look.dynamic = True
            else:
                run(look, command, more="{}" in command, nested=nested + 1)
            at = end
        elif word in _FIND_WRITES:
            look.writes(rest[at] if at < len(rest) else None)


def _trap(look: Look, rest: Words) -> None:
    if rest and rest[0] not in {"-", "-l", "-p", "--"}:
        if rest[0] is None:
            look.dynamic = True
        else:
            look.text(rest[0])
    elif len(rest) > 1 and rest[0] == "--":
        _trap(look, rest[1:])


def _by_its_options(look: Look, base: str, rest: Words) -> None:  # noqa: C901, PLR0912 - a table written as cases
    """Look at programs that run others when their options say so."""
    texts = [word for word in rest if word is not None]
    if base in {"awk", "gawk", "mawk", "nawk"}:
        look.inline_code = look.inline_code or any(_AWK_ACTS.search(word) for word in texts)
        look.dynamic = look.dynamic or (len(texts) < len(rest) and not texts)
    elif base in {"sed", "gsed"}:
        if any(_SED_ACTS.search(word) for word in texts):
            look.inline_code = True
    elif base == "git":
        for place, word in enumerate(rest):
            previous = rest[place - 1] if place else ""
            if word is None:
                look.dynamic = look.dynamic or previous == "-c"
            elif (previous == "-c" and _GIT_RUNS.search(word.partition("=")[0])) or word.startswith(
                ("--exec-path=", "--upload-pack", "--receive-pack", "--config-env", "--extcmd", "--exec", "ext::")
            ):
                look.dynamic = True
    elif base in {"tar", "bsdtar", "gtar"}:
        for place, word in enumerate(texts):
            name, _, value = word.partition("=")
            if name == "--checkpoint-action" and value.startswith("exec="):
                look.text(value[5:])
            elif name in {"--to-command", "--use-compress-program", "--rsh-command", "--info-script", "-I"}:
                look.text(value or (texts[place + 1] if place + 1 < len(texts) else ":"))
            elif name == "--checkpoint-action" and not value:
                look.dynamic = True
    elif base in {"vi", "vim", "nvim", "view", "ex", "ed", "emacs", "gdb", "lldb"}:
        opening = ("-c", "+", "--cmd", "--eval", "-ex", "-o", "-S", "-x", "--batch", "-l", "-f")
        look.inline_code = look.inline_code or any(word.startswith(opening) for word in texts)
    elif base in {"make", "gmake"}:
        look.inline_code = look.inline_code or any(word.startswith(("--eval", "SHELL=")) for word in texts)
    elif base in {"rsync", "scp", "sftp"}:
        look.dynamic = look.dynamic or any(word.startswith(("-e", "--rsh", "-S", "-oProxyCommand")) for word in texts)
    elif base in {"tee", "dd", "install", "truncate"}:
        if base == "tee":
            for word in rest:
                if word is None or word[:1] != "-":
                    look.writes(word)
        elif base == "dd":
            for word in texts:
                if word.startswith("of="):
                    look.writes(word[3:])
