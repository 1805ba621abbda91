"""`b12-cds replay DIR --against CONTENT`: what an upgrade of the content would change, before it is made."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from .replaying import Change, Replay, Replayed

UNUSABLE = 2  # exit code; 1: something changes, 0: nothing does
SHORT = 160  # signs: two values of this length are written side by side
Folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=Folder, metavar="DIR")
@click.option("--against", type=Folder, metavar="CONTENT", help="Another cards folder (default: ours).")
@click.option("--site", type=Folder, help="The folder laid over our content (default: CDS_SITE_DIR).")
@click.option("--against-site", type=Folder, help="The folder laid over the other content (default: none).")
@click.option("--pathway", default="", help="Ask all of them about this pathway (default: their own, CDS_PATHWAY).")
@click.option("--as-of", "as_of", type=click.DateTime(["%Y-%m-%d"]), help="Judge all of them as on this day.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(folder: Path, as_of: datetime | None, as_json: bool, **asked: Any) -> None:
    """Answer the saved requests (JSON) and vignettes (TOML) below DIR by two contents, and print what changes.

    Exit code 0: nothing changes. 1: something does. 2: a content or a request could not be used. The day of a request
    is that of --as-of, of the vignette, of a days.toml beside it, or today.
    """
    from .replaying import CannotReplay, days_in, requests_in

    if not (asked["against"] or asked["against_site"]):
        refuse("replay: against what? Name --against CONTENT (a cards folder), --against-site DIR, or both")
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


def replay_of(against: Path | None, site: Path | None, against_site: Path | None, **more: Any) -> Replay:
    """Both sides, by the settings."""
    from ..content.files import cards_folder
    from ..settings import SettingsError, load_settings
    from .replaying import Replay, Side

    try:
        settings = load_settings()
    except SettingsError as error:
        refuse(str(error))
    ours = Side(cards_folder(), site or settings.site_dir, settings)
    theirs = Side(against or cards_folder(), against_site, settings)
    return Replay(ours, theirs, now=datetime.now(UTC), **more)


def shown(paths: list[Path]) -> Iterable[Path]:
    """The paths one after the other, with their progress on a terminal."""
    from rich.console import Console
    from rich.progress import track

    return track(paths, "Replaying", console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def print_lines(made: Replay, found: list[Replayed], answers: int) -> None:
    """What changes, request by request; what could not be used; how many of each there are."""
    from .site_check import printable

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
                yield from told(change)
    changed, unusable = sum(bool(each.changes) for each in found), sum(bool(each.fault) for each in found)
    besides = f", {answers} recorded answers (*.response.json) were passed over" if answers else ""
    yield f"\nRequests: {len(found)}. Changed: {changed}. Cannot be used: {unusable}{besides}."
    counted = Counter(kind for each in found for kind in {change.kind for change in each.changes})
    if counted:
        yield "Requests by what changes: " + ", ".join(f"{kind} {number}" for kind, number in sorted(counted.items()))


def told(change: Change) -> Iterator[str]:
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
    import json

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
