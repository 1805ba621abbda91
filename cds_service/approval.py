"""The folder of a site begun (`b12-cds new-site`), and the sheet to sign for it (`check --site --html`, the studio).

The sheet holds on two to four printed pages what a clinical safety officer signs for: what the folder changes, which
shipped vignettes are answered otherwise because of it, the worst first, what to look at, and the digest of the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from html import escape
from pathlib import Path

from .content.content import Content, overdue
from .content.difference import cautions, difference
from .site_trial import Changed, Tried, by_kind, falling_through

MOST_KINDS, MOST_TITLES, MOST_LINES = 25, 2, 40
SIGNERS = ("Clinical lead", "Clinical safety officer", "Laboratory", "Pharmacy")
STYLE = """@page{margin:12mm;@bottom-right{content:"page " counter(page) " of " counter(pages);font:7pt sans-serif}}
body{font:8.5pt/1.3 sans-serif;margin:0 auto;max-width:60em}h1{font-size:14pt;margin:0}
h2{font-size:11pt;margin:1em 0 .3em}
p{margin:.3em 0}table{border-collapse:collapse;table-layout:fixed;width:100%}ul{margin:.2em 0;padding-left:1.2em}
th,td{border:1px solid #999;overflow-wrap:anywhere;padding:.25em .4em;text-align:left;vertical-align:top}
th{background:#eee}h2{break-after:avoid}
tr{break-inside:avoid}.count{width:9%}.answer{width:35%}.sign td{height:2.6em}code{font-size:.9em}"""
NEW_SITE = {
    "site.toml": """# What only this site decides. Everything here may be left out.
# name = "Example Hospital"
# time_zone = "Europe/London"
""",
    "content.toml": """\
# Who approved this content here, once somebody has read it: b12-cds check --site DIR --html is the sheet to sign.
# approver = "Dr A. Example, haematology"
# approved = 2026-12-01
# approved_version = "{version}"
""",
    "README.md": """# Content of this site, laid over that of b12-cds

`CDS_SITE_DIR` names this folder. A file here has the name and the place of the file that it changes, for example
`pathways/uk-ng239/thresholds.toml` or `value-sets/lab-b12.csv`, and holds only what differs.

    b12-cds check --site .            what is changed, tried out
    b12-cds check --site . --html     the same as a sheet to sign
""",
}


def begin_site(folder: Path, version: str) -> list[Path]:
    """Write the files of a new site; FileExistsError where one of them is there already."""
    paths = {folder / name: text for name, text in NEW_SITE.items()}
    present = [path for path in paths if path.exists()]
    if present:
        raise FileExistsError(str(present[0]))
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in paths.items():
        path.write_text(text.replace("{version}", version), encoding="utf-8")
    return list(paths)


def approval_sheet(ours: Content, theirs: Content, found: Tried, today: date, head: str = "") -> str:
    """The sheet as one HTML page, without outside parts unless `head` links to STYLE as a file."""
    title = f"Approval of the content of {theirs.site.name or 'a site without a name'}"
    folder = "" if head else f" Folder: <code>{escape(str(theirs.site.folder))}</code>."
    parts = [f"<h1>{escape(title)}</h1>", *whose(ours, theirs, today, folder)]
    parts += hazards([*cautions(ours, theirs, today), *remarks(theirs, today)])
    parts += section("Who falls through to another row, worst first", falling_through(ours, theirs, found.otherwise))
    for name, lines in difference(ours, theirs).items():
        parts += section(f"What changes: {name}", lines)
    parts += moves(found)
    wrong = [each.line() for each in found.boundaries if not each.holds]
    tried = f"Limits tried on both sides: {len(found.boundaries)}, not as they should be: {len(wrong)}"
    parts += section(tried, wrong or ["Every changed limit does what it says."])
    parts += section("Changed, and not tried by an invented patient", found.untried)
    parts += signatures()
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"{head or f'<style>{STYLE}</style>'}</head><body><main>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def remarks(content: Content, today: date) -> tuple[str, ...]:
    """What is no fault, but must not stay unsaid; also that nobody has looked at the content in time."""
    late = overdue(content.review_by, today)
    early = f"the approval is of {content.approved}, a day that has not come"
    is_early = content.approved is not None and content.approved > today
    return (*content.remarks, *([late] if late else []), *([early] if is_early else []))


def whose(ours: Content, theirs: Content, today: date, folder: str) -> Iterator[str]:
    """Which content is signed for, to the byte."""
    yield (
        f"<p>{escape(theirs.title)}, version {escape(theirs.version)}, as of {today}.{folder}</p>"
        f"<p>Digest with this folder <code>{escape(theirs.digest)}</code>, without it "
        f"<code>{escape(ours.digest[:16])}…</code>. The hazards of the service "
        "itself are those of deploy/safety/hazard-log.md of this version.</p>"
    )
    if theirs.approver:
        yield f"<p>The folder names as approver {escape(theirs.approver)}, on {theirs.approved}.</p>"


def hazards(lines: Iterable[str]) -> Iterator[str]:
    """What must be answered before somebody signs, each with space for the answer."""
    found = list(lines)
    yield "<h2>Open hazards: look at this before you sign</h2>"
    if not found:
        yield "<p>The check found none.</p>"
        return
    yield '<table class="hazards"><thead><tr><th>Hazard</th><th class="answer">Accepted because, or mended by</th></tr>'
    yield "</thead><tbody>"
    yield from (f"<tr><td>{escape(line)}</td><td></td></tr>" for line in found[:MOST_LINES])
    yield "</tbody></table>"
    if len(found) > MOST_LINES:
        yield f"<p>… and {len(found) - MOST_LINES} more: b12-cds check --site prints all.</p>"


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A heading with its lines; nothing for no lines. A very long list is cut, and says so."""
    found = list(lines)
    if not found:
        return
    shown = "".join(f"<li>{escape(line)}</li>" for line in found[:MOST_LINES])
    more = f"<li>… and {len(found) - MOST_LINES} more: b12-cds check --site prints all</li>"
    yield f"<h2>{escape(title)}</h2><ul>{shown}{more if len(found) > MOST_LINES else ''}</ul>"


def moves(found: Tried) -> Iterator[str]:
    """Label to label: how many vignettes, the worst first, with patients as examples."""
    kinds = by_kind(found.otherwise)
    yield f"<h2>What moves: {len(found.otherwise)} of {found.vignettes} shipped vignettes</h2>"
    if not kinds:
        yield "<p>Every shipped vignette is answered as before.</p>"
        return
    yield '<table><thead><tr><th class="count">How many</th><th>From → to</th><th>For example</th></tr></thead><tbody>'
    for kind, changed in list(kinds.items())[:MOST_KINDS]:
        yield (
            f"<tr><td>{len(changed)}</td><td>{escape(kind.replace(' -> ', ' → '))}</td>"
            f"<td>{escape('; '.join(titles(changed)))}</td></tr>"
        )
    yield "</tbody></table>"
    if len(kinds) > MOST_KINDS:
        yield f"<p>… and {len(kinds) - MOST_KINDS} further kinds: b12-cds check --site prints all.</p>"


def titles(changed: Iterable[Changed]) -> list[str]:
    return [each.vignette.title for each in list(changed)[:MOST_TITLES]]


def signatures() -> Iterator[str]:
    rows = "".join(f"<tr><td>{each}</td><td></td><td></td><td></td></tr>" for each in SIGNERS)
    heads = "".join(f"<th>{each}</th>" for each in ("Role", "Name", "Signature", "Date"))
    yield "<h2>Approved for use at this site</h2>"
    yield f'<table class="sign"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
