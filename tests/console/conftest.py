"""Fixtures of the page's tests: one owner for each file, a browser, and what a browser needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from console.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    """An owner with its page. Nothing that is secret, and no failure, comes to its standard error."""
    made = Site(tmp_path_factory.mktemp("site"), listen="127.0.0.1:0")
    yield made
    assert made.close() == ""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The distribution's Chromium, headless; it finds no name and no machine but this one."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("there is no Chromium here: run scripts/browser", pytrace=False)
    words = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--disable-gpu"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=[*words, *(["--no-sandbox"] * (os.geteuid() == 0))])
        yield browser
        browser.close()
