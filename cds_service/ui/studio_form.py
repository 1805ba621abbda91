"""What the studio's form says, and how it gets into a site's folder.

The form carries the whole folder, so that the server keeps nothing. What is as it is shipped is not said by the site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from cds_service.content.files import printable
from cds_service.content.laid_over import Toml
from cds_service.content.site_files import NoSiteFolder, SiteFiles, checked, with_entry, with_values
from cds_service.web.messages import Refused

LONGEST_TEXT, LONGEST_LINE = 4_000, 300
WORDS, STATES = ("summary", "detail"), {"on": {}, "off": {"off": True}, "through": {"fall_through": True}}
OWN_SOURCE = "site-own"  # the id under which a site's own publication stands

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The row on the left: its pathway, its table, its id."""

    pathway: str
    table: str
    row: str

    @property
    def name(self) -> str:
        return f"{self.table}/{self.row}"

    @property
    def place(self) -> str:
        return f"pathways/{self.pathway}/{self.table}.toml"


def files_of(form: Form) -> SiteFiles:
    """The folder that the form carries."""
    try:
        return checked(msgspec.json.decode(form.get("files", "") or "{}"))
    except msgspec.DecodeError:
        raise Refused(400, "the folder that this page carries was changed before it came") from None
    except NoSiteFolder as error:
        raise Refused(400, str(error)) from None


def line(form: Form, name: str, longest: int = LONGEST_LINE) -> str:
    """A field of one line, without invisible characters."""
    return " ".join(printable(form.get(name, "")).split())[:longest]


def paragraphs(form: Form, name: str) -> str:
    """A field of several lines, without invisible characters."""
    text = form.get(name, "").replace("\r\n", "\n").strip()[:LONGEST_TEXT]
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)


def signed(form: Form) -> dict[str, Any]:
    """Whose numbers they are, how sure that is, and when it was checked."""
    source = OWN_SOURCE if line(form, "own-source") else line(form, "by-source")
    if not source:
        raise NoSiteFolder("whose limit is it? Name a publication of your own, or choose one that is known")
    try:
        checked_on = date.fromisoformat(form.get("by-checked", ""))
    except ValueError:
        raise NoSiteFolder("checked on: allowed is a date such as 2026-01-31") from None
    return {"source": source, "evidence": line(form, "by-evidence") or "design", "checked": checked_on}


def with_own_source(files: SiteFiles, form: Form) -> SiteFiles:
    """The publication of the site's own that the form names."""
    title = line(form, "own-source")
    if not title:
        return files
    year = form.get("by-checked", "")[:4]
    return with_values(files, "sources.toml", OWN_SOURCE, {"title": title, "url": "", "published": year})


def with_site_name(files: SiteFiles, form: Form) -> SiteFiles:
    """The name of the site, where one was typed."""
    name = line(form, "site-name")
    return with_values(files, "site.toml", "", {"name": name}) if name else files


def with_approval(files: SiteFiles, form: Form, version: str, today: date) -> SiteFiles:
    """Who approved this version of the content, and on which day; without a name nobody did."""
    if "approver" not in form:
        return files
    approver = line(form, "approver")
    values: dict[str, Any] = dict.fromkeys(("approver", "approved", "approved_version"))
    if approver:
        try:
            day = date.fromisoformat(form.get("approved", ""))
        except ValueError:
            raise NoSiteFolder("approved on: allowed is a date such as 2026-01-31") from None
        if day > today:
            raise NoSiteFolder(f"approved on: allowed is a day until today, {today}")
        values = {"approver": approver, "approved": day, "approved_version": version}
    return with_values(files, "content.toml", "", values)


def entry(tables: Mapping[str, Toml], chosen: Chosen) -> Toml:
    """The row as it is written."""
    rows = tables[f"{chosen.pathway}/{chosen.table}.toml"].get("row", [])
    return next((each for each in rows if each.get("id") == chosen.row), {})


def with_row(files: SiteFiles, chosen: Chosen, form: Form, shipped: Toml, now: Toml) -> SiteFiles:
    """The row with what was typed otherwise; what is as it is shipped is not said by the site."""
    typed: dict[str, Any] = {
        key: paragraphs(form, key) for key in WORDS if key in form and (key in shipped or form[key])
    }
    typed |= {key: line(form, key) for key in ("indicator", "source", "evidence") if form.get(key)}
    if form.get("checked"):
        try:
            typed["checked"] = date.fromisoformat(form["checked"])
        except ValueError:
            raise NoSiteFolder("checked: allowed is a date such as 2026-01-31") from None
    if form.get("state") in STATES:
        typed |= {key: STATES[form["state"]].get(key, False) for key in ("off", "fall_through")}
    values = {}
    for key, value in typed.items():
        if value != as_typed(now.get(key, absent(key))):
            values[key] = None if value == as_typed(shipped.get(key, absent(key))) else value
    return with_entry(files, chosen.place, "row", chosen.row, values) if values else files


def as_typed(value: Any) -> Any:
    """A value of TOML as the form would send it back."""
    return value.strip() if isinstance(value, str) else value


def absent(key: str) -> Any:
    """What it means that a row says nothing of it."""
    return False if key in ("off", "fall_through") else "none" if key == "indicator" else ""


def state_of(row: Toml) -> str:
    return "through" if row.get("fall_through") else "off" if row.get("off") else "on"
