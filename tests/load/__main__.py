"""`python -m tests.load`: many clients while workers and PostgreSQL are killed; then each fault of a FHIR server.

Prints two tables in Markdown, as they stand in deploy/README.md. Calls this machine only, and ends by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console

from tests.load.crowd import Crowd, Seen
from tests.load.fhir_faults import Outcome, tried
from tests.load.installation import installed, machine
from tests.load.phases import PHASES, Ending, ending, run
from tests.store.postgres import cluster

console = Console(stderr=True)


@click.command()
@click.option("--seconds", default=140.0, show_default=True, help="How long the load lasts in all.")
@click.option("--clients", default=64, show_default=True, help="How many clients call at once.")
def main(seconds: float, clients: int) -> None:
    """Measure how the service does under load and faults."""
    phases = len(PHASES) + 1
    print(f"{clients} clients, two workers, PostgreSQL, {machine()}; each phase lasts {seconds / phases:.0f} s\n")
    with tempfile.TemporaryDirectory() as folder, cluster() as postgres:
        with installed(postgres, Path(folder)) as made:
            with Crowd(made, clients) as crowd:
                seen = list(run(made, crowd, seconds / phases, console.print))
            answered = sum(each.statuses["200"] for _, each in seen)
            made.end()
            found = ending(made, crowd, answered)
            print(load_table(seen))
            print(f"\n{told(found)}\n")
        print(fault_table(tried(postgres, Path(folder))))


def load_table(seen: Iterable[tuple[str, Seen]]) -> str:
    lines = [
        "| phase | calls | 200 | 503 | broken | other | wrong cards | p50 ms | p99 ms | longest ms "
        "| feedback 200 | feedback 503 |",
        "|---|" + "---:|" * 11,
    ]
    for name, each in seen:
        known = each.statuses["200"], each.statuses["503"], each.statuses["broken"]
        all_calls = sum(each.statuses.values())
        counts = [all_calls, *known, all_calls - sum(known), each.wrong]
        times = [f"{each.quantile(part):.0f}" for part in (0.5, 0.99, 1.0)]
        given = [each.feedback["200"], each.feedback["503"]]
        lines.append("| " + " | ".join(map(str, [name, *counts, *times, *given])) + " |")
    return "\n".join(lines)


def told(found: Ending) -> str:
    return (
        f"Feedback acknowledged: {found.acknowledged}, of it not in the store: {found.lost_feedback}. "
        f"Calls answered with 200: {found.answered}, decisions in the store: {found.kept}."
    )


def fault_table(outcomes: Iterable[Outcome]) -> str:
    lines = ["| the FHIR server | answer | says | ms | requests to it |", "|---|---|---|---:|---:|"]
    for each in outcomes:
        console.print(each.name)
        lines.append(f"| {each.name} | {each.status} | {each.says} | {each.ms:.0f} | {each.requests} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
