"""compose.yaml: valid by the Compose Specification, hardened, and closed but for the proxy's one port."""

from __future__ import annotations

import copy
import json
import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from compose_spec import PyCompose

from tests.deploy.manifests import DEPLOY, ROOT, compose

COMPOSE = compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IN_PRODUCTION = [name for name, each in SERVICES.items() if each.get("profiles") != ["test"]]


def is_valid(told: dict[str, Any]) -> None:
    PyCompose.from_json(json.dumps(told)).validate()


def test_it_is_valid_by_the_compose_specification():
    is_valid(COMPOSE)


@pytest.mark.parametrize(
    "key, value, says",
    [
        ("readonly", True, "`readonly`"),
        ("networks", ["none"], "network `none`"),
        ("secrets", ["none"], "secret `none`"),
    ],
)
def test_the_check_would_refuse_what_is_misspelt_or_not_there(key: str, value: Any, says: str):
    wrong = copy.deepcopy(COMPOSE)
    wrong["services"]["service"][key] = value
    with pytest.raises(ValueError, match=says):
        is_valid(wrong)


@pytest.mark.parametrize("name", IN_PRODUCTION)
def test_every_service_is_hardened(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["tmpfs"]


def test_every_image_is_a_name_and_a_tag_and_no_registry():
    images = {service["image"] for service in SERVICES.values()}
    assert all(re.fullmatch(r"[a-z0-9-]+(/[a-z0-9-]+)?:[\w.-]+", image) for image in images - {"b12-cds"}), images


def test_only_the_proxy_is_reached_from_outside():
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "proxy": ["443:8443"]
    }
    closed = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    assert set(SERVICES["postgres"]["networks"]) == {"store"} <= closed
    assert {"calls", "metrics", "hapi", "fhir"} <= closed
    assert set(SERVICES["service"]["networks"]) <= closed, "the service reaches nobody by itself"
    assert not set(SERVICES["proxy"]["networks"]) & {"store", "metrics", "outside"}


def test_what_is_waited_for_has_a_health_or_an_end():
    for service in SERVICES.values():
        for name, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_completed_successfully":
                assert SERVICES[name]["restart"] == "no"
            else:
                assert condition["condition"] == "service_healthy"
                # the service's own check stands in its Dockerfile
                assert "test" in SERVICES[name].get("healthcheck", {}) or SERVICES[name]["image"] == "b12-cds"


def test_no_secret_stands_in_the_file_and_git_does_not_see_where_they_lie():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for secret in COMPOSE["secrets"].values():
        folder, _, _ = secret["file"].removeprefix("./").rpartition("/")
        assert f"deploy/{folder}/" in ignored
    said = [value for service in SERVICES.values() for value in service.get("environment", {}).items()]
    assert not [name for name, value in said if "PASSWORD" in name and not value.startswith("/run/secrets/")]
    assert not [value for _, value in said if "://" in value]


def test_the_configuration_files_that_it_names_are_there():
    for config in COMPOSE["configs"].values():
        assert (DEPLOY / config["file"]).is_file()
    build = SERVICES["service"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_what_may_be_called_is_named_for_the_way_out_and_in_its_rules():
    ways = [name for name, service in SERVICES.items() if "outside" in service.get("networks", ())]
    assert ways == ["egress"]
    rules = (DEPLOY / "proxy" / "egress.conf").read_text()
    allowed = re.findall(r"^ +([\w.-]+) +\1:443;$", rules, re.MULTILINE)
    assert SERVICES["egress"]["networks"]["fhir"]["aliases"] == allowed != []
    assert re.search(r'default +"";', rules), "whoever asks for another name is ended"


def test_the_metrics_are_on_their_own_network_only():
    measured = {name: each for name, each in SERVICES.items() if "metrics" in each.get("networks", ())}
    assert set(measured) == {"service", "watch"}
    (subnet,) = COMPOSE["networks"]["metrics"]["ipam"]["config"]
    for each in measured.values():
        address = each["networks"]["metrics"]["ipv4_address"]
        assert each["environment"]["CDS_METRICS_HOST"] == address
        assert ip_address(address) in ip_network(subnet["subnet"])
    assert len({each["networks"]["metrics"]["ipv4_address"] for each in measured.values()}) == 2


def test_the_watcher_starts_only_where_it_is_asked_for_and_writes_to_a_folder_of_its_own():
    watch = SERVICES["watch"]
    assert watch["profiles"] == ["watch"]
    (state,) = [each for each in watch["volumes"] if not each.get("read_only")]
    assert watch["environment"]["CDS_WATCH_STATE"].startswith(state["target"] + "/")
    assert [name for name, each in SERVICES.items() if state in each.get("volumes", ())] == ["watch"]
    assert f"deploy/{state['source'].removeprefix('./')}/" in (ROOT / ".gitignore").read_text().splitlines()
