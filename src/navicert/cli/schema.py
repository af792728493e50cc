"""`navicert schema [policy|config]`: the JSON Schema of policy files, or of `navicert.yaml`, for editors."""

from __future__ import annotations

from typing import Any

import click

from navicert.cli.faults import FINE
from navicert.cli.home import common
from navicert.cli.terminal import emit


@click.command()
@click.argument("of", type=click.Choice(["policy", "config"]), default="policy")
@common
def verb(of: str, home: str | None, as_json: bool) -> int:
    """Print the JSON Schema (2020-12) of policy files, or of the configuration.

    Kept in a file, an editor completes and checks by it: the first line of the policy says
    `# yaml-language-server: $schema=FILE`.
    """
    del home
    schema = config_schema() if of == "config" else _policy_schema()
    emit({"format": "navicert/schema/1", "of": of, "schema": schema} if as_json else schema)
    return FINE


def _policy_schema() -> dict[str, Any]:
    from navicert.syntax.schema import policy_schema

    return policy_schema()


def config_schema() -> dict[str, Any]:
    """Return the schema of `navicert.yaml`, as the configuration's own types have it."""
    from msgspec.json import schema

    from navicert.config import Config
    from navicert.syntax.schema import ADDRESS

    return {"$schema": ADDRESS, "title": "navicert configuration", **schema(Config)}
