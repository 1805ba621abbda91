"""For all tests of the pages: one service in demo mode as a real process, and one browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.driving import View, launched, viewed
from tests.hooks.processes import answers, free_port, running, until


@dataclass(frozen=True)
class Demo:
    """The service: where it answers, and the file in which it keeps what happened."""

    base: str
    store: Path


Views = Callable[..., AbstractContextManager[View]]


# For one module at a time: Playwright keeps an event loop running in this thread while it is open. (A fixture of scope
# "package" would live until the end of the whole run: the folders of tests are no packages.)
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launched(playwright)
        yield opened
        opened.close()


# For all of a worker's modules: it is a process of its own, and what one test keeps in its store no other counts.
@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    store, port = folder / "store.sqlite", free_port()
    with running("serve", "--demo", "--port", str(port), CDS_STORE_URL=f"sqlite:///{store}") as process:
        until(answers(port), process)
        yield Demo(f"http://127.0.0.1:{port}", store)


@pytest.fixture
def view(browser: Browser, demo: Demo) -> Views:
    """`with view(width, scheme) as page:` a page that must have been quiet at the end."""
    return lambda *shape: viewed(browser, demo.base, *shape)
