"""The SDK's adapter, with denials that run: a surface that judges otherwise than the others."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from navicert.conformance.adapters.sdk import Sdk
from navicert.conformance.serving import serve


class Biased(Sdk):
    def begin(self, request: Any) -> Any:
        return super().begin(replace(request, twin="denials_run"))


if __name__ == "__main__":
    serve(Biased())
