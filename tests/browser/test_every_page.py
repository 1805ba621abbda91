"""Every page at every width, in light and in dark: nobody scrolls sideways, axe finds nothing serious, nothing breaks.

Screenshots of where axe looked are kept in build/screenshots, to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests import depth
from tests.browser.conftest import Views
from tests.browser.driving import SCHEMES, WIDTHS, View

pytestmark = pytest.mark.needs("chromium")

Opening = Callable[[View], None]
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true })"


def at(path: str) -> Opening:
    return lambda here: here.go(path)


def unfolded(path: str) -> Opening:
    """Everything that is folded away is opened."""

    def opening(here: View) -> None:
        here.go(path)
        here.page.evaluate(OPEN_ALL)

    return opening


def evidence(here: View) -> None:
    here.go("/?patient=neuro-metformin")
    here.page.get_by_role("button", name="Open as a page to print").click()
    here.page.wait_for_url("**/evidence")


def answered(here: View) -> None:
    """A card was overridden, and the page tells what the store holds."""
    here.go("/?patient=severe-anaemia")
    here.page.get_by_role("button", name="Override").first.click()
    expect(here.page.get_by_text("the store has it").first).to_be_visible()


def refused(here: View) -> None:
    """A form that could not be read is answered with a page that says why."""
    with here.refused():
        here.page.goto(f"{here.base}/?patient=nobody")


def wrong(here: View) -> None:
    """A form with faults comes back as it was typed."""
    here.go("/?patient=uk-ng239/02-edge-180-is-grey")
    here.page.evaluate(OPEN_ALL)
    here.page.get_by_label("Age in years").fill("40,5")
    here.page.locator("#lab-0-value").fill("1,234")
    here.page.locator("#new-lab-0-value").fill("12")
    with here.refused():
        here.page.get_by_role("button", name="Show the cards").last.click()
        here.page.wait_for_selector("#faults")


PAGES = {
    "playground": at("/"),
    "playground-unfolded": unfolded("/?patient=renal"),
    "playground-critical": at("/?patient=nitrous-oxide"),
    "playground-pregnant": at("/?patient=pregnant"),
    "playground-no-card": at("/?patient=uk-ng239/06-above-no-symptom"),
    "examples": at("/examples"),
    "fhir": at("/fhir"),
    "evidence": evidence,
    "feedback": answered,
    "fault": refused,
    "wrong": wrong,
    "about": at("/about"),
    "about-unfolded": unfolded("/about"),
    "content": at("/content"),
    "content-interpret": at("/content/pathways/uk-ng239/interpret"),
    "content-safety": at("/content/pathways/us-aafp/safety"),
    "content-findings": at("/content/pathways/uk-ng239/findings"),
    "content-thresholds": at("/content/pathways/uk-ng239/thresholds"),
    "content-regimens": at("/content/pathways/uk-ng239/regimens"),
    "content-orderables": at("/content/pathways/uk-ng239/orderables"),
    "content-analytes": at("/content/pathways/uk-ng239/analytes"),
    "content-fixed": at("/content/pathways/uk-ng239/fixed"),
    "content-sources": at("/content/pathways/uk-ng239/sources"),
    "content-value-sets": at("/content/value-sets"),
    "content-value-set": at("/content/value-sets/lab-b12"),
    "content-difference": at("/content/difference?site=example"),
    "content-changes": at("/content/changes"),
    "content-studio": at("/content/edit?row=interpret/deficient"),
}


Shape = tuple[int, str]
EVERY: tuple[Shape, ...] = tuple((width, scheme) for width in WIDTHS for scheme in SCHEMES)
# Whether one has to scroll sideways depends on the width, and contrasts on the colours: one opening of a page takes
# every width in turn, and each scheme where axe looks, once in either layout; in the second it looks at colours only.
# Thorough: an opening of its own for each.
ACCESSIBLE: tuple[Shape, ...] = depth.chosen(((320, "dark"), (1440, "light")), EVERY)
COLOURS_ONLY: tuple[Shape, ...] = depth.chosen(ACCESSIBLE[1:], ())
ONCE: tuple[Shape, ...] = ((320, "dark"), (768, "light"), (1440, "light"))
OPENINGS: tuple[tuple[Shape, ...], ...] = depth.chosen((ONCE,), tuple((shape,) for shape in EVERY))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_read_by_everybody(view: Views, name: str):
    for shapes in OPENINGS:
        with view(*shapes[0]) as here:
            PAGES[name](here)
            for width, scheme in shapes:
                here.takes(width, scheme)
                if (width, scheme) in ACCESSIBLE:
                    here.photograph(f"{name}-{width}-{scheme}")
                here.fits()
                if (width, scheme) in ACCESSIBLE:
                    here.is_accessible(colours_only=(width, scheme) in COLOURS_ONLY)


def test_every_width_and_every_scheme_is_looked_at_and_axe_sees_either_scheme():
    shown = {shape for shapes in OPENINGS for shape in shapes}
    assert {width for width, _ in shown} == set(WIDTHS)
    assert {scheme for _, scheme in ACCESSIBLE} == set(SCHEMES)
    assert shown >= set(ACCESSIBLE)
