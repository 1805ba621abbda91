"""What the deployment files say, read as data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "chart"
CALLS, METRICS = 8000, 9464
Yaml = dict[str, Any]


def compose() -> Yaml:
    """compose.yaml with its anchors merged."""
    return json.loads(json.dumps(yaml.safe_load((DEPLOY / "compose.yaml").read_text())))


def of_kind(objects: Iterable[Yaml], kind: str) -> list[Yaml]:
    return [each for each in objects if each["kind"] == kind]


def pods(objects: Iterable[Yaml]) -> list[Yaml]:
    """The pod specifications, whatever makes the pods."""
    return [each["spec"]["template"]["spec"] for each in objects if "template" in each.get("spec", {})]


def labels(pod_maker: Yaml) -> dict[str, str]:
    return pod_maker["spec"]["template"]["metadata"]["labels"]


def selects(selector: Yaml, labelled: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labelled.items()
