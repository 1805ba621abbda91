"""The content on paper: every table of a pathway as Markdown or as one HTML page, for clinicians to review.

One neutral structure (sections of tables and texts) is made from the content and written in either form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from cds_service.clinical.tables import Choice, Orderable, Pathway, Phase, Provenance, Row

from .content import Content
from .vocabulary import TABLES

ORIGIN = ("Source", "Evidence", "Checked")
TITLES = {
    "interpret": "Interpretation: the first row that holds",
    "treat": "Treatment: the first row that holds, for rows that say now or consider",
    "safety": "Safety: every row that holds",
    "orders": "Orders: every row that holds",
    "notes": "Notes: added to the cards of the rows they name",
}
NOT_APPROVED = "Not yet locally approved."
STYLE = """body{font:11pt/1.4 sans-serif;margin:2em;max-width:75em}
table{border-collapse:collapse;width:100%;margin:1em 0}
th,td{border:1px solid #999;padding:.25em .5em;text-align:left;vertical-align:top}th{background:#eee}
tr,blockquote{page-break-inside:avoid}blockquote{border-left:3px solid #999;margin:.3em 0 1em;padding-left:1em;
white-space:pre-line}@page{size:A4 landscape;margin:15mm}"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with its heading; `texts` are (title, wording) pairs printed below it."""

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    texts: tuple[tuple[str, str], ...] = ()


def as_markdown(content: Content, pathway: Pathway) -> str:
    """The whole pathway as Markdown."""
    parts = [f"# {heading(content, pathway)}", about(content, pathway)]
    for sheet in sheets(pathway):
        parts.append(f"## {sheet.title}")
        rule = "|" + " --- |" * len(sheet.head)
        lines = [markdown_line(sheet.head), rule, *(markdown_line(line) for line in sheet.lines)]
        parts.append("\n".join(lines))
        parts += [f"**{title}**\n\n" + "\n".join(f"> {line}".rstrip() for line in text.splitlines()) for title, text in
                  sheet.texts]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_html(content: Content, pathway: Pathway) -> str:
    """The whole pathway as one HTML page without outside parts."""
    body = [f"<h1>{escape(heading(content, pathway))}</h1>", f"<p>{escape(about(content, pathway))}</p>"]
    for sheet in sheets(pathway):
        body.append(f"<h2>{escape(sheet.title)}</h2>")
        head = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in sheet.head)
        lines = "\n".join(html_line(line) for line in sheet.lines)
        body.append(f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>")
        body += [f"<h3>{escape(title)}</h3><blockquote>{escape(text)}</blockquote>" for title, text in sheet.texts]
    title = escape(heading(content, pathway))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        "</head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def html_line(cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def heading(content: Content, pathway: Pathway) -> str:
    return f"{pathway.title} ({pathway.id}, version {pathway.version})"


def about(content: Content, pathway: Pathway) -> str:
    """Which content this is, and whether anybody has approved it."""
    approval = f"Approved by {content.approver} on {content.approved}." if content.is_approved else NOT_APPROVED
    source = pathway.sources[pathway.card_source]
    return (
        f"{content.title}, version {content.version}, to be reviewed by {content.review_by}. {approval} "
        f"Content digest {content.digest[:12]}. Cards name: {source.title}. {content.intended_use}"
    )


def sheets(pathway: Pathway) -> Iterable[Sheet]:
    """Every table of the pathway."""
    for table in TABLES:
        rows: tuple[Row, ...] = getattr(pathway, table)
        if rows:
            yield rows_sheet(TITLES[table], rows)
    yield Sheet(
        "Thresholds",
        ("Threshold", "Value", "Unit", "Step", *ORIGIN),
        tuple((each.id, str(each.value), each.unit, str(each.step), *origin(each.provenance))
              for each in pathway.thresholds.values()),
    )  # fmt: skip
    yield regimens_sheet(pathway)
    yield Sheet(
        "Tests that can be ordered",
        ("Test", "Title", "Code", "Measures", "A result serves for", *ORIGIN),
        tuple(
            (each.id, each.title, code_of(each), ", ".join(each.measures), f"{each.current_days} days",
             *origin(each.provenance))
            for each in pathway.orderables.values()
        ),
    )  # fmt: skip
    yield analytes_sheet(pathway)
    yield Sheet(
        "Fixed cards",
        ("Card", "Indicator", *ORIGIN),
        tuple((each.id, each.indicator, *origin(each.provenance)) for each in pathway.fixed.values()),
        tuple((each.id, f"{each.summary}\n\n{each.detail}") for each in pathway.fixed.values()),
    )
    yield Sheet(
        "Sources",
        ("Source", "Title", "Published", "Address"),
        tuple((each.id, each.title, each.published, each.url) for each in pathway.sources.values()),
    )


def code_of(orderable: Orderable) -> str:
    return " ".join(orderable.coding[:2]) if orderable.coding else "text alone"


def origin(provenance: Provenance | None) -> tuple[str, str, str]:
    return (provenance.source, provenance.evidence, str(provenance.checked)) if provenance else ("", "", "")


def rows_sheet(title: str, rows: Sequence[Row]) -> Sheet:
    """A decision table; columns that no row fills are left out, the wording follows below."""
    columns = ("Row", "When", "Unless", "Label", "On", "Tests", "Treat", "Regimens", "Review", "Card", *ORIGIN)
    lines = [row_cells(row) for row in rows]
    filled = [number for number in range(len(columns)) if any(line[number] for line in lines)]
    return Sheet(
        title,
        tuple(columns[number] for number in filled),
        tuple(tuple(line[number] for number in filled) for line in lines),
        tuple((row.id, "\n\n".join(text for text in (row.summary, row.detail) if text)) for row in rows
              if row.summary or row.detail),
    )  # fmt: skip


def row_cells(row: Row) -> tuple[str, ...]:
    return (
        row.id,
        " and ".join(row.when),
        " or ".join(row.unless),
        row.label,
        ", ".join(row.on),
        "; ".join(chosen(each) for each in row.tests),
        "; ".join((*(f"{treat} if {' or '.join(names)}" for treat, names in row.treat_when), row.treat))
        if row.table == "interpret"
        else "",
        "; ".join(chosen(each) for each in row.regimens),
        row.review,
        indicator(row),
        *origin(row.provenance),
    )


def chosen(choice: Choice) -> str:
    """A test or regimen with its own conditions."""
    text = choice.id
    if choice.when:
        text += f" if {' and '.join(choice.when)}"
    return text + (f" unless {' or '.join(choice.unless)}" if choice.unless else "")


def indicator(row: Row) -> str:
    """The card's indicator as the table gives it; a note and most treatment rows leave it to the card they are on."""
    if row.table in ("notes", "treat") and not row.raised and row.indicator == "none":
        return ""
    parts = [row.indicator if row.indicator != "none" else "no card"]
    parts += [f"{name} if {' or '.join(names)}" for name, names in row.raised]
    return "; ".join(parts) + (f"; no card if {' or '.join(row.no_card)}" if row.no_card else "")


def regimens_sheet(pathway: Pathway) -> Sheet:
    """One line per phase."""
    return Sheet(
        "Regimens",
        ("Regimen", "Medicine", "Phase", "Dose", "Route", "How often", "Until", *ORIGIN),
        tuple((each.id, each.text, phase.id, *phase_cells(phase), *origin(each.provenance))
              for each in pathway.regimens.values() for phase in each.phases),
        tuple((each.id, each.words) for each in pathway.regimens.values()),
    )  # fmt: skip


def phase_cells(phase: Phase) -> tuple[str, str, str, str]:
    high = f" to {phase.dose_high}" if phase.dose_high is not None else ""
    longest = f" to {phase.period_high}" if phase.period_high is not None else ""
    until = [f"{phase.count} doses"] if phase.count is not None else []
    until += [f"{phase.duration[0]} {phase.duration[1]}"] if phase.duration else []
    until += [phase.ends] if phase.ends else []
    often = f"{phase.frequency} x per {phase.period}{longest} {phase.period_unit}"
    return f"{phase.dose}{high} {phase.dose_unit}", phase.route, often, "; ".join(until)


def analytes_sheet(pathway: Pathway) -> Sheet:
    """Units with their factors, and what is plausible, per analyte."""
    lines = []
    for each in pathway.analytes.values():
        units = dict.fromkeys(f"{unit.spelling} x {unit.factor} ({unit.family})" for unit in each.units.values())
        ranges = [f"{entry.low if entry.low is not None else ''} to {entry.high if entry.high is not None else ''} "
                  f"{each.bases.get(entry.family, '')}" for entry in each.plausible]  # fmt: skip
        lines.append((each.display, "; ".join(units), "; ".join(ranges), *origin(each.provenance)))
    return Sheet("Analytes", ("Analyte", "Units", "Plausible", *ORIGIN), tuple(lines))
