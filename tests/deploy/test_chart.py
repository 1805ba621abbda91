"""The chart with three files of values: valid by the published schemas, hardened, and of one mind with itself."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft4Validator, ValidationError

from cds_service import __version__
from cds_service.auth.clients import load_clients
from cds_service.content.content import load_content
from cds_service.content.files import cards_folder
from cds_service.settings import PREFIX, Settings, load_settings
from tests.deploy.charts import EXAMPLES, VERSIONS, operator_schemas, rendered, run, template
from tests.deploy.charts import helm as program
from tests.deploy.manifests import CALLS, CHART, METRICS, Yaml, labels, of_kind, pods, selects

pytestmark = pytest.mark.needs("go")
HOSPITAL, PILOT, REGION = EXAMPLES
MAKES = [
    "ConfigMap", "Deployment", "Ingress", "Job", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceMonitor",
]  # fmt: skip


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def objects(request: pytest.FixtureRequest) -> tuple[Yaml, ...]:
    return rendered(request.param)


def check(document: Yaml, version: str) -> None:
    """By the schema of its kind, with no unknown field."""
    schemas = operator_schemas()
    if document["kind"] in schemas:
        Draft4Validator(schemas[document["kind"]]).validate(document)
    else:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_is_valid_by_its_schema_with_no_unknown_field(objects: tuple[Yaml, ...], version: str):
    assert {each["kind"] for each in objects} >= set(MAKES)
    for each in objects:
        check(each, version)


@pytest.mark.parametrize(
    "kind, path",
    [
        ("Deployment", ("template", "spec", "containers", 0)),
        ("HorizontalPodAutoscaler", ("metrics", 0, "pods")),
        ("ServiceMonitor", ("endpoints", 0)),
        ("PrometheusRule", ("groups", 0, "rules", 0)),
    ],
)
def test_the_schemas_would_refuse_a_misspelt_field(kind: str, path: tuple[str | int, ...]):
    (wrong,) = copy.deepcopy(of_kind(rendered(REGION), kind))
    place = wrong["spec"]
    for part in path:
        place = place[part]
    place["readynessProbe"] = {}
    with pytest.raises((kubernetes_validate.ValidationError, ValidationError)):
        check(wrong, VERSIONS[-1])


def test_helm_finds_no_fault_in_it():
    run([program(), "lint", CHART, "--strict", "--values", PILOT, "--kube-version", VERSIONS[0]])


@pytest.mark.parametrize(
    "said, why",
    [
        ((), "clients: the text of clients.toml is missing"),
        (("--values", PILOT, "--set", "replica=2"), "replica"),
        (("--values", PILOT, "--set", "network.fhirServers={ehr.example}"), "network.fhirServers"),
        (("--values", PILOT, "--set-string", "settings.CDS_DEMO=1"), "CDS_DEMO"),
        (("--values", PILOT, "--set", "image.digest=latest"), "image.digest"),
        (("--values", PILOT, "--set", "secret="), "secret: without one there is no store"),
        (
            (
                "--values",
                PILOT,
                "--set",
                "smart.enabled=true",
                "--set",
                "secret=",
                "--set",
                "settings.CDS_STORE_URL=none",
            ),
            "smart.enabled: its cookie needs a key",
        ),
        (("--values", PILOT, "--set", "settings.CDS_SMART_KEYS=/x"), "CDS_SMART_KEYS"),
        (("--values", PILOT, "--set", "settings.CDS_STORE_URL=sqlite:///x"), "settings.CDS_STORE_URL: a ConfigMap"),
        (("--values", PILOT, "--set", "settings.CDS_STORE_URL=postgresql://u:p@x/y"), "settings.CDS_STORE_URL: a Conf"),
        (("--values", PILOT, "--set", "network.callersFrom=null"), "network.callersFrom: no label would be every"),
        (("--values", PILOT, "--set", "network.metricsFrom=null"), "network.metricsFrom: no label would be every"),
        (("--values", PILOT, "--set", "network.dns=null"), "network.dns: no label would be every namespace"),
        (("--values", PILOT, "--set", "network.store=null"), "network.store: PostgreSQL is closed to the pods"),
        (("--values", REGION, "--set", "autoscaling.maxReplicas=2"), "autoscaling.minReplicas: is above maxReplicas"),
        (("--values", PILOT, "--set", "ingress.host=https://cds.example"), "ingress.host"),
        (("--values", PILOT, "--set", "ingress.tlsSecret=null"), "ingress.tlsSecret: the Secret with the certificate"),
        (("--values", PILOT, "--set", "secret=Our_Secret"), "secret"),
        (("--values", PILOT, "--set", "ingress.host="), "ingress.host: under which name clients call"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(said: tuple[Any, ...], why: str):
    done = template(*said)
    assert done.returncode != 0
    assert why in done.stderr.replace("/", ".")


def test_a_text_that_begins_with_spaces_arrives_as_it_is(tmp_path: Path):
    text = '\n   # our own\n  [client.st-elsewhere]\niss = "https://ehr.example"\n'
    (tmp_path / "clients.toml").write_text(text)
    site = json.dumps({"siteFiles": {"site.toml": text}})
    (tmp_path / "site.json").write_text(site)
    files = ("--set-file", f"clients={tmp_path / 'clients.toml'}", "--values", tmp_path / "site.json")
    done = template("--values", PILOT, *files)
    assert done.returncode == 0, done.stderr
    maps = of_kind([each for each in yaml.safe_load_all(done.stdout) if each], "ConfigMap")
    data = {name: value for each in maps for name, value in each["data"].items()}
    assert (data["clients.toml"], data["site.toml"]) == (text, text)


def test_every_pod_runs_on_the_nodes_that_are_named():
    nodes = (
        "--set",
        "nodeSelector.pool=clinical",
        "--set-json",
        'tolerations=[{"key": "clinical", "operator": "Exists"}]',
    )
    done = template("--values", PILOT, *nodes)
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    for each in made:
        check(each, VERSIONS[-1]) if each["kind"] in ("Deployment", "Job") else None
    assert [each["nodeSelector"] for each in pods(made)] == [{"pool": "clinical"}] * 2
    assert [each["tolerations"][0]["key"] for each in pods(made)] == ["clinical"] * 2


def test_without_a_store_there_is_no_secret_and_no_upgrade():
    done = template("--values", PILOT, "--set", "secret=", "--set", "settings.CDS_STORE_URL=none")
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert of_kind(made, "Job") == []
    assert "/run/secrets" not in done.stdout


def test_every_pod_meets_the_restricted_standard_and_writes_to_memory_only(objects: tuple[Yaml, ...]):
    for pod in pods(objects):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        written = {volume["name"] for volume in pod["volumes"] if volume.get("emptyDir", {}).get("medium") == "Memory"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} == set(container["resources"]["requests"]) == set(container["resources"]["limits"])
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert [name for name, mount in mounts.items() if not mount.get("readOnly")] == list(written)
            assert mounts["written"]["mountPath"] == "/run/b12-cds"


def test_there_are_several_replicas_spread_out_and_some_stay_when_a_node_is_emptied(objects: tuple[Yaml, ...]):
    (deployment,) = of_kind(objects, "Deployment")
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    scaled = of_kind(objects, "HorizontalPodAutoscaler")
    fewest = scaled[0]["spec"]["minReplicas"] if scaled else deployment["spec"]["replicas"]
    assert fewest > budget["spec"]["maxUnavailable"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert selects(budget["spec"]["selector"], labels(deployment))
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(selects(each["labelSelector"], labels(deployment)) for each in spread)


def test_replicas_follow_how_many_calls_are_in_work():
    (deployment,) = of_kind(rendered(REGION), "Deployment")
    (scaler,) = of_kind(rendered(REGION), "HorizontalPodAutoscaler")
    assert "replicas" not in deployment["spec"], "two would decide"
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "b12_cds_calls_in_work"
    workers = int(settings_of(REGION)["CDS_WORKERS"])
    assert int(metric["pods"]["target"]["averageValue"]) < 36 * workers, "before any worker refuses a call"


def test_alive_and_ready_are_asked_at_their_own_addresses(objects: tuple[Yaml, ...]):
    (container,) = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    asked = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"calls": CALLS, "metrics": METRICS}


def test_services_lead_to_the_pods_and_only_the_calls_come_in_from_outside(objects: tuple[Yaml, ...]):
    (deployment,) = of_kind(objects, "Deployment")
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Service")}
    assert {name: [port["port"] for port in spec["ports"]] for name, spec in services.items()} == {
        "b12-cds": [CALLS], "b12-cds-metrics": [METRICS],
    }  # fmt: skip
    assert all(spec["selector"].items() <= labels(deployment).items() for spec in services.values())
    assert not [name for name, spec in services.items() if spec.get("type") in ("NodePort", "LoadBalancer")]
    (ingress,) = of_kind(objects, "Ingress")
    paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert [(path["path"], path["backend"]["service"]["name"]) for path in paths] == [("/cds-services", "b12-cds")]


def test_the_evidence_view_is_let_in_where_a_site_wants_it_and_its_addresses_are_not_logged():
    done = template("--values", PILOT, "--set", "smart.enabled=true")
    assert done.returncode == 0, done.stderr
    objects = tuple(each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each)
    _, smart = of_kind(objects, "Ingress")
    kubernetes_validate.validate(smart, VERSIONS[0], strict=True)
    paths = [path["path"] for rule in smart["spec"]["rules"] for path in rule["http"]["paths"]]
    assert paths == ["/smart", "/static"]
    assert smart["metadata"]["annotations"]["nginx.ingress.kubernetes.io/enable-access-log"] == "false"
    said = {name: value for each in of_kind(objects, "ConfigMap") for name, value in each["data"].items()}
    assert said["CDS_SMART_KEYS"] == "/run/secrets/b12-cds/smart_keys"


def test_the_key_of_the_evidence_views_cookie_is_named_only_where_a_site_wants_the_view(objects: tuple[Yaml, ...]):
    assert not [each for each in of_kind(objects, "ConfigMap") if "CDS_SMART_KEYS" in each["data"]]


def test_the_monitor_finds_the_service_of_the_metrics_and_no_other(objects: tuple[Yaml, ...]):
    (monitor,) = of_kind(objects, "ServiceMonitor")
    chosen = [
        each for each in of_kind(objects, "Service") if selects(monitor["spec"]["selector"], each["metadata"]["labels"])
    ]
    assert [each["metadata"]["name"] for each in chosen] == ["b12-cds-metrics"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in chosen[0]["spec"]["ports"]]


def test_what_is_not_allowed_by_a_network_policy_is_closed(objects: tuple[Yaml, ...]):
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "NetworkPolicy")}
    makers = [*of_kind(objects, "Deployment"), *of_kind(objects, "Job")]
    closed = policies["b12-cds-nothing-else"]
    assert closed.keys() == {"podSelector", "policyTypes"}
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert all(selects(closed["podSelector"], labels(each)) for each in makers)
    assert all(selects(policies["b12-cds-store"]["podSelector"], labels(each)) for each in makers)
    assert [selects(policies["b12-cds-service"]["podSelector"], labels(each)) for each in makers] == [True, False]
    open_ports = [port["port"] for rule in policies["b12-cds-service"]["ingress"] for port in rule["ports"]]
    assert open_ports == [CALLS, METRICS]
    every = [*policies["b12-cds-service"]["ingress"], *policies["b12-cds-service"]["egress"]]
    assert all(rule.get("from") or rule.get("to") for rule in every)


def test_traces_may_leave_only_where_they_are_sent():
    def out(values: Path) -> set[int]:
        (policy,) = [
            each for each in of_kind(rendered(values), "NetworkPolicy") if each["metadata"]["name"].endswith("-service")
        ]
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}

    assert out(PILOT) == {443}
    assert out(REGION) == {443, urlsplit(settings_of(REGION)["CDS_TRACES_URL"]).port}


def test_what_a_pod_mounts_or_names_is_there(objects: tuple[Yaml, ...]):
    known = {(each["kind"], each["metadata"]["name"]) for each in objects} | {("Secret", "b12-cds")}
    for pod in pods(objects):
        for volume in pod["volumes"]:
            assert "emptyDir" in volume or known & {
                ("Secret", volume.get("secret", {}).get("secretName")),
                ("ConfigMap", volume.get("configMap", {}).get("name")),
            }
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in known


def test_there_is_no_secret_in_the_chart(objects: tuple[Yaml, ...]):
    assert of_kind(objects, "Secret") == []


def test_the_tables_are_upgraded_before_the_new_image_starts(objects: tuple[Yaml, ...]):
    (job,) = of_kind(objects, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (deployment,) = of_kind(objects, "Deployment")
    images = {pod["containers"][0]["image"] for pod in pods([job, deployment])}
    assert len(images) == 1


# What is inside


def settings_of(values: Path) -> dict[str, str]:
    return config_maps(values)["b12-cds"]


def config_maps(values: Path) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["data"] for each in of_kind(rendered(values), "ConfigMap")}


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_the_service_accepts_the_settings_the_clients_and_the_sites_folder(values: Path, tmp_path: Path, monkeypatch):
    folder = tmp_path / "site"
    made = config_maps(values)
    (pod,) = pods(of_kind(rendered(values), "Deployment"))
    for volume in pod["volumes"]:
        for item in volume.get("configMap", {}).get("items", []):
            file = folder / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(made["b12-cds-site"][item["key"]])
    settings = settings_of(values) | {"CDS_SECRETS_DIR": str(tmp_path)}
    if "CDS_SITE_DIR" in settings:
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert settings["CDS_SITE_DIR"] == mounts["site"]
        settings["CDS_SITE_DIR"] = str(folder)
        assert load_content(cards_folder(), folder).site.folder
    assert set(settings) <= {PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert load_settings().metrics_port == METRICS
    (tmp_path / "clients.toml").write_text(made["b12-cds-clients"]["clients.toml"])
    assert load_clients(tmp_path / "clients.toml").all


def test_what_the_chart_sets_itself_no_value_may_set():
    schema = json.loads((CHART / "values.schema.json").read_text())
    done = template("--values", HOSPITAL, "--set", "smart.enabled=true")  # whatever it can set, it sets
    assert done.returncode == 0, done.stderr
    objects = tuple(each for each in yaml.safe_load_all(done.stdout) if each)
    (made,) = (each["data"] for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"] == "b12-cds")
    own = set(made) - set(yaml.safe_load(HOSPITAL.read_text())["settings"])
    assert set(schema["properties"]["settings"]["propertyNames"]["not"]["enum"]) == own | {"CDS_DEMO"}


def test_every_value_can_be_said_and_no_other_is_described():
    """values.yaml is the documentation: it names what the schema allows, down to the last word."""

    def places(schema: dict[str, Any], at: str = "") -> set[str]:
        if "properties" not in schema:
            return {at}
        return {place for name, each in schema["properties"].items() for place in places(each, f"{at}.{name}")}

    def said(values: Any, schema: dict[str, Any], at: str = "") -> set[str]:
        if "properties" not in schema:
            return {at}
        return {
            place for name, each in values.items() for place in said(each, schema["properties"][name], f"{at}.{name}")
        }

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert said(yaml.safe_load((CHART / "values.yaml").read_text()), schema) == places(schema) - {".global"}


def test_its_version_is_the_services():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert (
        f":{__version__}"
        in of_kind(rendered(PILOT), "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    )


def test_a_changed_file_makes_new_pods():
    def checksum(*arguments: Any) -> str:
        done = template("--values", PILOT, *arguments)
        assert done.returncode == 0, done.stderr
        (found,) = re.findall(r"checksum/config: (\w+)", done.stdout)
        return found

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "settings.CDS_PATHWAY=us-aafp")


def test_the_rules_of_the_chart_are_the_file_that_is_tried():
    (rule,) = of_kind(rendered(HOSPITAL), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "monitoring" / "rules.yaml").read_text())
    (board,) = [each for each in of_kind(rendered(HOSPITAL), "ConfigMap") if "b12-cds.json" in each["data"]]
    assert json.loads(board["data"]["b12-cds.json"]) == json.loads(
        (CHART / "monitoring" / "dashboard.json").read_text()
    )


def test_a_pilot_says_its_last_day():
    clients = tomllib.loads(yaml.safe_load(PILOT.read_text())["clients"])
    assert all(client["mode"] == "silent" and client["silent_until"] for client in clients["client"].values())
