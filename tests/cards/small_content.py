"""A small complete content for the loader's tests: each test changes one thing and reads what the loader says."""

from __future__ import annotations

from pathlib import Path

from cds_service.content.check import Vocabulary
from cds_service.content.content import Content, load_content
from cds_service.content.faults import ContentError
from tests.cards.small_files import FILES
from tests.cards.small_pathway import PATHWAY

VOCABULARY = Vocabulary(
    findings=frozenset(("b12_deficient", "b12_grey", "neuro", "symptoms")),
    longest={"b12": ">=1234567.89 pmol/L", "b12_date": "30 Sep 2026", "symptoms": "x" * 100},
    thresholds={"b12-deficient-mass": "ng/L", "b12-grey-mass": "ng/L"},
    problem_groups=frozenset(("symptom", "neuro", "pregnancy", "breastfeeding", "lifelong")),
    medicine_groups=frozenset(("cobalamin", "cyanocobalamin")),
)


class SmallContent:
    """The small content in a folder, to be changed file by file; `site` is a folder laid over it, if a test asks."""

    def __init__(self, folder: Path, site: Path):
        self.folder, self._site = folder, site
        for name, text in FILES.items():
            self.write(name, text)
        for name, text in PATHWAY.items():
            self.write(f"pathways/uk-small/{name}", text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Replace the first `old` in a file; it must be there. A pathway's file needs no folder in its name."""
        path = self.folder / (f"pathways/uk-small/{name}" if name in PATHWAY else name)
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def site(self, name: str, text: str) -> None:
        """Write a file of the site's own folder."""
        path = self._site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def load(self) -> Content:
        return load_content(self.folder, self._site if self._site.exists() else None, VOCABULARY)

    def faults(self) -> tuple[str, ...]:
        """Every fault that the loader names; none if it loads."""
        try:
            self.load()
        except ContentError as error:
            return error.faults
        return ()

    def fault(self) -> str:
        """The one fault."""
        faults = self.faults()
        assert len(faults) == 1, faults
        return faults[0]
