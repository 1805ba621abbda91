"""A vignette: a patient as a clinician would describe one, in TOML, and what the service should say of it.

Days are given as `days_ago`, counted from `as_of`, or as dates. `vignette_fhir` makes the hook request of it, so that a
vignette goes through the whole service: the reader, the findings, the tables, the cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from ..cdshooks.registry import DEFAULT_HOOK, HOOKS
from ..content.faults import ContentError, listing, nearest
from ..content.files import parsed, shipped_folder
from ..store.records import Override

ARCHIVE = "vignettes.zip"
PLAIN_NAME = re.compile(r"[a-z0-9-]+")
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


class VignetteError(ValueError):
    """A vignette that cannot be read: names the place, the fault and what is allowed."""


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
    for table, keys in KEYS.items():
        for entry in fields.get(table, ()):
            allowed = keys | DAYS
            for key in sorted(set(entry) - allowed):
                known = f"{nearest(key, allowed)} Known: {listing(allowed)}"
                raise VignetteError(f"{name} [[{table}]]: unknown {key!r}.{known}")
    overlay = fields.get("overlay", "")
    if not isinstance(overlay, str) or (overlay and not PLAIN_NAME.fullmatch(overlay)):
        raise VignetteError(f"{name} overlay: {overlay!r} is no name; it may hold a-z, 0-9 and - only")
    as_of, pathway = fields.get("as_of", DEFAULT_DAY), fields.get("pathway", "uk-ng239")
    hook = fields.get("hook", DEFAULT_HOOK)
    if hook not in HOOKS:
        raise VignetteError(f"{name} hook: {hook!r}. Allowed: {', '.join(HOOKS)}")
    expect, stem = fields.get("expect", {}), name.removesuffix(".toml")
    return Vignette(stem, title, as_of, pathway, fields, expect, overlay, hook)


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
