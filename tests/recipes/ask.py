"""Ask the package that PYTHONPATH names about patients, each file for itself; print what it found and said, as JSON.

A program of its own, because a recipe changes another copy of the package than the tests'. The content is read once for
each site. Arguments: a JSON list of {file, pathway, site}; a file is a vignette (TOML) or a saved request (JSON).
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last: the copy of the package comes first

from cds_service.app import client_config
from cds_service.cdshooks.requests import read_request
from cds_service.content.content import Content, load_content
from cds_service.content.files import cards_folder
from cds_service.evaluate import CallTime, Evaluation, evaluate
from cds_service.examples.vignettes import read_vignette
from cds_service.settings import Settings
from tests.book import NEVER, play

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@cache
def content(site: str) -> Content:
    return load_content(cards_folder(), Path(site) if site else None)


def answered(file: str, pathway: str = "uk-ng239", site: str = "") -> Evaluation:
    """The whole answer about one patient."""
    client = client_config(Settings(demo=True, pathway=pathway), content(site))
    if file.endswith(".toml"):
        return play(read_vignette(Path(file)), client)
    request = read_request(Path(file).read_bytes(), "patient-view")
    return evaluate(request, client, CallTime(NOON, seconds=NEVER))


def shown(answer: Evaluation) -> dict[str, Any]:
    texts = (f"{card['summary']}\n{card.get('detail', '')}" for card in answer.cards)
    return {
        "label": answer.decision.label,
        "rows": sorted(answer.decision.rows),
        "findings": sorted(answer.assessment.findings),
        "text": "\n".join(texts),
    }


if __name__ == "__main__":
    templates = content("").prefetch["full"]
    answers = [shown(answered(**each)) for each in json.loads(sys.argv[1])]
    print(json.dumps({"answers": answers, "prefetch": dict(templates)}, default=str))
