"""`navicert up`: the resident owner in the foreground, until SIGINT or SIGTERM; exit code 6 where one is alive."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common, home_of, shown_path
from navicert.cli.terminal import Terminal, emit

if TYPE_CHECKING:
    from navicert.assemble import Assembled
    from navicert.config import Config
    from navicert.console.serving import Pages
    from navicert.service.server import Owner


@click.command()
@click.option(
    "--page",
    metavar="HOST:PORT",
    help="Serve the approval page there, on this machine only (default: `page` in navicert.yaml; port 0: a free one).",
)
@common
def verb(page: str | None, home: str | None, as_json: bool) -> int:
    """Own this home: judge what other processes ask for over a socket, sweep what waits, follow the policy file.

    Run it as another user than the agent's, and the agent can change neither policy nor keys nor log. Programs use
    `navicert.connect()` in place of `navicert.open()`.
    """
    from navicert.assemble import Assembled
    from navicert.service.server import Owner, claim

    place, config = home_of(home)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with claim(place.folder):
        deployment = Assembled(place, config)
        try:
            pages = _pages(deployment, page or config.page)
            owner = Owner(deployment, config, pages)
            try:
                owner.start()
                if pages is not None:
                    pages.start()
                document = describe(owner, deployment, config, pages)
                if as_json:
                    emit(document, lines=True)
                else:
                    _show(Terminal(), document)
                while not stop.wait(0.5):  # a signal that another thread takes wakes nobody
                    pass
            finally:
                if pages is not None:
                    pages.close()
                owner.close()
        finally:
            deployment.close()
    return FINE


def _pages(deployment: Assembled, where: str | None) -> Pages | None:
    if where is None:
        return None
    from navicert.console.serving import Pages

    return Pages(deployment.engine, deployment.home, where)


def describe(owner: Owner, deployment: Assembled, config: Config, pages: Pages | None = None) -> dict[str, Any]:
    """Return what an owner that listens is, as `--json` shows it."""
    import os

    from navicert.service.desk import PEOPLE

    policy = deployment.engine.policy
    return {
        "format": "navicert/up/1",
        "ready": True,
        "home": str(deployment.home.folder),
        "socket": str(owner.socket),
        "listen": owner.tcp,
        "page": {"address": pages.address, "link": pages.link(None, PEOPLE)} if pages is not None else None,
        "uid": os.geteuid(),
        "users": list(config.users),
        "people": list(config.people),
        "policy": {"id": policy.policy.policy, "version": policy.policy.version, "hash": policy.hash},
        "waiting": len(deployment.engine.waits()),
        "pid": os.getpid(),
    }


def _show(out: Terminal, document: dict[str, Any]) -> None:
    from pathlib import Path

    policy, waiting = document["policy"], document["waiting"]
    out.title(f"navicert up   {shown_path(Path(document['home']))}", f"process {document['pid']}")
    out.fields(
        [
            ("policy", f"{policy['id']} version {policy['version']}, sha256 {policy['hash'][:16]}"),
            ("socket", document["socket"]),
            ("tcp", f"{document['listen']}, with the token in keys/tcp.token" if document["listen"] else ""),
            ("page", f"http://{document['page']['address']}" if document["page"] else ""),
            ("may act", _names([f"user {document['uid']} (the owner's own)", "root", *document["users"]])),
            ("may answer", _names(document["people"])),
            ("waiting", str(waiting) if waiting else "nothing"),
        ]
    )
    if not document["users"]:
        out.text("separation is none: name the agent's own user in `users`; docs/how-to/run-the-resident-owner.md")
    if document["page"]:
        out.text("this link opens the page, once, within ten minutes; `navicert inbox --link` prints another")
        out.say(document["page"]["link"])  # whole, however narrow the terminal is
    out.say(f"{out.mark('ok')} ready")


def _names(names: list[Any]) -> str:
    return ", ".join(map(str, dict.fromkeys(names)))
