"""The chart, rendered by helm itself, and the schemas of what it makes.

Helm is built from the Go module proxy, at the versions and checksums of go/go.mod and go/go.sum, once in build/tools
(Go's own cache makes it quick in another checkout of the same machine). The schemas of ServiceMonitor and of
PrometheusRule come in the module of the Prometheus operator; those of Kubernetes in kubernetes-validate.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from tests.deploy.manifests import CHART, ROOT, Yaml

GO = Path(__file__).resolve().parent / "go"
TOOLS = ROOT / "build" / "tools"
BUILD_SECONDS = 40 * 60  # on a busy machine
SECONDS = 60
VERSIONS = ("1.29", kubernetes_validate.latest_version())
OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
OPERATOR_SUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))


@cache
def helm() -> Path:
    """The program; built the first time, by one process for all."""
    program = TOOLS / "helm"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / "helm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made_from = TOOLS / "helm.sum"
        wanted = (GO / "go.sum").read_text() + (GO / "go.mod").read_text()
        if not (program.exists() and made_from.exists() and made_from.read_text() == wanted):
            command = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "helm.sh/helm/v3/cmd/helm"]
            run(command, cwd=GO, timeout=BUILD_SECONDS)
            made_from.write_text(wanted)
    return program


def run(command: list[Any], **how: Any) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **{"timeout": SECONDS, **how}
    )
    assert done.returncode == 0, f"{command[:4]}: {done.stderr[-2000:]}"
    return done.stdout


def template(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """`helm template` of the chart as release b12-cds, whatever comes of it. No cluster and no repository is asked."""
    home = {name: str(TOOLS / "helm-home") for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
    release = ["b12-cds", CHART, "--namespace", "b12-cds", "--kube-version", VERSIONS[0]]
    command = [helm(), "template", *release, *arguments]
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=SECONDS, env=os.environ | home
    )


@cache
def rendered(values: Path) -> tuple[Yaml, ...]:
    """Every object that the chart makes with this file of values."""
    done = template("--values", values)
    assert done.returncode == 0, done.stderr
    return tuple(each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each)


@cache
def operator_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of the Prometheus operator's objects, by kind; no field that they do not name is allowed."""
    found = json.loads(run(["go", "mod", "download", "-json", OPERATOR], cwd=TOOLS))
    assert found["Sum"] == OPERATOR_SUM
    schemas = {}
    for name in ("servicemonitors", "prometheusrules"):
        file = Path(found["Dir"]) / "example" / "prometheus-operator-crd" / f"monitoring.coreos.com_{name}.yaml"
        definition = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]
        schema = definition["versions"][0]["schema"]["openAPIV3Schema"]
        schemas[definition["names"]["kind"]] = closed(schema)
    return schemas


def closed(schema: Any) -> Any:
    """The schema, with every object that lists its fields closed to others."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made and made.get("type") == "object":
        made["additionalProperties"] = set(made["properties"]) == {"apiVersion", "kind", "metadata", "spec", "status"}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    return made
