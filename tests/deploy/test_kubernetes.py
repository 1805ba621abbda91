"""The Kubernetes manifests: valid by the published schemas, hardened, and of one mind with each other."""

from __future__ import annotations

import copy
from typing import Any

import kubernetes_validate
import pytest

from tests.deploy.manifests import CALLS, METRICS, documents, labels, of_kind, pods, selects

VERSIONS = ("1.29", kubernetes_validate.latest_version())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", list(documents()), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_each_object_is_valid_by_its_schema_with_no_unknown_field(document: dict[str, Any], version: str):
    kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_would_refuse_a_misspelt_field():
    wrong = copy.deepcopy(of_kind("Deployment")[0])
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_every_object_lies_in_the_one_namespace_which_enforces_the_restricted_standard():
    (namespace,) = of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    inside = {each["metadata"].get("namespace") for each in documents() if each["kind"] != "Namespace"}
    assert inside == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod["containers"][0]["name"])
def test_every_pod_meets_the_restricted_standard_and_writes_to_memory_only(pod: dict[str, Any]):
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


def test_there_are_several_replicas_spread_out_and_one_may_leave_at_a_time():
    (deployment,) = of_kind("Deployment")
    (budget,) = of_kind("PodDisruptionBudget")
    assert deployment["spec"]["replicas"] >= 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert budget["spec"]["maxUnavailable"] == 1
    assert selects(budget["spec"]["selector"], labels(deployment))
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(selects(each["labelSelector"], labels(deployment)) for each in spread)


def test_alive_and_ready_are_asked_at_their_own_addresses():
    (container,) = of_kind("Deployment")[0]["spec"]["template"]["spec"]["containers"]
    asked = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"calls": CALLS, "metrics": METRICS}


def test_services_lead_to_the_pods_and_only_the_calls_come_in_from_outside():
    (deployment,) = of_kind("Deployment")
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind("Service")}
    assert {name: [port["port"] for port in spec["ports"]] for name, spec in services.items()} == {
        "b12-cds": [CALLS], "b12-cds-metrics": [METRICS],
    }  # fmt: skip
    assert all(spec["selector"].items() <= labels(deployment).items() for spec in services.values())
    assert not [name for name, spec in services.items() if spec.get("type") in ("NodePort", "LoadBalancer")]
    (ingress,) = of_kind("Ingress")
    paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
    assert [(path["path"], path["backend"]["service"]["name"]) for path in paths] == [("/cds-services", "b12-cds")]


def test_what_is_not_allowed_by_a_network_policy_is_closed():
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind("NetworkPolicy")}
    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    makers = [*of_kind("Deployment"), *of_kind("Job")]
    assert all(selects(policies["store"]["podSelector"], labels(each)) for each in makers)
    assert [selects(policies["service"]["podSelector"], labels(each)) for each in makers] == [True, False]
    open_ports = [port["port"] for rule in policies["service"]["ingress"] for port in rule["ports"]]
    assert open_ports == [CALLS, METRICS]
    assert all(rule["from"] for rule in policies["service"]["ingress"])


def test_what_a_pod_mounts_or_names_is_there():
    known = {(each["kind"], each["metadata"]["name"]) for each in documents()}
    for pod in pods():
        for volume in pod["volumes"]:
            assert "emptyDir" in volume or known & {
                ("Secret", volume.get("secret", {}).get("secretName")),
                ("ConfigMap", volume.get("configMap", {}).get("name")),
            }
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in known


def test_the_secret_is_a_template_without_a_secret():
    (secret,) = of_kind("Secret")
    assert all("REPLACE-ME" in value for value in secret["stringData"].values())
