"""`b12-cds` as the pages are followed with it: a site's folder is checked with some of the shipped vignettes.

All of them are asked in tests/cards. What a folder's own limits do at their boundaries is tried here as everywhere.
"""

from __future__ import annotations

import sys

from cds_service.cli import main
from tests.loading import without_grammars


def run(every: int) -> None:
    """The program, with every so manieth of a pathway's vignettes."""
    without_grammars()
    if "check" in sys.argv:
        ask_some(every)
    main()


def ask_some(every: int) -> None:
    from cds_service.site_trial import Baseline

    whole = Baseline.vignettes
    Baseline.vignettes = lambda self, pathway: whole(self, pathway)[::every]
