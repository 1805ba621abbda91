"""The content on paper: every table of a pathway as Markdown or as one HTML page, for clinicians to review.

The sheets of `review`, which the content pages show too, are written here in either form; columns that no entry fills
are left out, and the wording follows below each table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from cds_service.clinical.tables import Pathway, Provenance

from .content import Content
from .course_picture import edges, picture
from .review import Entry, Fact, Said, Sheet, sheets

ORIGIN = ("Source", "Evidence", "Checked")
NOT_APPROVED = "Not yet locally approved."
STYLE = """@page{margin:10mm 8mm 12mm;@bottom-right{content:"page " counter(page) " of " counter(pages);font:7pt sans-serif}
@bottom-left{content:"Not for use before it is approved locally";font:7pt sans-serif}}
body{font:7pt/1.2 sans-serif;margin:0}h1{font-size:12pt}h2{font-size:10pt;margin:.9em 0 .2em}h2{break-after:avoid}
p{margin:.2em 0}table{border-collapse:collapse;table-layout:fixed;width:100%;margin:.3em 0 .8em}
th,td{border:1px solid #999;overflow-wrap:anywhere;padding:.12em .3em;text-align:left;vertical-align:top}
thead th{background:#eee}thead{display:table-header-group}td p{margin:0 0 .15em;orphans:2;widows:2}
figure{margin:.5em 0;break-inside:avoid-page}figure svg{max-width:150mm}figure ol{columns:2;margin:.3em 0}
.id{width:11%}.origin{width:10%}.review{width:9%}.words{color:#333;white-space:pre-line}.day{white-space:nowrap}
@media screen{body{font-size:10pt;margin:2em auto;max-width:75em}}"""  # noqa: E501
BOLD = re.compile(r"\*\*(.+?)\*\*")
WHERE_FROM, REVIEWED = "Source, evidence, checked", "Reviewed by, on"


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
        if sheet.id == "course":
            parts.append("\n".join(f"1. {each.start} to {each.end}: {each.words}" for each in edges(pathway)))
    return "\n\n".join(parts) + "\n"


def markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_html(content: Content, pathway: Pathway, head: str = "") -> str:
    """The whole pathway as one HTML page: it prints whole on A4 and on Letter, with room for the name of whoever
    reviewed a line. Without outside parts, unless `head` links to STYLE as a file."""
    body = [f"<h1>{escape(heading(content, pathway))}</h1>", f"<p>{escape(about(content, pathway))}</p>"]
    for sheet in sheets(content, pathway):
        body += [f"<h2>{escape(sheet.title)}</h2>", f"<p>{escape(sheet.about)}</p>"]
        body += html_table(sheet)
        body += [picture(pathway)] if sheet.id == "course" else []
    title = escape(heading(content, pathway))
    style = head or f"<style>{STYLE}</style>"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>{style}'
        "</head><body><main>\n" + "\n".join(body) + "\n</main></body></html>\n"
    )


def html_table(sheet: Sheet) -> Iterator[str]:
    """One sheet: what a line is called, what it says in full, where that comes from, and who reviewed it."""
    heads = (("id", sheet.key), ("says", "What it says"), ("origin", WHERE_FROM), ("review", REVIEWED))
    yield "<table><thead><tr>"
    yield from (f'<th scope="col" class="{name}">{escape(words)}</th>' for name, words in heads)
    yield "</tr></thead><tbody>"
    for entry in sheet.entries:
        *named, day = map(escape, origin(entry.provenance))
        origins = ", ".join(filter(None, named)) + (f', <span class="day">{day}</span>' if day else "")
        said = "".join(html_facts(sheet, entry))
        yield f'<tr><th scope="row">{escape(entry.id)}</th><td>{said}</td><td>{origins}</td><td></td></tr>'
    yield "</tbody></table>"


def html_facts(sheet: Sheet, entry: Entry) -> Iterator[str]:
    """Everything that a line says, the empty columns left out."""
    if sheet.titled and entry.title:
        yield f"<p><strong>{escape(entry.title)}</strong></p>"
    found = [(title, fact) for title in sheet.columns if (fact := entry.fact(title))]
    if found:
        yield "<p>" + "; ".join(f"<b>{escape(title)}:</b> {escape(written(fact))}" for title, fact in found) + "</p>"
    for _, text in entry.texts:
        lines = "\n".join(line for line in text.splitlines() if line.strip())
        worded = BOLD.sub(r"<b>\1</b>", escape(lines))
        yield f'<p class="words">{worded}</p>'


def heading(content: Content, pathway: Pathway) -> str:
    return f"{pathway.title} ({pathway.id}, version {pathway.version})"


def about(content: Content, pathway: Pathway) -> str:
    """Which content this is, and whether anybody has approved it."""
    approval = f"Approved by {content.approver} on {content.approved}." if content.is_approved else NOT_APPROVED
    source = pathway.sources[pathway.card_source]
    return (
        f"{content.title}, version {content.version}, to be reviewed by {content.review_by}. {approval} "
        f"Content digest {content.digest[:12]}. A card names its row's own source and links: {source.title}. "
        f"{content.intended_use}"
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
