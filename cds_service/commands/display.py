"""Cards and explanations as a person wants to read them on a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from textwrap import shorten
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..about import About, Varied

Json = dict[str, Any]
COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}
LEFT_OUT = {"dismissed": "dismissed on", "accepted": "accepted on", "ordered": "ordered already, as of"}
WIDEST = 110
BEGINNING = 70  # signs of a paragraph, by which it is known again


def console(stream: Any = None) -> Console:
    """A console no wider than a person reads with ease. A sign that a terminal cannot show is a question mark."""
    if stream is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(file=stream, highlight=False)
    return console if console.width <= WIDEST else Console(file=stream, highlight=False, width=WIDEST)


def show_cards(out: Console, cards: Iterable[Json]) -> None:
    """Every card, or that there is none."""
    cards = list(cards)
    for card in cards:
        out.print(card_panel(card))
    if not cards:
        out.print("No card: there is nothing to say about this patient.")


def card_panel(card: Json) -> Panel:
    """One card: what it says, what it offers to order, where it comes from."""
    parts: list[RenderableType] = [Text(card["summary"], style="bold"), Text(), Markdown(card["detail"])]
    if "suggestions" in card:
        parts += [Text(), Text("Suggested", style="bold")]
        parts += [suggestion(each) for each in card["suggestions"]]
    source = card["source"]
    parts += [Text(), Text(f"Source: {source['label']} {source.get('url', '')}".rstrip(), style="dim")]
    colour = COLOURS[card["indicator"]]
    title = Text(card["indicator"].upper(), style=f"bold {colour}")
    return Panel(Group(*parts), title=title, title_align="left", border_style=colour, padding=(1, 2))


def suggestion(each: Json) -> RenderableType:
    """A suggestion with the description that states the whole regimen; the recommended one is marked."""
    description = each["actions"][0]["description"]
    mark = "➤" if each.get("isRecommended") else "•"
    lines = [Text(f"{mark} {each['label']}")]
    if description != each["label"]:
        lines.append(Text(description, style="dim"))
    return Padding(Group(lines[0], *(Padding(line, (0, 0, 0, 2)) for line in lines[1:])), (0, 0, 0, 1))


def show_explanation(out: Console, explained: Json) -> None:
    """The same as the JSON, for a reader's eye."""
    facts = grid()
    for name, text in (
        ("Pathway", f"{explained['pathway']}, content {explained['contentVersion']}"),
        ("As of", explained["asOf"]),
        ("Label", explained["label"]),
        ("Rows", "\n".join(explained["rows"]) or "none"),
        ("Notes", "\n".join(explained["notes"]) or "none"),
        ("Not available", ", ".join(explained["unavailable"]) or "nothing"),
    ):
        facts.add_row(name, unstyled(text))
    out.print(facts)
    section(out, "Findings", ((each["name"], evidence(each["because"])) for each in explained["findings"]))
    section(out, "Not used", ((each["reference"] or "(no id)", each["reason"]) for each in explained["ignored"]))
    if explained["suppressed"]:
        left = ((each["what"], f"{LEFT_OUT[each['why']]} {each['on']}") for each in explained["suppressed"])
        section(out, "Left out", left)
    begins = ((each["from"], shorten(each["text"].replace("**", ""), BEGINNING)) for each in explained["sentences"])
    section(out, "Where each paragraph of a card stands, in cards/pathways", begins)
    out.print(Text("\nCards", style="bold"))
    show_cards(out, explained["cards"])


def show_about(out: Console, found: About) -> None:
    """What the service is: the attributes, what moves with each element, the rows that ask for action at once."""
    facts = grid()
    facts.add_row("Service", unstyled(f"{found.service} {found.version}, {found.licence}"))
    facts.add_row("Content", unstyled(f"{found.content} {found.content_version}"))
    facts.add_row("Approved", unstyled(f"by {found.approver} on {found.approved}" if found.approver else "by nobody"))
    out.print(facts)
    section(out, f"Source attributes ({found.criterion})",
            ((f"{each.number or '-':>2} {each.title}", each.value) for each in found.attributes))  # fmt: skip
    out.print(unstyled(f"\nThe use of each element was {found.measured.note}"))
    uses = [use for each in found.attributes for use in each.uses]
    moved = ((f"{use.title}: {each.words}", shown_moves(each)) for use in uses for each in use.variations)
    section(out, f"What moves, over {found.measured.vignettes} vignettes (which rows: --json, or the page)", moved)
    section(
        out, "Rows that ask for action at once", ((f"{each.pathway} {each.row}", each.switch) for each in found.urgent)
    )
    for pathway, cited in found.citations.items():
        section(out, f"Sources of {pathway}", ((each.id, f"{each.title} {each.published}") for each in cited))


def shown_moves(each: Varied) -> str:
    """What one variation moves, in a few words."""
    if not each.read:
        return "never read" if each.vignettes else "recorded in none"
    return f"{each.moved} of {each.vignettes} move, {len(each.rows)} rows"


def section(out: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    """A titled list of names with what is to be said of them."""
    table = grid()
    for name, text in rows:
        table.add_row(unstyled(name), unstyled(text))
    out.print(Text(f"\n{title}", style="bold"))
    out.print(table if table.row_count else Text("none"))


def evidence(because: Iterable[Json]) -> str:
    return "\n".join(": ".join(part for part in (each["reference"], each["text"]) if part) for each in because)


def unstyled(text: str) -> Text:
    """Text as it is: what a record says is never read as markup, nor as commands to the terminal."""
    return Text("".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text))


def grid() -> Table:
    """Names on the left, texts on the right."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    return table
