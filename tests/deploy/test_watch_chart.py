"""The result watcher in the chart: off unless switched on, one pod with a disk, a daily run, as closed as the rest."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.deploy.charts import EXAMPLES, VERSIONS, template
from tests.deploy.manifests import CHART, Yaml, labels, of_kind, selects
from tests.deploy.test_chart import check

pytestmark = pytest.mark.needs("go")
HOSPITAL, PILOT, REGION = EXAMPLES
ON = ("--set", "watch.enabled=true", "--set", "watch.client=st-elsewhere")
NOTIFY, METRICS = 8010, 9465


def made(*said: Any) -> tuple[Yaml, ...]:
    done = template("--values", HOSPITAL, *said)
    assert done.returncode == 0, done.stderr
    return tuple(each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each)


@pytest.fixture(scope="module")
def objects() -> list[Yaml]:
    """What the watcher adds."""
    without = {(each["kind"], each["metadata"]["name"]) for each in made()}
    everything = made(*ON, "--set", "watch.notifications=true")
    return [each for each in everything if (each["kind"], each["metadata"]["name"]) not in without]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (("--set", "watch.client=nobody"), "watch.client: clients has no client nobody"),
        (("--set", "watch.notifications=true", "--set", "ingress.enabled=false"), "watch.notifications: nothing lets"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(said: tuple[str, ...], why: str):
    done = template("--values", HOSPITAL, *ON, *said)
    assert done.returncode != 0
    assert why in done.stderr


def test_it_is_off_unless_it_is_switched_on(objects: list[Yaml]):
    assert not [each for each in made() if "watch" in each["metadata"]["name"]]
    assert sorted(each["kind"] for each in objects) == [
        "CronJob", "Deployment", "Ingress", "NetworkPolicy", "PersistentVolumeClaim", "Service", "Service",
    ]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_is_valid_by_its_schema(objects: list[Yaml], version: str):
    for each in objects:
        check(each, version)


def pods(objects: list[Yaml]) -> list[tuple[dict[str, str], Yaml]]:
    """Labels and specification of each pod: the watcher's, and that of its daily run."""
    (deployment,), (job,) = of_kind(objects, "Deployment"), of_kind(objects, "CronJob")
    made_by = job["spec"]["jobTemplate"]
    return [(labels(each), each["spec"]["template"]["spec"]) for each in (deployment, made_by)]


def test_there_is_one_of_it_and_the_old_one_ends_before_the_new_one_begins(objects: list[Yaml]):
    (deployment,), (job,) = of_kind(objects, "Deployment"), of_kind(objects, "CronJob")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_commands_are_those_of_the_program_and_name_the_client(objects: list[Yaml]):
    (_, watch), (_, due) = pods(objects)
    assert watch["containers"][0]["args"][:3] == ["watch", "--client", "st-elsewhere"]
    assert due["containers"][0]["args"] == ["watch", "due", "--client", "st-elsewhere"]
    ports = {port["name"]: port["containerPort"] for port in watch["containers"][0]["ports"]}
    assert ports == {"notify": NOTIFY, "metrics": METRICS}
    said = watch["containers"][0]["args"]
    assert [said[said.index(name) + 1] for name in ("--port", "--metrics-port")] == [str(NOTIFY), str(METRICS)]


def test_both_pods_meet_the_restricted_standard_and_write_to_their_state_and_memory_only(objects: list[Yaml]):
    for _, pod in pods(objects):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        written = {
            mount["name"]: mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")
        }
        assert set(written) == {"written", "state"}
        (state,) = [each["value"] for each in container["env"] if each["name"] == "CDS_WATCH_STATE"]
        assert state.startswith(written["state"] + "/")


def test_the_daily_run_is_where_the_state_is(objects: list[Yaml]):
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    (watched, watch), (_, due) = pods(objects)
    for pod in (watch, due):
        (volume,) = [each for each in pod["volumes"] if each["name"] == "state"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (near,) = due["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert near["topologyKey"] == "kubernetes.io/hostname" and selects(near["labelSelector"], watched)


def test_services_policies_and_the_monitor_find_it_and_the_service_does_not(objects: list[Yaml]):
    (watched, _), _ = pods(objects)
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    assert all(each["spec"]["selector"].items() <= watched.items() for each in services.values())
    every = made(*ON)
    (of_calls,) = [each for each in of_kind(every, "Service") if each["metadata"]["name"] == "b12-cds"]
    assert not of_calls["spec"]["selector"].items() <= watched.items(), "no call is sent to the watcher"
    (monitor,) = of_kind(every, "ServiceMonitor")
    found = [each for each in services.values() if selects(monitor["spec"]["selector"], each["metadata"]["labels"])]
    assert [each["spec"]["ports"] for each in found] == [
        [{"name": "metrics", "port": METRICS, "targetPort": "metrics"}]
    ]
    (policy,) = of_kind(objects, "NetworkPolicy")
    assert [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]] == [NOTIFY, METRICS]


def test_only_the_notifications_of_its_client_are_let_in_and_only_if_asked_for(objects: list[Yaml]):
    (ingress,) = of_kind(objects, "Ingress")
    (path,) = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert path["path"] == "/notify/st-elsewhere"
    assert len(of_kind(made(*ON), "Ingress")) == len(of_kind(made(), "Ingress"))


@pytest.mark.parametrize(
    "said, why",
    [
        (("--set", "watch.enabled=true"), "watch.client: which client of clients.toml is watched is missing"),
        ((*ON, "--set", "secret=", "--set", "settings.CDS_STORE_URL=none"), "watch: its state is sealed"),
        ((*ON, "--set", "watch.replicas=2"), "replicas"),
        ((*ON, "--set", "watch.due.schedule=daily"), "watch.due.schedule"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(said: tuple[Any, ...], why: str):
    done = template("--values", PILOT, *said)
    assert done.returncode != 0
    assert why in done.stderr.replace("/", ".")


def test_its_alerts_are_in_the_rules():
    rules = yaml.safe_load((CHART / "monitoring" / "rules.yaml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    assert [each for each in alerts if "Watch" in each]
