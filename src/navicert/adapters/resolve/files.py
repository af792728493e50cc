"""Facts from files (port `Resolver`; R4.b): read only where nobody but root and our own user can have written."""

from __future__ import annotations

import os

from navicert.adapters.resolve.answers import LONGEST, value_at
from navicert.adapters.resolve.places import check_file, settled
from navicert.model.errors import Unavailable
from navicert.model.policy import Source
from navicert.model.value import Json


class FileResolver:
    """Reads the file at `source.place`, of at most 1 MiB, anew at every fetch."""

    def fetch(self, source: Source) -> Json:
        """Return the value at the source's pointer into the file."""
        path = source.place
        place = settled(path)
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                check_file(os.fstat(descriptor), path)  # what was opened, not what stood there before
                data = file.read(LONGEST + 1) or b""  # None where reading would wait
        except OSError as error:
            raise Unavailable(f"`{path}`: cannot be read ({error.strerror}); let navicert read it") from None
        return value_at(data, source.at, f"`{path}`")
