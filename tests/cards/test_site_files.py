"""A site's folder from a zip that anybody may send, and changed value by value."""

from __future__ import annotations

import io
import tomllib
from contextlib import suppress
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.content.content import load_content
from cds_service.content.files import cards_folder, shipped_folder
from cds_service.content.site_files import (
    LARGEST_ZIP,
    MOST_FILES,
    NoSiteFolder,
    opened,
    packed,
    temporary_folder,
    with_code,
    with_entry,
    with_values,
)

PLACE = "pathways/uk-ng239/interpret.toml"
BATH = shipped_folder("fixtures", holding="sites") / "sites" / "ruh-bath"


def zipped(entries: dict[str, bytes | str], kind: int = ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", kind) as archive:
        for name, body in entries.items():
            archive.writestr(name, body)
    return out.getvalue()


def link() -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w") as archive:
        entry = ZipInfo("site.toml")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


@pytest.mark.parametrize(
    "body, said",
    [
        (b"", "no zip"),
        (b"PK\x03\x04 nothing", "no zip"),
        (b"x" * (LARGEST_ZIP + 1), "at most"),
        (zipped({"../site.toml": ""}), "plain names"),
        (zipped({"/etc/site.toml": "", "site.toml": ""}), "plain names"),
        (zipped({"..\\site.toml": ""}), "plain names"),
        (zipped({"a/b/c/d.toml": "", "site.toml": ""}), "plain names"),
        (zipped({"run.py": ""}), "plain names"),
        (zipped({"site.toml": b"\xff\xfe"}), "UTF-8"),
        (zipped({"site.toml": b"0" * 50_000_000}), "too large"),
        (zipped({f"pathways/p{n}.toml": b" " * 200_000 for n in range(9)}), "too large"),
        (zipped({f"pathways/p{n}.toml": "" for n in range(MOST_FILES + 1)}), "at most"),
        (zipped({"site.toml": "x"}, ZIP_BZIP2), "plain zip"),
        (link(), "is a link"),
    ],
)
def test_what_is_no_folder_of_a_site_is_refused_with_its_reason(body: bytes, said: str):
    with pytest.raises(NoSiteFolder, match=said):
        opened(body)


@given(st.data())
def test_a_damaged_zip_is_refused_or_read_and_never_breaks(data: st.DataObject):
    body = bytearray(packed({"site.toml": 'name = "A"\n' * 20, "sources.toml": ""}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NoSiteFolder):
        assert isinstance(opened(bytes(body)), dict)


def test_a_packed_folder_its_own_files_left_out_is_opened_without_its_top():
    files = {
        "bath/site.toml": 'name = "Bath"\n',
        "bath/.git/config": "",
        "__MACOSX/bath/._site.toml": "",
        "bath/x/": "",
    }
    assert opened(zipped(files)) == {"site.toml": 'name = "Bath"\n'}


def test_a_folder_that_is_packed_opened_and_laid_out_is_the_same_content():
    files = {path.relative_to(BATH).as_posix(): path.read_text() for path in BATH.rglob("*") if path.is_file()}
    assert opened(packed(files)) == files
    assert packed(files) == packed(dict(reversed(files.items())))
    with temporary_folder(opened(packed(files))) as folder:
        assert load_content(cards_folder(), folder).digest == load_content(cards_folder(), BATH).digest
    assert not folder.exists()


def test_a_value_is_set_and_taken_away_and_comments_stay():
    files = {PLACE: '# ours, since 2026\n[[row]]\nid = "grey"\noff = true  # too loud\n\n[[row]]\nid = "deficient"\n'}
    changed = with_entry(files, PLACE, "row", "deficient", {"summary": "One", "detail": 'Two\n"three" \\ four'})
    rows = tomllib.loads(changed[PLACE])["row"]
    assert rows[1] == {"id": "deficient", "summary": "One", "detail": 'Two\n"three" \\ four\n'}
    assert "# ours, since 2026" in changed[PLACE] and "# too loud" in changed[PLACE]
    again = with_entry(changed, PLACE, "row", "deficient", {"summary": None, "detail": None})
    assert tomllib.loads(again[PLACE])["row"] == [{"id": "grey", "off": True}]
    new = with_entry({}, PLACE, "row", "grey", {"indicator": "info"})
    assert tomllib.loads(new[PLACE]) == {"row": [{"id": "grey", "indicator": "info"}]}
    none = with_entry(new, PLACE, "row", "grey", {"indicator": None})
    assert tomllib.loads(none[PLACE]) == {}


def test_a_table_and_a_code_are_added():
    files = with_values({}, "sources.toml", "own", {"title": 'A "book"', "url": ""})
    assert tomllib.loads(files["sources.toml"]) == {"own": {"title": 'A "book"', "url": ""}}
    files = with_code({}, "lab-b12", "http://x", "B,1", "B12", "mass", "site")
    files = with_code(files, "lab-b12", "http://x", "B2", "B12", "", "site")
    assert files["value-sets/lab-b12.csv"].splitlines()[1:] == ['http://x,"B,1",B12,mass,site', "http://x,B2,B12,,site"]


def test_a_file_that_is_no_toml_is_named():
    with pytest.raises(NoSiteFolder, match=r"interpret\.toml: not readable"):
        with_entry({PLACE: "[[row"}, PLACE, "row", "grey", {"off": True})
