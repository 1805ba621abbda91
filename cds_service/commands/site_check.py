"""`b12-cds check`: faults of the content; of a site folder, what it changes, tried out, in words that can be signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, tzinfo
from pathlib import Path

from ..app import client_config
from ..approval import remarks
from ..cdshooks.client_config import ClientConfig
from ..content.content import Content, load_content
from ..content.difference import cautions, difference
from ..content.faults import ContentError
from ..content.files import cards_folder
from ..content.language import languages
from ..settings import Settings, SettingsError
from ..site_trial import Baseline, Tried, by_kind, falling_through, try_out

Echo = Callable[..., None]  # click.echo: a line, on the standard error stream with err=True


def check_ours(echo: Echo, today: date) -> int:
    """Our content alone. The exit code: 0 if it is sound."""
    content = loaded(None, echo)
    if content is None:
        return 1
    for remark in remarks(content, today):
        echo(f"note: {remark}")
    for name in languages(cards_folder()):
        spoken = loaded(None, echo, name)
        if spoken is None:
            return 1
        for remark in spoken.remarks:
            if remark not in content.remarks:
                echo(f"note: {printable(remark)}")
    echo(sound(content))
    return 0


def check_site(
    folder: Path, settings: Settings, echo: Echo, today: Callable[[tzinfo], date], write: Write | None = None
) -> int:
    """Our content and a site's folder over it. The exit code: 0 if it is sound and its limits do what they say.
    `today` gives the day in a time zone: the site's, where it states one. `write` puts the report into another form
    than lines."""
    theirs = loaded(folder, echo)
    ours = loaded(None, echo, theirs.language.id) if theirs else None
    if ours is None or theirs is None:
        return 1
    try:
        day = today(settings.zone_with(theirs.site.time_zone))
        found = try_out(Baseline(ours, lambda name, content: service(name, content, settings)), theirs)
    except (ContentError, SettingsError) as error:
        echo(f"b12-cds: {error}", err=True)
        return 1
    if write is not None:
        echo(write(ours, theirs, found, day), nl=False)
        return 0 if found.holds else 1
    for line in report(ours, theirs, found, day):
        echo(printable(line))
    if not found.holds:
        echo("b12-cds: limits that do not do what they say", err=True)
        return 1
    echo(f"\n{sound(theirs)}")
    return 0


def loaded(site: Path | None, echo: Echo, language: str = "") -> Content | None:
    """The content, or None once its faults are printed."""
    try:
        return load_content(cards_folder(), site, language=language)
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


Write = Callable[[Content, Content, Tried, date], str]


def service(pathway: str, content: Content, settings: Settings) -> ClientConfig:
    chosen = settings.model_copy(update={"pathway": pathway})
    return client_config(chosen, content)


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
    yield from block("Look at this before you sign", [*cautions(ours, theirs, today), *remarks(theirs, today)])
    yield from block("Who falls through, worst first", falling_through(ours, theirs, found.otherwise))
    wrong = [each for each in found.boundaries if not each.holds]
    yield from block(
        f"Limits tried: {len(found.boundaries) - len(wrong)} of {len(found.boundaries)} as they should be",
        [each.line() for each in (*wrong, *(each for each in found.boundaries if each.holds))],
    )
    yield from block("Changed, and not tried by a made-up patient; see the vignettes below", found.untried)
    yield f"\nShipped vignettes that are now answered otherwise: {len(found.otherwise)} of {found.vignettes}"
    for kind, changed_ones in by_kind(found.otherwise).items():
        yield from block(f"{kind} ({len(changed_ones)})", [each.line() for each in changed_ones])
    if not theirs.is_approved:
        stated = f'approver = "...", approved = (the day), approved_version = "{theirs.version}"'
        yield f"\nWho approves this writes into content.toml of the site's folder: {stated}"


def block(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield f"\n{title}"
        yield from (f"- {line}" for line in lines)
