"""How the loader says what is wrong: every fault of the content at once, each with its place and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class ContentError(Exception):
    """The content cannot be used. `faults` are the lines that `b12-cds check` prints, in the order of the files."""

    def __init__(self, faults: Iterable[str]):
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class Faults:
    """Collects faults, so that an author sees all of them and not only the first; each one is listed once."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def add(self, place: str, fault: str) -> None:
        """Note a fault. `place` names file and row: `uk-ng239/interpret.toml row "deficient"`."""
        self._lines[f"{place}: {fault}"] = None

    def unknown(self, place: str, kind: str, name: str, known: Iterable[str]) -> None:
        """Note a name that nothing answers to, with the nearest known one and all that are known."""
        self.add(place, f"no {kind} {name!r}.{nearest(name, known)} Known: {listing(known)}")

    def inherit(self, inherited: Mapping[str, str]) -> None:
        """Drop what an extending pathway has wrong because its parent has: it is named where it stands. The rest says
        from where the entry comes."""
        lines: dict[str, None] = {}
        for line in self._lines:
            place = next((each for each in inherited if line.startswith(each)), "")
            parents, rest = inherited.get(place, ""), line[len(place) :]
            if not place:
                lines[line] = None
            elif f"{parents}{rest}" not in self._lines:
                lines[f"{place} (from {parents.partition('/')[0]}){rest}"] = None
        self._lines = lines

    @property
    def lines(self) -> tuple[str, ...]:
        """What was noted, in its order."""
        return tuple(self._lines)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def raise_any(self) -> None:
        """Raise ContentError if anything was noted."""
        if self._lines:
            raise ContentError(self._lines)


def nearest(name: str, known: Iterable[str], alike: float = 0.6) -> str:
    """A sentence that suggests the known name most like this one, or ""."""
    matches = get_close_matches(name, sorted(known), n=1, cutoff=alike)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def listing(names: Iterable[str]) -> str:
    """Names as a readable list, sorted; "none" if there are none."""
    return ", ".join(sorted(names)) or "none"
