"""The documents build as a site without a warning, without the network, and the pages fetch nothing from others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"
FETCHED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?(https?://[^\" >]+)")


def test_the_site_is_built_without_a_warning_and_fetches_nothing_from_others():
    built = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "build.py")], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    pages = sorted(SITE.rglob("*.html"))
    assert SITE / "index.html" in pages
    assert SITE / "docs" / "clinical-reference.html" in pages
    assert "interpret" in (SITE / "docs" / "generated" / "us-aafp.html").read_text(encoding="utf-8").lower()
    fetched = {(page.name, url) for page in pages for url in FETCHED.findall(page.read_text(encoding="utf-8"))}
    assert fetched == set()
