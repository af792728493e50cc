"""Reach: find a resident owner, and stand on it as a guard stands on an engine (`navicert.connect`)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from navicert.config import FILE, find_home, read_config
from navicert.model.errors import PolicyError
from navicert.service.client import RemoteEngine
from navicert.service.exchange import Place


class Remote:
    """A deployment whose engine is elsewhere: its policy is the owner's business."""

    def __init__(self, engine: RemoteEngine) -> None:
        self.engine = engine

    def policy_changed(self) -> bool:
        """Tell that there is nothing to do: the owner looks at its policy file itself."""
        return False

    def look_again(self) -> None:
        """Do nothing: as `policy_changed`."""

    def reload(self) -> None:
        """Raise `PolicyError`: as `policy_changed`."""
        raise PolicyError("the owner reads its policy file itself, within a second of a change")

    def close(self) -> None:
        """Close every connection to the owner."""
        self.engine.close()


def reach(path: Path | None, *, timeout_s: float, token: str | None, address: str | None) -> Remote:
    """Return the owner at a socket, of a home folder, or at a TCP address; raises `Unavailable` where none answers."""
    if address is None:
        return Remote(RemoteEngine(Place(socket=_socket(path)), timeout_s=timeout_s))
    if token is None:
        token = _token(path)
    return Remote(RemoteEngine(Place(address=address, token=token), timeout_s=timeout_s))


def _socket(path: Path | None) -> Path:
    """Return the socket of a home folder (in `path`, here, or above), or `path` where that is no folder."""
    try:
        if path is not None and not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 - says why, as `is_dir` does not
            return path.absolute()
        home = _home(path)
        return home / read_config(home).socket
    except FileNotFoundError:
        return Path(path or "").absolute()  # it will be there when the owner is
    except PermissionError as error:
        raise PolicyError(
            f'{error.filename}: this user cannot read it; name the owner\'s socket: navicert.connect("/run/…/x.sock")'
        ) from None


def _token(path: Path | None) -> str:
    file = _home(path) / "keys" / "tcp.token"
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{file}: the token cannot be read ({error}); give it as `token`") from None


def _home(path: Path | None) -> Path:
    return path if path is not None and (path / FILE).is_file() else find_home(path)
