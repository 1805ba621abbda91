"""A real Chromium, the system's own, that watches what the pages do: requests, errors, what the policy forbade."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect

from tests import depth
from tests.browser.programs import BROWSERS

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
PATIENCE = 120_000  # ms: every wait is for a condition, and a busy machine is no fault
expect.set_options(timeout=PATIENCE)
QUIET = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]  # fmt: skip
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation",
  (event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI} at ${event.sourceFile}`));"""
HEIGHT = 900
WIDTHS = (320, 768, 1440)
SCHEMES = ("light", "dark")
TALLEST = depth.chosen(2000, 6000)  # pixels of a screenshot; what is longer repeats itself
STATUS = "Failed to load resource: the server responded with a status of 4"
SERIOUS = ("serious", "critical")
# For these axe compares each element with all that may lie over it, or with its neighbours: most of its time.
COLOURS = ["color-contrast", "link-in-text-block"]
REPEATED = "tbody tr:nth-child(n+7), li:nth-child(n+7)"  # of a long table or list all but the first six
SHOW = f"(how) => document.querySelectorAll('{REPEATED}').forEach((each) => {{ each.style.display = how }})"
# What passed is not asked for, which takes as long as to find; and no other file is there to be loaded.
BRIEF = {"resultTypes": ["violations"], "selectors": False, "preload": False}


def launched(playwright: Playwright) -> Browser:
    """The system's browser; nothing is downloaded."""
    program = next(found for name in BROWSERS if (found := shutil.which(name)))
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=program, args=[*QUIET, *sandbox])


@dataclass
class View:
    """One page in a context of its own, and all that went wrong in it."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Open an address of the service; its status is 200."""
        answer = self.page.goto(self.base + path)
        assert answer.status == 200, f"{path}: {answer.status}"

    def requested(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and f"{parts.scheme}://{parts.netloc}" != self.base:
            self.faults.append(f"a request to another host: {url}")

    def said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    @contextmanager
    def refused(self) -> Iterator[None]:
        """What happens here is answered with an error status, of which the browser's console speaks: that alone is no
        fault."""
        before = len(self.faults)
        yield
        self.faults[before:] = [each for each in self.faults[before:] if STATUS not in each]

    def is_quiet(self) -> None:
        """Nothing went wrong: no error, no other host, nothing that the policy had to forbid."""
        assert not self.faults, self.faults

    def takes(self, width: int, scheme: str) -> None:
        """The same page in a window of that width, for a reader who wants that scheme."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": HEIGHT})

    def fits(self) -> None:
        """Nobody has to scroll sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} pixels too wide: {self.page.evaluate(WIDEST)}"

    def is_accessible(self, colours_only: bool = False) -> None:
        """axe-core finds nothing serious by any rule, or by those about colours, in all that does not repeat itself
        (`--thorough`: in all)."""
        self.page.evaluate(SHOW, depth.chosen("none", ""))
        found = self.violations(runOnly=COLOURS) if colours_only else self.violations()
        self.page.evaluate(SHOW, "")
        serious = [
            f"{each['id']}: {each['help']}: {[node['html'][:150] for node in each['nodes'][:3]]}"
            for each in found
            if each["impact"] in SERIOUS
        ]
        assert not serious, f"{self.page.url}: {serious}"

    def violations(self, **rules: Any) -> list[dict[str, Any]]:
        """What axe-core finds in the page by these of its rules."""
        return Axe().run(self.page, options=BRIEF | rules).response["violations"]

    def photograph(self, name: str) -> None:
        """Keep the page as build/screenshots/<name>.png."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        before = self.page.viewport_size
        tall = min(self.page.evaluate("document.documentElement.scrollHeight"), TALLEST)
        self.page.set_viewport_size({"width": before["width"], "height": max(tall, before["height"])})
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled")
        self.page.set_viewport_size(before)


# The elements that reach furthest beyond the right edge, for whoever has to find out why.
WIDEST = """[...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .slice(0, 5).map((each) => each.outerHTML.slice(0, 120))"""


@contextmanager
def viewed(browser: Browser, base: str, width: int = 1440, scheme: str = "light") -> Iterator[View]:
    """A page of that width; whatever it does is watched, and at the end it must have been quiet."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme, locale="en-GB")
    try:
        view = watched(context, base)
        yield view
        view.is_quiet()
    finally:
        context.close()


def watched(context: BrowserContext, base: str) -> View:
    context.set_default_timeout(PATIENCE)
    view = View(context.new_page(), base)
    context.expose_binding("reportViolation", lambda _, told: view.faults.append(f"the policy forbade {told}"))
    context.add_init_script(REPORT_VIOLATIONS)
    context.on("request", lambda request: view.requested(request.url))
    view.page.on("console", view.said)
    view.page.on("pageerror", lambda error: view.faults.append(f"an exception in the page: {error}"))
    return view
