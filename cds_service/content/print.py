"""The content on paper: every table of a pathway as Markdown or as one HTML page, for clinicians to review.

The sheets of `review`, which the content pages show too, are written here in either form; columns that no entry fills
are left out, and the wording follows below each table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from cds_service.clinical.tables import Pathway, Provenance

from .content import Content
from .review import Entry, Fact, Said, Sheet, sheets

ORIGIN = ("Source", "Evidence", "Checked")
NOT_APPROVED = "Not yet locally approved."
STYLE = """body{font:11pt/1.4 sans-serif;margin:2em;max-width:75em}
table{border-collapse:collapse;width:100%;margin:1em 0}
th,td{border:1px solid #999;padding:.25em .5em;text-align:left;vertical-align:top}th{background:#eee}
tr,blockquote{page-break-inside:avoid}blockquote{border-left:3px solid #999;margin:.3em 0 1em;padding-left:1em;
white-space:pre-line}@page{size:A4 landscape;margin:15mm}"""


def as_markdown(content: Content, pathway: Pathway) -> str:
    """The whole pathway as Markdown."""
    parts = [f"# {heading(content, pathway)}", about(content, pathway)]
    for sheet in sheets(content, pathway):
        parts += [f"## {sheet.title}", sheet.about]
        head, *lines = cells_of(sheet)
        rule = "|" + " --- |" * len(head)
        parts.append("\n".join([markdown_line(head), rule, *(markdown_line(line) for line in lines)]))
        parts += [f"**{entry.id}**\n\n" + "\n".join(f"> {line}".rstrip() for line in text.splitlines())
                  for entry, text in texts_of(sheet)]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_html(content: Content, pathway: Pathway) -> str:
    """The whole pathway as one HTML page without outside parts."""
    body = [f"<h1>{escape(heading(content, pathway))}</h1>", f"<p>{escape(about(content, pathway))}</p>"]
    for sheet in sheets(content, pathway):
        head, *lines = cells_of(sheet)
        body += [f"<h2>{escape(sheet.title)}</h2>", f"<p>{escape(sheet.about)}</p>"]
        columns = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in head)
        rows = "\n".join(html_line(line) for line in lines)
        body.append(f"<table><thead><tr>{columns}</tr></thead><tbody>\n{rows}\n</tbody></table>")
        body += [f"<h3>{escape(entry.id)}</h3><blockquote>{escape(text)}</blockquote>"
                 for entry, text in texts_of(sheet)]  # fmt: skip
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


def cells_of(sheet: Sheet) -> Iterator[tuple[str, ...]]:
    """The head of the table, then its lines."""
    sourced = any(entry.provenance for entry in sheet.entries)
    yield (sheet.key, *filter(None, (sheet.titled,)), *sheet.columns, *(ORIGIN if sourced else ()))
    for entry in sheet.entries:
        facts = (written(entry.fact(title)) for title in sheet.columns)
        where_from = origin(entry.provenance) if sourced else ()
        yield (entry.id, *((entry.title,) if sheet.titled else ()), *facts, *where_from)


def written(fact: Fact | None) -> str:
    """A fact as one text."""
    return joined(fact.said, fact.joined) if fact else ""


def joined(said: Iterable[Said], word: str) -> str:
    return (f" {word} " if word else "; ").join(said_in_full(each) for each in said)


def said_in_full(each: Said) -> str:
    """ "neurological signs are recorded (neuro)", with the conditions of its own by their names."""
    text = f"{each.text} ({each.name})" if each.name and each.name != each.text else each.text
    if each.when:
        text += " if " + f" {each.joined} ".join(one.name for one in each.when)
    if each.any:
        text += " if one of " + " or ".join(one.name for one in each.any)
    return text + (" unless " + " or ".join(one.name for one in each.unless) if each.unless else "")


def origin(provenance: Provenance | None) -> tuple[str, str, str]:
    return (provenance.source, provenance.evidence, str(provenance.checked)) if provenance else ("", "", "")


def texts_of(sheet: Sheet) -> Iterator[tuple[Entry, str]]:
    """The wording of each entry that has any."""
    for entry in sheet.entries:
        if entry.texts:
            yield entry, "\n\n".join(text for _, text in entry.texts)
