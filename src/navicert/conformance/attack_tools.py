"""The tools that the starter packs name, real ones, over a world that a scenario wrote (`threats`). Standard library.

    python -I -S attack_tools.py WORLD.json mail     serves the group `mail` over standard input and output, as MCP does

* What they do reaches observers of the kit: a mail server, a folder, a database, and a listener that stands for the
  web, the bank, the ticket system and so on. They judge nothing: what keeps an effect from happening is a policy.
* The one exception is `shell.run` and `python.run`: what they are given is noted and not run, since some of it would
  harm the machine that the suite runs on.
"""
# ruff: noqa: D102 - what a tool does is its name

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

TEXT, NUMBER, LIST = "string", "number", "array"
TOOLS: dict[str, dict[str, str]] = {
    "mail.search": {"query": TEXT},
    "mail.read": {"id": TEXT},
    "mail.send": {"to": TEXT, "cc": TEXT, "bcc": TEXT, "subject": TEXT, "body": TEXT, "attachments": LIST},
    "contacts.find": {"name": TEXT},
    "calendar.list": {"week": TEXT},
    "calendar.invite": {"attendees": LIST, "title": TEXT, "notes": TEXT},
    "files.list": {"path": TEXT},
    "files.read": {"path": TEXT},
    "files.search": {"query": TEXT},
    "files.write": {"path": TEXT, "text": TEXT},
    "files.delete": {"path": TEXT},
    "files.share": {"path": TEXT, "with": TEXT},
    "web.search": {"query": TEXT},
    "web.fetch": {"url": TEXT},
    "tickets.list": {},
    "tickets.read": {"ticket": TEXT},
    "tickets.reply": {"ticket": TEXT, "text": TEXT},
    "tickets.note": {"ticket": TEXT, "text": TEXT},
    "orders.find": {"customer": TEXT},
    "manual.search": {"query": TEXT},
    "refunds.issue": {"order": TEXT, "amount": NUMBER, "note": TEXT},
    "accounts.update": {"account": TEXT, "mail": TEXT},
    "warehouse.schema": {},
    "warehouse.query": {"sql": TEXT},
    "charts.draw": {"data": LIST},
    "python.run": {"code": TEXT},
    "reports.read": {"path": TEXT},
    "reports.write": {"path": TEXT, "text": TEXT},
    "shell.run": {"command": TEXT},
}
"""Every tool, with its parameters, each of which may be left out; what it does is below, under the same name."""


class Toolbox:
    """The tools over one world, by the file that describes it, which is read anew for each call."""

    def __init__(self, where: str) -> None:
        self._where = Path(where)

    @property
    def world(self) -> dict[str, Any]:
        """The world as it stands now."""
        found: dict[str, Any] = json.loads(self._where.read_text(encoding="utf-8"))
        return found

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """Run a tool, and return its answer as text; raises what it raises, `LookupError` for no such tool."""
        failing = self.world.get("fails", {}).get(name)
        if failing is not None:
            raise RuntimeError(failing)
        if name not in TOOLS:
            return self._tells(name, arguments)  # a tool that a server added later
        found = getattr(self, name.replace(".", "_"))(
            **{f"{key}_" if key == "with" else key: value for key, value in arguments.items()}
        )
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    def _tells(self, place: str, what: Any) -> str:
        from http.client import HTTPConnection  # each import costs its time in every server that is launched

        host, port = self.world["net"]
        connection = HTTPConnection(host, port, timeout=10)
        with closing(connection):
            connection.request("POST", f"/{place}", json.dumps(what, ensure_ascii=False).encode())
            connection.getresponse().read()
        return "done"

    def _items(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.get(name, [])
        return found

    def _one(self, name: str, id_: str) -> dict[str, Any]:
        return next(item for item in self._items(name) if item["id"] == id_)

    def _place(self, path: str) -> Path:
        return Path(self.world["files"]) / path

    # mail, calendar, contacts

    def mail_search(self, query: str = "") -> Any:
        return [{key: item[key] for key in ("id", "subject")} for item in self._items("mails") if query in str(item)]

    def mail_read(self, id: str) -> Any:  # noqa: A002 - the tool's own name for it
        return self._one("mails", id)

    def mail_send(
        self, to: str = "", cc: str = "", bcc: str = "", subject: str = "", body: str = "", attachments: Any = ()
    ) -> str:
        import smtplib
        from email.message import EmailMessage
        from email.utils import getaddresses

        message = EmailMessage()
        message["From"], message["Subject"] = "ann@company.example", subject
        message.set_content(
            json.dumps({"body": body, "attachments": list(attachments)}, ensure_ascii=False), cte="8bit"
        )
        addressed = [address for _, address in getaddresses([to, cc, bcc]) if address]
        host, port = self.world["mail"]
        with smtplib.SMTP(host, port, timeout=10) as server:
            server.sendmail("ann@company.example", addressed, message.as_bytes())
        return "sent"

    def contacts_find(self, name: str = "") -> Any:
        return [item for item in self._items("contacts") if name in str(item)]

    def calendar_list(self, week: str = "") -> Any:
        del week
        return self._items("events")

    def calendar_invite(self, **what: Any) -> str:
        return self._tells("calendar", what)

    # files

    def files_list(self, path: str = ".") -> Any:
        return sorted(
            str(each.relative_to(self._place("."))) for each in self._place(path).rglob("*") if each.is_file()
        )

    def files_read(self, path: str) -> str:
        return self._place(path).read_text(encoding="utf-8")

    def files_search(self, query: str = "") -> Any:
        return [name for name in self.files_list() if query in self.files_read(name)]

    def files_write(self, path: str, text: str = "") -> str:
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        return "written"

    def files_delete(self, path: str) -> str:
        self._place(path).unlink()
        return "deleted"

    def files_share(self, path: str, with_: str = "") -> str:
        return self._tells("share", {"path": path, "with": with_, "text": self.files_read(path)})

    reports_read = files_read
    reports_write = files_write

    # the web

    def web_search(self, query: str) -> Any:
        self._tells("web", {"query": query})
        return [{"url": item["url"], "title": item.get("title", "")} for item in self._items("pages")]

    def web_fetch(self, url: str) -> str:
        self._tells("web", {"url": url})
        return next((item["text"] for item in self._items("pages") if item["url"] == url), "nothing is here")

    # customers

    def tickets_list(self) -> Any:
        return [item["id"] for item in self._items("tickets")]

    def tickets_read(self, ticket: str) -> Any:
        return self._one("tickets", ticket)

    def tickets_reply(self, **what: Any) -> str:
        return self._tells("ticket", what)

    def tickets_note(self, **what: Any) -> str:
        return self._tells("note", what)

    def orders_find(self, customer: str = "") -> Any:
        return [item for item in self._items("orders") if customer in str(item)]

    def manual_search(self, query: str = "") -> Any:
        del query
        return self._items("manual")

    def refunds_issue(self, **what: Any) -> str:
        return self._tells("bank", what)

    def accounts_update(self, **what: Any) -> str:
        return self._tells("account", what)

    # data

    def warehouse_schema(self) -> Any:
        return sorted(self.world.get("tables", {}))

    def warehouse_query(self, sql: str) -> Any:
        import sqlite3

        with closing(sqlite3.connect(self.world["database"])) as database, database:
            first, *more = [part for part in sql.split(";") if part.strip()]
            rows = database.execute(first).fetchall()
            for each in more:
                database.execute(each)
        return rows

    def charts_draw(self, data: Any) -> str:
        return f"a chart of {len(data)} values"

    # what is noted, and never run

    def python_run(self, code: str) -> str:
        return self._tells("shell", {"python": code})

    def shell_run(self, command: str) -> str:
        self._tells("shell", {"command": command})
        said: dict[str, str] = self.world.get("shell", {})
        return next((text for part, text in said.items() if part in command), "")


# as MCP servers


def listed(world: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """Return the tools of a group as MCP lists them, with the words that the world has put into their definitions."""
    mine = {name: kinds for name, kinds in TOOLS.items() if name.startswith(f"{group}.")}
    mine |= {name: {"text": TEXT} for name in world.get("added", {}) if name.startswith(f"{group}.")}
    words = world.get("definitions", {}) | world.get("added", {})
    return [
        {
            "name": name.partition(".")[2],
            "description": words.get(name, f"The tool {name}"),
            "inputSchema": {"type": "object", "properties": {key: {"type": kind} for key, kind in kinds.items()}},
        }
        for name, kinds in mine.items()
    ]


def answer_to(tools: Toolbox, group: str, message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request, None for one that this server does not know."""
    method, params = message["method"], message.get("params") or {}
    if method == "initialize":
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": group, "version": "1"}}
        said = tools.world.get("instructions", {}).get(group)
        return {"protocolVersion": params.get("protocolVersion", ""), **about} | (
            {"instructions": said} if said else {}
        )
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": listed(tools.world, group)}
    if method == "tools/call":
        try:
            text, failed = tools.call(f"{group}.{params['name']}", params.get("arguments") or {}), False
        except Exception as error:  # noqa: BLE001 - a tool's failure is its answer
            text, failed = f"{type(error).__name__}: {error}", True
        return {"content": [{"type": "text", "text": text}], "isError": failed}
    return None


def main(where: str, group: str) -> None:
    """Serve until standard input ends."""
    tools = Toolbox(where)
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer_to(tools, group, message)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        reply |= {"result": result} if result is not None else {"error": {"code": -32601, "message": "not known here"}}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
