"""`b12-cds replay DIR --against CONTENT`: saved requests answered by two contents, and in what the answers differ.

For whoever reviews a change of the content before it is made. A request is made once and answered twice, on the same
day; nothing is fetched. What cannot be read or answered is reported by name.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console
from rich.progress import track

from ..app import client_config
from ..cdshooks.client_config import ClientConfig
from ..content.content import Content, load_content
from ..content.faults import ContentError
from ..content.files import cards_folder
from ..evaluate import Evaluation
from ..explanation import Saved, answer_saved
from ..settings import Settings, SettingsError, load_settings
from .explain import CannotExplain, overlay_of, read_saved
from .parameters import Day
from .site_check import printable

Json = dict[str, Any]
DAYS = "days.toml"  # in the folder of the requests: the day of each, by its name; "*" is the day of the others
REQUEST, RESPONSE = ".request", ".response"  # "epic.request.json" belongs to "epic.response.json", which is no request


class CannotReplay(Exception):
    """Nothing can be replayed. Its text is one line for each fault."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise: what, and how it was and is. "" is nothing."""

    what: str
    ours: str
    theirs: str

    @property
    def kind(self) -> str:
        """In a word: "label", "rows", "card", "summary", "suggestions", "orders" ..."""
        return self.what.rpartition(": ")[2].partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One request by its path below the folder: what changes, or why it could not be answered."""

    name: str
    changes: tuple[Change, ...] = ()
    fault: str = ""


@dataclass(slots=True)
class Side:
    """One of the two contents, with the services that it makes. A vignette may bring an example site of its own."""

    root: Path
    site: Path | None
    settings: Settings
    contents: dict[Path | None, Content] = field(default_factory=dict)
    services: dict[tuple[Path | None, str], ClientConfig] = field(default_factory=dict)

    def content(self, overlay: Path | None = None) -> Content:
        """The content with the site that was asked for over it, else with the vignette's. ContentError."""
        site = self.site or overlay
        if site not in self.contents:
            self.contents[site] = load_content(self.root, site)
        return self.contents[site]

    def service(self, pathway: str, overlay: Path | None) -> ClientConfig:
        """The service of a pathway; SettingsError where this content has none of that name."""
        key = self.site or overlay, pathway
        if key not in self.services:
            chosen = self.settings.model_copy(update={"pathway": pathway, "site_dir": self.site})
            self.services[key] = client_config(chosen, self.content(overlay))
        return self.services[key]


@dataclass(slots=True)
class Replay:
    """Both contents, and how the requests are asked: as on their own days, else `now`. `day` and `pathway` are for all
    of them where they are given."""

    ours: Side
    theirs: Side
    now: datetime
    day: date | None = None
    pathway: str = ""

    def check(self) -> None:
        """Load both contents; CannotReplay names every fault of theirs."""
        for side in (self.ours, self.theirs):
            try:
                side.content()
            except ContentError as error:
                raise CannotReplay("\n".join(error.faults)) from None

    def answered(self, folder: Path, path: Path, days: dict[Path, dict[str, date]]) -> Replayed:
        """One request, asked of both."""
        name = str(path.relative_to(folder))
        try:
            overlay = overlay_of(path)
            saved = read_saved(path, self.ours.content(overlay))
            pathway = self.pathway or saved.pathway or self.ours.settings.pathway
            services = [side.service(pathway, overlay) for side in (self.ours, self.theirs)]
            day = self.day or saved.as_of or day_of(path, days) or self.today(services[0])
            ours, theirs = (answer_of(saved, service, day) for service in services)
        except CannotExplain as error:
            return Replayed(name, fault=str(error).removeprefix(f"{path}: "))
        except (SettingsError, ContentError) as error:
            return Replayed(name, fault=" ".join(str(error).split()))
        return Replayed(name, tuple(changes(ours, theirs)))

    def today(self, service: ClientConfig) -> date:
        """The calendar day where that service stands."""
        return self.now.astimezone(service.zone).date()


def answer_of(saved: Saved, service: ClientConfig, day: date) -> Evaluation:
    return answer_saved(saved.request, service, day, history=saved.history)


def requests_in(folder: Path) -> tuple[list[Path], int]:
    """Every file below the folder that should be a request, and how many recorded answers the folder holds."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".toml") and path.is_file())
    files = [path for path in files if path.name != DAYS]
    found = [path for path in files if not path.stem.endswith(RESPONSE)]
    return found, len(files) - len(found)


def days_in(folder: Path) -> dict[Path, dict[str, date]]:
    """By folder, the days that its days.toml states."""
    found: dict[Path, dict[str, date]] = {}
    for path in sorted(folder.rglob(DAYS)):
        try:
            written_days = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CannotReplay(f"{path}: {' '.join(str(error).split())}") from None
        for name, day in written_days.items():
            if type(day) is not date:
                raise CannotReplay(f'{path}: "{name}" is no day; allowed: a date like 2026-01-15')
        found[path.parent] = written_days
    return found


def day_of(path: Path, days: dict[Path, dict[str, date]]) -> date | None:
    """The day of a request by the days.toml of its folder."""
    written_days = days.get(path.parent, {})
    return written_days.get(path.stem.removesuffix(REQUEST)) or written_days.get("*")


def changes(ours: Evaluation, theirs: Evaluation) -> Iterator[Change]:
    """In what two answers to one request differ."""
    for what, left, right in (
        ("status", str(ours.status), str(theirs.status)),
        ("missing", ", ".join(ours.missing), ", ".join(theirs.missing)),
        ("label", ours.decision.label, theirs.decision.label),
        ("rows", ", ".join(ours.decision.rows), ", ".join(theirs.decision.rows)),
    ):
        if left != right:
            yield Change(what, left, right)
    left_cards, right_cards = cards_by_rows(ours), cards_by_rows(theirs)
    for rows in dict.fromkeys((*left_cards, *right_cards)):
        left_card, right_card = left_cards.get(rows), right_cards.get(rows)
        if left_card and right_card:
            yield from card_changes(rows, left_card, right_card)
        else:
            yield Change(f"card {rows}", headline(left_card), headline(right_card))
    if list(left_cards) != list(right_cards) and sorted(left_cards) == sorted(right_cards):
        yield Change("order of the cards", "; ".join(left_cards), "; ".join(right_cards))


def cards_by_rows(found: Evaluation) -> dict[str, Json]:
    """The cards by the rows that they show, in their order."""
    rows: dict[str, list[str]] = {}
    for each in found.shown:
        rows.setdefault(each.card, []).append(each.row)
    return {" + ".join(rows[card["uuid"]]): card for card in found.cards}


def headline(card: Json | None) -> str:
    return f"{card['indicator']}: {card['summary']}" if card else ""


def card_changes(rows: str, ours: Json, theirs: Json) -> Iterator[Change]:
    """In what two cards of the same rows differ. Whatever else a card may hold is compared too."""
    if ours == theirs:
        return
    for key in dict.fromkeys((*ours, *theirs)):
        left, right = ours.get(key), theirs.get(key)
        if left == right:
            continue
        if key == "suggestions":
            yield from suggestion_changes(rows, left or [], right or [])
        else:
            yield Change(f"card {rows}: {key}", as_text(left), as_text(right))


def suggestion_changes(rows: str, ours: list[Json], theirs: list[Json]) -> Iterator[Change]:
    """Suggestions that come, go or move; and those whose order is another one under the same words."""
    left, right = [each["label"] for each in ours], [each["label"] for each in theirs]
    if left != right:
        yield Change(f"card {rows}: suggestions", "; ".join(left), "; ".join(right))
    before = {each["label"]: each["actions"] for each in ours}
    for each in theirs:
        actions = before.get(each["label"], each["actions"])
        if actions != each["actions"]:
            yield Change(f"card {rows}: orders of {each['label']!r}", as_text(actions), as_text(each["actions"]))


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.Encoder(decimal_format="number").encode(value).decode()


UNUSABLE = 2  # exit code; 1: something changes, 0: nothing does
SHORT = 160  # signs: two values of this length are written side by side
Folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=Folder, metavar="DIR")
@click.option("--against", type=Folder, metavar="CONTENT", help="Another cards folder (default: ours).")
@click.option("--site", type=Folder, help="The folder laid over our content (default: CDS_SITE_DIR).")
@click.option("--against-site", type=Folder, help="The folder laid over the other content (default: none).")
@click.option("--pathway", default="", help="Ask all of them about this pathway (default: their own, CDS_PATHWAY).")
@click.option("--as-of", "as_of", type=Day(), help="Judge all of them as on this day.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(folder: Path, as_of: datetime | None, as_json: bool, **asked: Any) -> None:
    """Answer the saved requests (JSON) and vignettes (TOML) below DIR by two contents, and print what changes.

    Exit code 0: nothing changes. 1: something does. 2: a content or a request could not be used. The day of a request
    is that of --as-of, of the vignette, of its folder's days.toml, or today.
    """

    if not (asked["against"] or asked["against_site"]):
        refuse("replay: against what? Name --against CONTENT (a cards folder), --against-site DIR, or both")
    if asked["against"] and not is_cards_folder(asked["against"]):
        refuse(f"replay: --against {asked['against']} is no cards folder; a site's folder is given by --against-site")
    paths, answers = requests_in(folder)
    if not paths:
        refuse(f"{folder}: no request (.json) and no vignette (.toml) is in it")
    made = replay_of(day=as_of.date() if as_of else None, **asked)
    try:
        made.check()
        days = days_in(folder)
    except CannotReplay as error:
        refuse(*str(error).splitlines())
    found = [made.answered(folder, path, days) for path in shown(paths)]
    (print_json if as_json else print_lines)(made, found, answers)
    if any(each.fault for each in found):
        sys.exit(UNUSABLE)
    sys.exit(1 if any(each.changes for each in found) else 0)


def is_cards_folder(folder: Path) -> bool:
    """Is it a whole content, and not the folder of a site, which is laid over one?"""
    return (folder / "content.toml").is_file() and not (folder / "site.toml").is_file()


def replay_of(against: Path | None, site: Path | None, against_site: Path | None, **more: Any) -> Replay:
    """Both sides, by the settings."""

    try:
        settings = load_settings()
    except SettingsError as error:
        refuse(str(error))
    ours = Side(cards_folder(), site or settings.site_dir, settings)
    theirs = Side(against or cards_folder(), against_site, settings)
    return Replay(ours, theirs, now=datetime.now(UTC), **more)


def shown(paths: list[Path]) -> Iterable[Path]:
    """The paths one after the other, with their progress on a terminal."""

    return track(paths, "Replaying", console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def print_lines(made: Replay, found: list[Replayed], answers: int) -> None:
    """What changes, request by request; what could not be used; how many of each there are."""

    for line in lines(made, found, answers):
        click.echo(printable(line))


def lines(made: Replay, found: list[Replayed], answers: int) -> Iterator[str]:
    ours, theirs = made.ours.content(), made.theirs.content()
    yield f"Ours:    {ours.version}, {ours.digest[:16]}"
    yield f"Against: {theirs.version}, {theirs.digest[:16]}"
    for each in found:
        if each.fault:
            yield f"\n{each.name}\n  cannot be used: {each.fault}"
        elif each.changes:
            yield f"\n{each.name}"
            for change in each.changes:
                yield from change_lines(change)
    changed, unusable = sum(bool(each.changes) for each in found), sum(bool(each.fault) for each in found)
    passed_over = f", {answers} recorded answers (*.response.json) were passed over" if answers else ""
    yield f"\nRequests: {len(found)}. Changed: {changed}. Cannot be used: {unusable}{passed_over}."
    counted = Counter(kind for each in found for kind in {change.kind for change in each.changes})
    if counted:
        yield "Requests by what changes: " + ", ".join(f"{kind} {number}" for kind, number in sorted(counted.items()))


def change_lines(change: Change) -> Iterator[str]:
    """A change in one line; a longer text by the lines that go and come."""
    if "\n" not in change.ours + change.theirs and len(change.ours + change.theirs) <= 2 * SHORT:
        yield f"  {change.what}: {change.ours or '(nothing)'} -> {change.theirs or '(nothing)'}"
        return
    yield f"  {change.what}:"
    before, after = change.ours.splitlines(), change.theirs.splitlines()
    yield from (f"    - {line}" for line in before if line.strip() and line not in after)
    yield from (f"    + {line}" for line in after if line.strip() and line not in before)


def print_json(made: Replay, found: list[Replayed], answers: int) -> None:
    """The same as one JSON document; requests that do not change are counted and not listed."""

    contents = {"ours": made.ours.content(), "against": made.theirs.content()}
    document = {
        **{name: {"version": each.version, "digest": each.digest} for name, each in contents.items()},
        "requests": len(found),
        "changed": [
            {
                "request": each.name,
                "changes": [{"what": one.what, "ours": one.ours, "against": one.theirs} for one in each.changes],
            }
            for each in found
            if each.changes
        ],
        "unusable": [{"request": each.name, "fault": each.fault} for each in found if each.fault],
        "passedOver": answers,
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def refuse(*faults: str) -> NoReturn:
    """End with a line for each fault on the standard error stream."""
    for line in faults:
        click.echo(f"b12-cds: {line}", err=True)
    sys.exit(UNUSABLE)
