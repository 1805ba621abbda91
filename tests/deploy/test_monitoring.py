"""Alerts, objectives and the dashboard speak of metrics that the service has, and each alert fires when it should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cds_service.metrics import SECONDS, STATUSES
from tests.deploy.counted import at_start, counted
from tests.deploy.manifests import CHART, DEPLOY

RULES, BOARD = CHART / "monitoring" / "rules.yaml", CHART / "monitoring" / "dashboard.json"
TRIED = Path(__file__).resolve().parent / "rules.test.yaml"
GROUPS = {group["name"]: group["rules"] for group in yaml.safe_load(RULES.read_text())["groups"]}
ALERTS = {rule["alert"]: rule for rule in GROUPS["b12-cds-alerts"]}
OBJECTIVES = {rule["record"]: rule["expr"] for rule in GROUPS["b12-cds-objectives"]}
METRIC = re.compile(r"\bb12_cds_(\w+)(?:\{([^}]*)\})?")
ADDED = {"instance", "pod", "le"}  # labels that Prometheus adds, and the bound of a histogram


def queries() -> Iterator[tuple[str, str]]:
    """Every expression of the rules and of the dashboard: where it stands, and what it says."""
    yield from ((name, rule["expr"]) for name, rule in ALERTS.items())
    yield from OBJECTIVES.items()
    for panel in json.loads(BOARD.read_text())["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", []))


def faults(expression: str) -> list[str]:
    """What an expression asks for that the service does not have."""
    found = []
    for name, matchers in METRIC.findall(expression):
        if name not in counted():
            found.append(f"no metric {name}")
            continue
        asked = re.findall(r"(\w+)\s*=~?\s*\"([^\"]*)\"", matchers or "")
        found += [f"{name} has no label {label}" for label, _ in asked if label not in counted()[name] | ADDED]
        found += [
            f"no status {one}"
            for label, said in asked
            if label == "status"
            for one in said.split("|")
            if one not in STATUSES
        ]
        found += [f"no bound {said}" for label, said in asked if label == "le" and float(said) not in SECONDS]
    by = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    every = set().union(*(counted()[name] for name, _ in METRIC.findall(expression) if name in counted()), ADDED)
    found += [f"no label {label}" for label in by - every]
    used = set(re.findall(r"\bb12_cds:\w+:\w+", expression))
    return found + [f"nothing records {name}" for name in used - set(OBJECTIVES)]


@pytest.mark.parametrize("where, expression", list(queries()))
def test_every_query_asks_for_what_is_counted(where: str, expression: str):
    assert "b12_cds" in expression, where
    assert faults(expression) == []


def test_a_query_for_what_is_not_counted_would_be_found():
    wrong = 'sum by (ward) (b12_cds_calls{stat="2", status="299"}) + b12_cds_calls_total{stat="2", status="299"}'
    late = 'b12_cds_call_seconds_bucket{le="0.25"} > b12_cds:none:ratio'
    assert faults(wrong) == ["no metric calls", "calls_total has no label stat", "no status 299", "no label ward"]
    assert faults(late) == ["no bound 0.25", "nothing records b12_cds:none:ratio"]


def test_every_counter_of_a_rule_is_there_before_the_first_of_its_kind():
    """A share whose denominator has no series is no number: an alert about a service that answers nothing would never
    fire, and that of the first of a kind comes too late."""
    asked = {
        name for rule in (*ALERTS.values(), *GROUPS["b12-cds-objectives"]) for name, _ in METRIC.findall(rule["expr"])
    }
    counters = {name for name in asked if name.endswith("_total")}
    assert {"calls_total", "feedback_total", "watch_failures_total"} <= counters
    assert counters - at_start() == set()


def test_every_metric_is_asked_for():
    asked = {re.sub(r"_(bucket|count|sum)$", "", name) for _, query in queries() for name, _ in METRIC.findall(query)}
    assert asked == {re.sub(r"_(bucket|count|sum)$", "", name) for name in counted()}


@pytest.mark.needs("promtool")
def test_the_rules_and_the_queries_of_the_dashboard_are_promql(tmp_path: Path):
    asked = [
        {"record": f"b12:q{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, (_, expression) in enumerate(queries())
    ]
    every = tmp_path / "rules.yaml"
    every.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": asked}]}))
    for file in (RULES, every):
        done = promtool("check", "rules", file)
        assert done.returncode == 0, done.stderr


@pytest.mark.needs("promtool")
def test_each_alert_fires_when_it_should_and_not_before():
    done = promtool("test", "rules", TRIED)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_an_alert_that_never_fires_would_be_found(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(RULES.read_text().replace('status="500"}[15m]', 'status="501"}[15m]'))
    tests = yaml.safe_load(TRIED.read_text())
    bug = [each for each in tests["tests"] if each["name"].startswith("one bug")]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests | {"rule_files": ["rules.yaml"], "tests": bug}))
    assert promtool("test", "rules", tmp_path / "tests.yaml").returncode == 1


def promtool(*words: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=300)


def test_each_alert_is_seen_to_fire_and_to_be_silent():
    tests = [each for test in yaml.safe_load(TRIED.read_text())["tests"] for each in asked_of_alerts(test)]
    assert {name for name, fires in tests if fires} == set(ALERTS)
    assert {name for name, fires in tests if not fires} == set(ALERTS)


def asked_of_alerts(test: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Each alert that a test asks about, and whether it is to fire."""
    for each in test.get("alert_rule_test", []):
        yield each["alertname"], bool(each["exp_alerts"])
    for each in test.get("promql_expr_test", []):
        fires = all(sample["value"] for sample in each["exp_samples"])
        if each["expr"] == "count(ALERTS) or vector(0)":  # none at all
            yield from ((name, fires) for name in ALERTS)
        for names in re.findall(r'alertname=~?"([^"]+)"', each["expr"]):
            yield from ((name, fires) for name in names.split("|"))


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_says_what_it_means_and_how_urgent_it_is(alert: dict[str, Any]):
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]


def test_the_objectives_are_told_with_the_queries_that_measure_them():
    told = (DEPLOY / "README.md").read_text()
    section = told.partition("### Objectives")[2].partition("\n##")[0]
    queries = [" ".join(each.split()) for each in re.findall(r"```promql\n(.*?)```", section, re.DOTALL)]
    shown = {
        panel["title"]: panel["targets"][0]["expr"]
        for panel in json.loads(BOARD.read_text())["panels"]
        if panel["type"] == "stat"
    }
    assert sorted(queries) == sorted(shown.values())
    for objective in ("99.9 %", "99 %", "99.99 %"):
        assert objective in section
        assert [title for title in shown if f"({objective})" in title]
