"""`python -m tests.bench`: the service beside orjson and a constant card, in alternating rounds; prints a table."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import track

from tests.bench.body import ORDERS, request_body
from tests.bench.measure import Figures, compare, places

ROWS = (
    ("CPU ms per request", "cpu_ms", 2),
    ("requests/s", "per_second", 0),
    ("p50 ms", "p50_ms", 2),
    ("p99 ms", "p99_ms", 2),
    ("worker memory, PSS MiB", "memory_mib", 1),
)
console = Console(stderr=True)


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long to measure in all.")
@click.option("--rounds", default=20, show_default=True, help="How often the two take turns.")
@click.option("--call", type=click.Choice(list(ORDERS)), default="patient-view", show_default=True, help="What to ask.")
def main(seconds: float, rounds: int, call: str) -> None:
    """Measure the service, on this machine only."""
    body = request_body(datetime.now(UTC).date(), call)
    print(f"{call}: {len(body)} bytes, 1 Patient, 200 Observations, 10 MedicationStatements; one sync worker each")
    print(f"measured: {places()}\n")
    turns = lambda count: track(range(count), "measuring", console=console)  # noqa: E731
    service, constant = compare(body, seconds, rounds, turns)
    print(table(service, constant))
    print(f"\n{service.requests} and {constant.requests} requests; the service answered {service.answer_bytes} bytes")


def table(service: Figures, constant: Figures) -> str:
    """The figures side by side, as Markdown."""
    lines = ["| | B12 CDS | orjson, constant card | ratio |", "|---|---:|---:|---:|"]
    for title, name, digits in ROWS:
        ours, theirs = getattr(service, name), getattr(constant, name)
        lines.append(f"| {title} | {ours:.{digits}f} | {theirs:.{digits}f} | {ours / theirs:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
