"""A vignette: a patient as a clinician would describe one, in TOML, and what the service should say of it.

Days are given as `days_ago`, counted from `as_of`, or as dates. `vignette_fhir` makes the hook request of it, so that a
vignette goes through the whole service: the reader, the findings, the tables, the cards.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

from msgspec import field

from ..cdshooks.registry import DEFAULT_HOOK, HOOKS
from ..content.faults import ContentError, Faults, listing, nearest
from ..content.files import parsed, shipped_folder
from ..content.typed import Shape, read
from ..store.records import Override

ARCHIVE = "vignettes.zip"
PLAIN_NAME = re.compile(r"[a-z0-9-]+")
MONTH_OR_YEAR = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?")
DEFAULT_DAY = date(2026, 1, 15)
DRAFT = {"orderable", "ingredient", "text", "id", "status", "route", "dose", "every", "times", "for", "instructions",
         "phases", "as_needed"}  # fmt: skip
KEYS = {
    "lab": {"analyte", "value", "unit", "comparator", "status", "low", "high", "flag", "outcome", "code", "id"},
    "problem": {"concept", "as", "status", "ended_days_ago", "ended", "text"},
    "medicine": {
        "ingredient",
        "as",
        "status",
        "route",
        "dose",
        "every",
        "ended_days_ago",
        "ended",
        "text",
        "id",
        "ampoules",
        "supply",
        "on",
        "phases",
    },
    "allergy": {"substance"},
    "order": {"orderable", "planned", "planned_days_ago"},
    "selected": DRAFT,
    "beside": DRAFT,
    "remembered": {"row", "reason", "test", "medicine"},
}
DAYS = {"days_ago", "date"}  # of every entry


EXPECTED = frozenset(  # what a vignette may expect; a misspelt word would expect nothing
    "label rows rows_include course indicator indicators tests has_tests medicines says says_first never evidence_says "
    "has_follow_ups no_follow_ups missing status cards cards_say shown suppressed offered has_offered".split()
)
Entries = tuple[dict[str, Any], ...]


class VignetteError(ValueError):
    """A vignette that cannot be read: names the place, the fault and what is allowed."""


class PatientTable(Shape, frozen=True, kw_only=True):
    """Who it is."""

    age: Any = 50  # a number, its text, or "unknown": checked with the other numbers
    born: date | None = None
    sex: Literal["female", "male", "other", "unknown"] = "female"
    deceased: bool = False


class VignetteFile(Shape, frozen=True, kw_only=True):
    """The frame of a vignette; what its entries may say is in KEYS."""

    title: str
    source: str = ""
    as_of: date = DEFAULT_DAY
    pathway: str = "uk-ng239"
    overlay: str = ""
    hook: str = DEFAULT_HOOK
    egfr: Literal["normal", "told", "unknown"] = "normal"
    unavailable: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    patient: PatientTable = PatientTable()
    lab: Entries = ()
    problem: Entries = ()
    medicine: Entries = ()
    allergy: Entries = ()
    order: Entries = ()
    selected: Entries = ()
    beside: Entries = ()
    remembered: Entries = ()
    expect: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vignette:
    """The patient, and what the service is expected to say."""

    name: str
    title: str
    as_of: date
    pathway: str
    fields: dict[str, Any]
    expect: dict[str, Any]
    overlay: str = ""  # the example site of fixtures/sites whose folder lies over the content
    hook: str = DEFAULT_HOOK


def read_vignette(path: Path) -> Vignette:
    """One vignette from its file."""
    return parse_vignette(path.read_text(encoding="utf-8-sig"), path.name)


def shipped_vignettes(pathway: str = "") -> dict[str, Vignette]:
    """Every vignette that is shipped, or every one of a pathway, by pathway and name ("uk-ng239/21-leber"): from the
    folder of a checkout, or from the one compressed file of an installed package."""
    try:
        archive = shipped_folder("fixtures", holding=ARCHIVE) / ARCHIVE
    except ContentError:
        folder = shipped_folder("fixtures", holding="vignettes") / "vignettes"
        paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob(f"{pathway or '*'}/*.toml"))}
        return {name.removesuffix(".toml"): read_vignette(path) for name, path in paths.items()}
    with ZipFile(archive) as packed:
        names = [name for name in sorted(packed.namelist()) if not pathway or name.startswith(f"{pathway}/")]
        texts = {name: packed.read(name).decode() for name in names}
    return {name.removesuffix(".toml"): parse_vignette(text, Path(name).name) for name, text in texts.items()}


def parse_vignette(text: str, name: str) -> Vignette:
    """One vignette from the text of the file of that name."""
    try:
        fields = parsed(text)
    except ValueError as error:
        raise VignetteError(f"{name} is not TOML: {error}") from None
    title = fields.get("title")
    if not isinstance(title, str) or not title.strip():
        raise VignetteError(f'{name} title: is missing; allowed: a line such as title = "B12 150, tingling feet"')
    faults = Faults()
    read(VignetteFile, fields, name, faults)
    for line in faults.lines:
        raise VignetteError(line.replace(": ", " ", 1))
    for table, keys in (*KEYS.items(), ("expect", EXPECTED)):
        check_keys(name, table, keys, fields.get(table, ()))
    overlay = fields.get("overlay", "")
    if not isinstance(overlay, str) or (overlay and not PLAIN_NAME.fullmatch(overlay)):
        raise VignetteError(f"{name} overlay: {overlay!r} is no name; it may hold a-z, 0-9 and - only")
    if (wanted := next((each for each in fields.get("remembered", ()) if not DAYS & each.keys()), None)) is not None:
        raise VignetteError(f"{name} [[remembered]] {wanted}: says no day; allowed: days_ago or date")
    as_of, pathway = fields.get("as_of", DEFAULT_DAY), fields.get("pathway", "uk-ng239")
    hook = fields.get("hook", DEFAULT_HOOK)
    if hook not in HOOKS:
        raise VignetteError(f"{name} hook: {hook!r}. Allowed: {', '.join(HOOKS)}")
    expect, stem = fields.get("expect", {}), name.removesuffix(".toml")
    return Vignette(stem, title, as_of, pathway, fields, expect, overlay, hook)


def check_keys(name: str, table: str, keys: Collection[str], entries: Any) -> None:
    """VignetteError where an entry says what nothing reads, or a day that is none."""
    is_table = isinstance(entries, dict)
    allowed, place = (keys, f"[{table}]") if is_table else ({*keys, *DAYS}, f"[[{table}]]")
    for entry in [entries] if is_table else entries:
        for key in sorted(set(entry) - set(allowed)):
            raise VignetteError(f"{name} {place}: unknown {key!r}.{nearest(key, allowed)} Known: {listing(allowed)}")
        for key in ("date", "ended"):
            if key in entry and not is_day(entry[key]):
                raise VignetteError(f"{name} {place} {key}: {entry[key]!r} is no day; allowed: a date like 2026-01-31")


def is_day(value: object) -> bool:
    """A date, or the text of one; the text may be a month or a year."""
    if isinstance(value, str):
        try:
            return bool(MONTH_OR_YEAR.fullmatch(value)) or str(date.fromisoformat(value)) == value
        except ValueError:
            return False
    return type(value) is date


class Recollection:
    """What a vignette says about its reader, in `[[remembered]]`: rows that were dismissed on the very evidence that it
    tells, and tests and medicines whose suggestion was accepted."""

    known = True

    def __init__(self, vignette: Vignette):
        self._rows: dict[str, Override] = {}
        self._orders: dict[tuple[str, str], date] = {}
        for each in vignette.fields.get("remembered", ()):
            day = each.get("date") or vignette.as_of - timedelta(days=each["days_ago"])
            if "row" in each:
                self._rows[each["row"]] = Override(day, each.get("reason", ""))
            for kind in {"test", "medicine"} & each.keys():
                self._orders[kind, each[kind]] = day

    def __bool__(self) -> bool:
        return bool(self._rows or self._orders)

    def history(self, who: object, now: int, zone: tzinfo) -> Recollection:
        """The history of a call about the vignette's patient: this."""
        return self

    def save_decision(self, decision: object) -> None:
        """Nothing is recorded."""

    def dismissed(self, row: str, evidence: str) -> Override | None:
        return self._rows.get(row)

    def accepted(self, kind: str, draft: str) -> date | None:
        return self._orders.get((kind, draft))


def overlay_folder(vignette: Vignette) -> Path | None:
    """The example site's folder that the vignette names, or None. ContentError if there is none of that name."""
    if not vignette.overlay:
        return None
    return shipped_folder("fixtures", holding=f"sites/{vignette.overlay}") / "sites" / vignette.overlay
