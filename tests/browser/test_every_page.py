"""Every page at every width, in light and in dark: nobody scrolls sideways, axe finds nothing serious, nothing breaks.

A screenshot of each is kept in build/screenshots, to be looked at.
"""

from __future__ import annotations

import pytest

from tests.browser.conftest import Views
from tests.browser.driving import SCHEMES, WIDTHS

pytestmark = pytest.mark.needs("chromium")

PAGES = {
    "content": "/content",
    "content-interpret": "/content/pathways/uk-ng239/interpret",
    "content-safety": "/content/pathways/us-aafp/safety",
    "content-thresholds": "/content/pathways/uk-ng239/thresholds",
    "content-regimens": "/content/pathways/uk-ng239/regimens",
    "content-orderables": "/content/pathways/uk-ng239/orderables",
    "content-analytes": "/content/pathways/uk-ng239/analytes",
    "content-fixed": "/content/pathways/uk-ng239/fixed",
    "content-sources": "/content/pathways/uk-ng239/sources",
    "content-value-sets": "/content/value-sets",
    "content-value-set": "/content/value-sets/lab-b12",
    "content-difference": "/content/difference?site=example",
    "content-changes": "/content/changes",
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_read_by_everybody(view: Views, name: str, width: int, scheme: str):
    with view(width, scheme) as here:
        here.go(PAGES[name])
        here.photograph(f"{name}-{width}-{scheme}")
        here.fits()
        here.is_accessible()
