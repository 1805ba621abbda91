"""`b12-cds feedback report`: what users did with the cards, or what silent mode would have shown them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import click

from .store import DAY, Unusable, database, read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from ..content.content import Content
    from ..settings import Settings
    from ..store.report import Asked

Json = dict[str, Any]
TOP_REASONS = 3
PIPED = 160  # columns of a table that goes into a file


@click.group()
def feedback() -> None:
    """What users did with the cards."""


@feedback.command()
@click.option("--since", type=DAY, metavar="DATE", help="Cards sent on this day or later.")
@click.option("--until", type=DAY, metavar="DATE", help="Cards sent on this day or earlier.")
@click.option("--client", default="", metavar="NAME", help="One client of clients.toml only.")
@click.option("--format", "form", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True)
@click.option("--by", type=click.Choice(["week"]), help="ISO weeks apart.")
@click.option("--silent", is_flag=True, help="What silent mode would have shown, per 1,000 charts.")
def report(
    *, since: datetime | None, until: datetime | None, client: str, form: str, by: str | None, silent: bool
) -> None:
    """Count, for each row: cards shown, accepted (and then closed), overridden, without an answer, and why not."""
    from ..store.report import Asked

    settings = read_settings()
    if since and until and until < since:
        raise Unusable("--until is before --since; allowed: the same day or a later one")
    with database(settings) as connection:
        content, zone = content_and_zone(settings)
        asked = Asked(
            since=midnight(since.date(), zone) if since else None,
            until=midnight(until.date() + timedelta(days=1), zone) if until else None,
            client=client,
            weekly=by == "week",
            zone=zone,
        )
        if client:
            check_client(connection, client)
        document = (
            silent_report_document(connection, asked)
            if silent
            else feedback_report_document(connection, asked, content)
        )
    show(document, form)


def midnight(day: date, zone: tzinfo) -> int:
    """The beginning of a day in that zone, in ms since 1970."""
    return int(datetime.combine(day, time(), zone).timestamp()) * 1000


def check_client(connection: Any, client: str) -> None:
    """End with the names of those that are known, if nothing is stored about the client."""
    from sqlalchemy import select, union

    from ..store.tables import decision, feedback

    known = sorted(connection.scalars(union(select(decision.c.client), select(feedback.c.client))))
    if client not in known:
        allowed = ", ".join(known) or "none, the store is empty"
        raise Unusable(f'--client: nothing is stored of a client "{client}"; allowed: {allowed}')


def feedback_report_document(connection: Any, asked: Asked, content: Content) -> Json:
    from ..store.report import feedback_document, feedback_report

    return feedback_document(feedback_report(connection, asked), asked, reason_words(content))


def silent_report_document(connection: Any, asked: Asked) -> Json:
    from ..store.report import silent_document, silent_report

    return silent_document(silent_report(connection, asked), asked)


def content_and_zone(settings: Settings) -> tuple[Content, tzinfo]:
    """Our content with the site's folder over it, and the time zone where the service stands."""
    from ..content.content import load_content
    from ..content.faults import ContentError
    from ..content.files import cards_folder
    from ..settings import SettingsError

    try:
        content = load_content(cards_folder(), settings.site_dir)
        return content, settings.zone_with(content.site.time_zone)
    except (ContentError, SettingsError) as error:
        raise Unusable(str(error)) from None


def reason_words(content: Content) -> dict[str, str]:
    """The displays of our override reasons by code, in the site's wording."""
    messages = [found for pathway in content.pathways.values() for found in pathway.messages.items()]
    return {key.removeprefix("override."): text for key, text in messages if key.startswith("override.")}


def show(document: Json, form: str) -> None:
    """A report on the standard output."""
    import msgspec

    from ..store.report import feedback_csv, silent_csv

    silent = document["report"] == "silent"
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
    elif form == "csv":
        click.echo((silent_csv if silent else feedback_csv)(document), nl=False)
    else:
        from .display import console

        out = console()
        out.width = out.width if out.is_terminal else PIPED
        (show_silent if silent else show_feedback)(out, document)


def show_feedback(out: Console, document: Json) -> None:
    """The feedback report for a reader's eye."""
    show_cards(out, document)
    unknown = document["unknown_cards"]
    if unknown["cards"]:
        out.print(
            f"Not counted, because the client was not sent the card: answers {unknown['answers']}, cards "
            f"{unknown['cards']}"
        )
        show_table(
            out,
            ("Client", "Card", "Why", "Answers"),
            [(e["client"], e["card"], e["why"], e["answers"]) for e in unknown["named"]],
        )
        if more := unknown["cards"] - len(unknown["named"]):
            out.print(f"… and {more} more.")


def show_cards(out: Console, document: Json) -> None:
    """What became of the cards that were sent, row by row."""
    from ..store.report import reasons_text

    cards = document["cards"]
    if not cards["shown"]:
        out.print("No card was sent in this period.")
    else:
        parts = {name: share(cards, name) for name in ("accepted", "overridden", "no_answer")}
        out.print(
            "Cards sent: {shown}. Accepted {accepted}, overridden {overridden}, no answer {no_answer}.".format(
                shown=cards["shown"], **parts
            )
        )
        if closed := cards["accepted_then_closed"]:
            out.print(f"Accepted, then closed: {closed}. They count as accepted.")
        out.print("A card that showed several rows counts for each of them below.")
        lines = [
            (
                *([row["week"]] if document["by"] else []),
                row["row"],
                f"{row['pathway']} {row['content']}",
                row["shown"],
                share(row, "accepted"),
                row["accepted_then_closed"],
                *(share(row, name) for name in ("overridden", "no_answer")),
                reasons_text(row["reasons"], TOP_REASONS),
            )
            for row in document["rows"]
        ]
        weeks = ["Week"] if document["by"] else []
        heads = ["Row", "Content", "Shown", "Accepted", "Then closed", "Overridden", "No answer", "Why overridden"]
        show_table(out, [*weeks, *heads], lines)


def share(counts: Json, name: str) -> str:
    """A count and what part of the cards shown it is: "12 (40 %)"."""
    return f"{counts[name]} ({100 * counts[name] / counts['shown']:.0f} %)"


def show_silent(out: Console, document: Json) -> None:
    """The report of silent mode for a reader's eye."""
    if not document["periods"]:
        out.print("No call was answered in silent mode in this period.")
    for period in document["periods"]:
        calls = ", ".join(f"{count} {hook}" for hook, count in period["calls"].items())
        cards, refused = period["charts_with_card"], period["refused"]
        out.print(f"{period['week']} {period['first'][:10]} to {period['last'][:10]}: {calls} calls".strip())
        out.print(
            f"{cards['calls']} of {period['charts']} charts would have had a card "
            f"({of_thousand(cards)} of 1,000); {refused['calls']} calls were answered 412."
        )
        rows = [(each["row"], each["indicator"], each["calls"], of_thousand(each)) for each in period["rows"]]
        show_table(out, ("Row", "Indicator", "Calls", "Per 1,000 charts"), rows)
        keys = [(each["key"], each["calls"], of_thousand(each)) for each in period["missing"]]
        show_table(out, ("412 for want of", "Calls", "Per 1,000 charts"), keys)


def of_thousand(counted: Json) -> str:
    """A rate; a dash where no chart was opened."""
    return "–" if counted["per_1000_charts"] is None else f"{counted['per_1000_charts']:g}"


def show_table(out: Console, heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """A table whose texts are never cut; nothing for no lines."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not lines:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        number = isinstance(lines[0][place], int)
        table.add_column(head, justify="right" if number else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(str(cell)) for cell in line))
    out.print(table)
