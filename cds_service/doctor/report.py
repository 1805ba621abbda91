"""The examination for a reader's eye. Lines to paste stand alone, unwrapped, as they go into their file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..commands.display import plain

Json = dict[str, Any]
OTHERS = 20  # further local codes that are printed; all are in the JSON
LATER = "Check each line with the laboratory before you paste it: a name is no proof."
COLOURS = {"yes": "green", "partly": "yellow", "no": "red", "unknown": "yellow"}


def show(out: Console, told: Json) -> None:
    """The report on the document that `document` makes."""
    server = told["server"]
    title(out, "Server")
    out.print(plain(f"{server['software'] or 'it does not say its name'}, FHIR {server['fhirVersion'] or 'not said'}"))
    out.print(plain(f"Tried with {told['patients']} patients; content {told['contentVersion']}."))
    title(out, "Would the service work there?")
    for number, sentence in enumerate(told["verdict"]):
        out.print(Text(plain(sentence).plain, style="" if number else f"bold {COLOURS[told['works']]}"))
    show_calls(out, told["calls"])
    show_templates(out, told["templates"])
    show_parameters(out, told["parameters"])
    show_categories(out, told["categories"])
    show_asked(out, told["asked"])
    show_analytes(out, told["analytes"])
    show_medicines(out, told["medicines"])
    show_others(out, told["otherCodes"])
    show_list(out, "Remarks", told["remarks"])
    show_list(out, "Questions to the laboratory", told["questions"])
    show_overlay(out, told)


def title(out: Console, text: str) -> None:
    out.print(Text(f"\n{text}", style="bold"))


def show_calls(out: Console, calls: Iterable[Json]) -> None:
    title(out, "A call without prefetch")
    for each in calls:
        if not each["calls"]:
            out.print(plain(f"{each['prefetch']}: not tried, there is no patient."))
            continue
        given_up = ", ".join(f"{key} ({times}x)" for key, times in each["notHad"].items())
        out.print(
            plain(
                f"{each['prefetch']}: median {each['medianMs']:.0f} ms, slowest {each['slowestMs']:.0f} ms, of "
                f"{each['allowedMs']:.0f} ms allowed; {each['whole']} of {each['calls']} calls had everything"
                + (f"; not had: {given_up}." if given_up else ".")
            )
        )
        if set(each["statuses"]) - {"200"}:
            refused = each["calls"] - each["statuses"].get("200", 0)
            out.print(plain(f"  {refused} of them would be answered with 412: required data is missing."))


def show_templates(out: Console, templates: Iterable[Json]) -> None:
    title(out, "Prefetch templates")
    table = columns("key", "sets", "type", "states", "found", "ms", "what is odd")
    for each in templates:
        states = ", ".join(f"{state} {times}x" for state, times in each["states"].items())
        odd = [each["reason"], "" if each["listed"] else "its CapabilityStatement does not list the type"]
        if each["parametersNotListed"]:
            odd.append(f"its CapabilityStatement does not list: {', '.join(each['parametersNotListed'])}")
        if each["withoutPatient"]:
            odd.append("tried over all patients")
        cells = (each["key"], "+".join(each["sets"]), each["type"], states, each["found"], f"{each['slowestMs']:.0f}")
        row(table, *cells, "; ".join(filter(None, odd)))
    out.print(table)


def show_parameters(out: Console, parameters: Iterable[Json]) -> None:
    title(out, "Search parameters")
    table = columns("type", "parameter", "effect", "how that was seen")
    for each in parameters:
        row(table, each["type"], each["parameter"], each["effect"], each["how"])
    out.print(table if table.row_count else Text("not tried: there is no patient"))


def show_categories(out: Console, categories: Iterable[Json]) -> None:
    title(out, "By category (a few patients)")
    table = columns("type", "category", "found", "note")
    for each in categories:
        row(table, each["type"], each["category"] or "(without)", each["found"], each["note"])
    out.print(table if table.row_count else Text("not tried: there is no patient"))


def show_asked(out: Console, asked: Iterable[Json]) -> None:
    title(out, "What the counts below are taken from")
    table = columns("search", "over", "read", "note")
    for each in asked:
        row(table, each["what"], each["over"], each["found"], "; ".join(filter(None, (each["failure"], each["cut"]))))
    out.print(table)


def show_analytes(out: Console, analytes: Iterable[Json]) -> None:
    title(out, "Laboratory tests: codes and units that come")
    table = columns("test", "results", "codes", "units", "not mapped")
    for each in analytes:
        codes = "\n".join(f"{code['code']} ({code['count']})" for code in each["codes"])
        units = "\n".join(
            f"{unit['unit'] or '(none)'} ({unit['count']})" + (f" {unit['doubt']}" if unit["doubt"] else "")
            for unit in each["units"]
        )
        missing = each["notMapped"] + each["withoutCode"]
        row(table, each["display"], each["results"], codes, units, missing or "")
    out.print(table)


def show_medicines(out: Console, medicines: Iterable[Json]) -> None:
    title(out, "Medicines that come")
    table = columns("ingredient", "by code", "by words", "codes")
    for each in medicines:
        codes = ", ".join(f"{code['code']} ({code['count']})" for code in each["codes"][:8])
        more = len(each["codes"]) - 8
        row(table, each["display"], each["byCode"], each["byWords"], codes + (f" and {more} more" if more > 0 else ""))
    out.print(table if table.row_count else Text("none of ours"))


def show_others(out: Console, others: list[Json]) -> None:
    if not others:
        return
    title(out, "Further local codes of results (none of ours by their name; the most frequent)")
    table = columns("system", "code", "display", "unit", "results")
    for each in others[:OTHERS]:
        row(table, each["system"], each["code"], each["display"], each["unit"], each["count"])
    out.print(table)


def show_list(out: Console, heading: str, lines: list[str]) -> None:
    if lines:
        title(out, heading)
    for line in lines:
        out.print(plain(f"- {line}"), soft_wrap=True)  # it may hold a line to paste


def show_overlay(out: Console, told: Json) -> None:
    """What is not mapped, then the lines, file by file."""
    title(out, "Not mapped")
    if told["clean"]:
        out.print(Text("Nothing: the overlay is clean.", style="green"))
        return
    if not told["overlay"]:
        out.print(Text("No line to paste; see the questions above."))
        return
    table = columns("code", "display", "units", "how often", "file")
    for each in told["unmapped"]:
        units = ", ".join(f"{unit or '(none)'} {times}x" for unit, times in each["units"].items())
        file = f"value-sets/{each['concept']}.csv" if not each["whyNot"] else "(see the questions)"
        row(table, f"{each['system']}\n{each['code']}", each["display"], units, each["count"], file)
    if table.row_count:
        out.print(table)
    out.print(Text(f"\nLines for the folder of CDS_SITE_DIR. {LATER}", style="bold"))
    for file, lines in told["overlay"].items():
        out.print(Text(f"\nInto {file}:\n", style="bold"))
        for line in lines:
            out.print(plain(line), soft_wrap=True)


def columns(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, justify="right" if name in ("found", "ms", "results", "read", "how often") else "left")
    return table


def row(table: Table, *cells: object) -> None:
    """A row of texts as they are: nothing of a record is read as markup."""
    table.add_row(*(plain(str(cell)) for cell in cells))
