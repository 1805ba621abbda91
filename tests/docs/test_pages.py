"""The documents say what is so: links lead somewhere, and commands and settings are the program's own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cds_service.about import about
from cds_service.cli import main
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".venv", "build", "dist", "target", ".git", "node_modules"}
PAGES = sorted(path for path in ROOT.rglob("*.md") if not NOT_OURS & set(path.relative_to(ROOT).parts))
LINK = re.compile(r"(?<!\!)\[[^\]\n]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)
    return {*named, *(anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE))}


def faults(page: Path, text: str) -> Iterator[str]:
    """Every relative link of a page that leads nowhere."""
    for target in LINK.findall(CODE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        led_to = (page.parent / path).resolve() if path else page
        if not led_to.exists():
            yield f"{page.relative_to(ROOT)}: no {target}"
        elif fragment and led_to.suffix == ".md" and fragment not in anchors(led_to):
            yield f"{page.relative_to(ROOT)}: no heading #{fragment} in {led_to.relative_to(ROOT)}"


def command_names(group: click.Command, path: str = "") -> Iterator[str]:
    """Every command that can be called, with the words before it."""
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            yield from command_names(group.get_command(context, name), f"{path} {name}".strip())
    else:
        yield path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    assert [*faults(page, page.read_text(encoding="utf-8"))] == []


def test_a_link_that_leads_nowhere_is_found():
    page = ROOT / "README.md"
    assert [*faults(page, "[a](docs/none.md) [b](docs/reference.md#none) [c](#two-commands)")] == [
        "README.md: no docs/none.md",
        "README.md: no heading #none in docs/reference.md",
    ]


def test_every_command_is_described_and_no_other():
    rows = re.findall(r"^\| `b12-cds ([^`]+)`", REFERENCE, re.MULTILINE)
    described = {word for row in rows for word in re.findall(r"(?<![\w-])[a-z][a-z-]+", row.replace("\\|", "|"))}
    called = {word for name in command_names(main) for word in name.split()}
    assert called <= described
    assert {row.split()[0] for row in rows} == {name.split()[0] for name in command_names(main)}


def test_every_setting_is_described_with_its_default_and_no_other():
    rows = dict(re.findall(r"^\| (`CDS_[^|]+) \| ([^|]+) \|", REFERENCE, re.MULTILINE))
    described = {name for names in rows for name in re.findall(r"CDS_\w+", names)}
    settings = {f"CDS_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert described == set(settings)
    for names, default in rows.items():
        for name, said in zip(re.findall(r"CDS_\w+", names), default.split(", "), strict=False):
            is_so = settings[name].default
            assert not is_so or said.strip("` ") == str(is_so), (name, said, is_so)


def test_every_decision_is_listed_once():
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_the_rows_that_regulation_puts_at_risk_are_rows_that_can_be_switched_off():
    table = (ROOT / "deploy" / "safety" / "regulation.md").read_text(encoding="utf-8")
    table = table.split("### Rows that put it at risk", 1)[1].split("A row is switched off", 1)[0]
    named = set(re.findall(r"`(S\d\w?)`", table))
    content = load_content(cards_folder())
    rows = {row.id for each in content.pathways.values() for row in (*each.safety, *each.orders)}
    assert named
    assert named <= rows
    critical = {each.row.partition("/")[2] for each in about(content).urgent}
    assert critical <= named, "a row that asks for action without waiting is named"


def test_every_source_of_regulation_is_cited_and_every_citation_is_a_source():
    """And what is said to have been read on a publisher's page, or in a digest, names which."""
    text, sources = (ROOT / "deploy" / "safety" / "regulation.md").read_text(encoding="utf-8").split("\n## Sources\n")
    listed = re.findall(r"^(\d+)\. ", sources, re.MULTILINE)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]
    assert set(re.findall(r"\[(\d+)\](?!\()", text)) == set(listed)
    assert all("<https://" in each for each in re.split(r"^\d+\. ", sources, flags=re.MULTILINE)[1:])


def console_lines() -> Iterator[tuple[str, str]]:
    """Each call of our program in a console block of a page, with continued lines joined: page, call."""
    for page in PAGES:
        for block in re.findall(r"^```(?:console|sh)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.M):
            for line in block.replace("\\\n", " ").splitlines():
                for call in re.findall(r"(?:^|/bin/)b12-cds ([^|&;#<>]+)", line.removeprefix("$ ")):
                    yield page.relative_to(ROOT).as_posix(), call.strip()


CALLS = sorted(set(console_lines()))
CALL_NOBODY = ("explain", "check", "prefetch", "table")  # and change nothing
OWN_FILE = re.compile(r"\b[A-Z]{3,}\b")  # a place for the reader's own file, as in "explain REQUEST.json"


def of_a_new_file(page: str, call: str) -> bool:
    """Is it about a file that the reader makes on that page? Then the page has a test of its own (tests/recipes,
    tests/deploy)."""
    made = re.findall(r"^New file `([^`]+)`", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return any({name, name.partition("/")[0]} & set(call.split()) for name in made)


RUN = sorted(
    call
    for page, call in CALLS
    if call.split()[0] in CALL_NOBODY and not OWN_FILE.search(call) and not of_a_new_file(page, call)
)


@pytest.mark.parametrize(("page", "call"), CALLS)
def test_every_call_in_a_document_is_understood(page, call):
    """Commands and options exist. Those that call nobody are run."""
    words = [word for word in shlex.split(call) if not re.fullmatch(r"\.\.\.|…", word)]
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        if command.invoke_without_command and words[0].startswith("-"):
            break  # it does something by itself
        context = click.Context(command)
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: no command {words[0]!r}"
        command, words = found, words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known | {"--help"}, f"{page}: {call}"


@pytest.mark.parametrize("call", RUN)
def test_every_call_that_calls_nobody_works_as_it_stands(call, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, shlex.split(call))
    assert done.exit_code == 0, done.output
