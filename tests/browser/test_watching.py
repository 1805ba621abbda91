"""The watch over the pages sees what it is there to see: no test above passes because nobody looked."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Views
from tests.browser.driving import View

pytestmark = pytest.mark.needs("chromium")

FOREIGN = "http://elsewhere.invalid/"
WRONG = {
    "the policy forbade": f"document.body.insertAdjacentHTML('beforeend', '<img src=\"{FOREIGN}x.png\">')",
    "console error": "console.error('something is wrong')",
    "an exception in the page": "setTimeout(() => { throw new Error('a bug') }, 0)",
    "a request to another host": f"void window.open('{FOREIGN}', '_self')",
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_goes_wrong_in_a_page_is_noticed(view: Views, fault: str):
    with view() as here:
        here.go("/content")
        here.page.evaluate(WRONG[fault])
        until_noticed(here, fault)
        here.faults.clear()


def until_noticed(here: View, fault: str) -> None:
    for _ in range(100):
        if any(each.startswith(fault) for each in here.faults):
            return
        here.page.wait_for_timeout(100)
    raise AssertionError(f"not noticed; seen were {here.faults}")


def test_what_is_too_wide_or_cannot_be_told_apart_is_noticed(view: Views):
    with view(320) as here:
        here.go("/content/changes")
        here.fits()
        here.is_accessible()
        here.page.evaluate("document.querySelector('h1').style.width = '900px'")
        here.page.evaluate("document.querySelector('.content-foot').style.color = '#bbb'")
        with pytest.raises(AssertionError, match="pixels too wide"):
            here.fits()
        with pytest.raises(AssertionError, match="color-contrast"):
            here.is_accessible()
