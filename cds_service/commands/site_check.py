"""`b12-cds check --site DIR`: what a site's folder changes, tried out, in words that can be signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, tzinfo
from pathlib import Path

from ..app import build_service
from ..content.content import Content, load_content, overdue
from ..content.difference import cautions, difference
from ..content.faults import ContentError
from ..content.files import cards_folder, shipped_folder
from ..evaluate import Service
from ..settings import Settings, SettingsError
from .boundaries import Boundary, Changed, answered_otherwise, boundaries, shipped, untried

Echo = Callable[..., None]  # click.echo: a line, on the standard error stream with err=True


def check_ours(echo: Echo, today: date) -> int:
    """Our content alone. The exit code: 0 if it is sound."""
    content = loaded(None, echo)
    if content is None:
        return 1
    for remark in remarks(content, today):
        echo(f"note: {remark}")
    echo(sound(content))
    return 0


def check_site(folder: Path, settings: Settings, echo: Echo, today: Callable[[tzinfo], date]) -> int:
    """Our content and a site's folder over it. The exit code: 0 if it is sound and its limits do what they say.
    `today` tells the day in a time zone: the site's, where it states one."""
    ours = loaded(None, echo)
    theirs = loaded(folder, echo) if ours else None
    if ours is None or theirs is None:
        return 1
    try:
        day = today(settings.zone_with(theirs.site.time_zone))
        found = try_out(ours, theirs, settings)
    except (ContentError, SettingsError) as error:
        echo(f"b12-cds: {error}", err=True)
        return 1
    for line in report(ours, theirs, found, day):
        echo(printable(line))
    if not found.holds:
        echo("b12-cds: limits that do not do what they say", err=True)
        return 1
    echo(f"\n{sound(theirs)}")
    return 0


def remarks(content: Content, today: date) -> tuple[str, ...]:
    """What is no fault, but must not stay unsaid; also that nobody has looked at the content in time."""
    late = overdue(content.review_by, today)
    return (*content.remarks, late) if late else content.remarks


def loaded(site: Path | None, echo: Echo) -> Content | None:
    """The content, or None when its faults were told."""
    try:
        return load_content(cards_folder(), site)
    except ContentError as error:
        for fault in error.faults:
            echo(printable(fault), err=True)
        echo(f"b12-cds: faults in the content: {len(error.faults)}", err=True)
        return None


def sound(content: Content) -> str:
    return f"The content {content.version} is sound: {', '.join(content.pathways)}."


def printable(text: str) -> str:
    """A text of somebody's file without commands to the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)


@dataclass(slots=True)
class Tried:
    """What the site's numbers did: at their boundaries, and to the vignettes that are shipped."""

    boundaries: list[Boundary] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    otherwise: list[Changed] = field(default_factory=list)
    vignettes: int = 0

    @property
    def holds(self) -> bool:
        return all(each.holds for each in self.boundaries)


def try_out(ours: Content, theirs: Content, settings: Settings) -> Tried:
    """Every pathway at the site's boundaries, and every shipped vignette again."""
    found = Tried()
    folder = shipped_folder("fixtures", holding="vignettes") / "vignettes"
    for name in theirs.pathways:
        plain, local = (service(name, content, settings) for content in (ours, theirs))
        found.boundaries += boundaries(plain, local)
        found.untried += [f"{name}: {threshold}" for threshold in untried(plain, local)]
        vignettes = shipped(folder, name)
        found.vignettes += len(vignettes)
        found.otherwise += answered_otherwise(vignettes, plain, local)
    return found


def service(pathway: str, content: Content, settings: Settings) -> Service:
    chosen = settings.model_copy(update={"pathway": pathway})
    return build_service(chosen, content)


def report(ours: Content, theirs: Content, found: Tried, today: date) -> Iterator[str]:
    """The whole of it, line by line."""
    site = theirs.site
    yield f"Site: {site.name or 'without a name'} ({site.folder})"
    yield f"Content: version {theirs.version}, with this folder {theirs.digest[:16]}, without it {ours.digest[:16]}"
    changed = difference(ours, theirs)
    for section, lines in changed.items():
        yield from block(section, lines)
    if not changed:
        yield "\nThis folder changes nothing."
    yield from block("Look at this before you sign", [*cautions(ours, theirs), *remarks(theirs, today)])
    wrong = [each for each in found.boundaries if not each.holds]
    yield from block(
        f"Limits tried: {len(found.boundaries) - len(wrong)} of {len(found.boundaries)} as they should be",
        [each.told() for each in (*wrong, *(each for each in found.boundaries if each.holds))],
    )
    yield from block("Changed, and not tried by a made-up patient; see the vignettes below", found.untried)
    yield f"\nShipped vignettes that are now answered otherwise: {len(found.otherwise)} of {found.vignettes}"
    for kind, changed_ones in by_kind(found.otherwise).items():
        yield from block(f"{kind} ({len(changed_ones)})", [each.told() for each in changed_ones])
    if not theirs.is_approved:
        stated = f'approver = "...", approved = (the day), approved_version = "{theirs.version}"'
        yield f"\nWho approves this writes into content.toml of the site's folder: {stated}"


def by_kind(otherwise: Iterable[Changed]) -> dict[str, list[Changed]]:
    """Together what changed in the same way; first where the indicator fell most."""
    kinds: dict[str, list[Changed]] = {}
    for each in sorted(otherwise, key=lambda each: (-each.drop, each.kind())):
        kinds.setdefault(each.kind(), []).append(each)
    return kinds


def block(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield f"\n{title}"
        yield from (f"- {line}" for line in lines)
