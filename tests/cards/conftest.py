"""What the content tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cards.small_content import SmallContent


@pytest.fixture
def small(tmp_path: Path) -> SmallContent:
    return SmallContent(tmp_path / "cards", tmp_path / "site")
