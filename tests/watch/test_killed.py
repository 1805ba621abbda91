"""The command, in processes: one look, the daily run, and `kill -9` at the worst moment."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from cds_service.watch.tasks import Standing
from tests.hooks.processes import running
from tests.watch.fhir_store import FhirStore, serving
from tests.watch.installed import Installed
from tests.watch.patients import b12, person

YESTERDAY = str((datetime.now(UTC) - timedelta(days=1)).date())


class Halting(FhirStore):
    """A server that holds every write back until it may go on, and says when one has come."""

    def __init__(self, **given):
        super().__init__(**given)
        self.came, self.may_go_on = threading.Event(), threading.Event()

    def send(self, method, target, headers, body):
        self.came.set()
        self.may_go_on.wait(60)
        return super().send(method, target, headers, body)


def ready(store):
    store.put(person("p1"))
    store.put(b12("p1", 95, YESTERDAY))
    return store


def test_killed_between_decision_and_write_it_writes_one_task_when_it_begins_again(tmp_path):
    store = ready(Halting(now=datetime.now(UTC)))
    with serving(store):
        installed = Installed(tmp_path, store.base)
        with running("watch", "--client", "ward", "--port", "0", **installed.settings):  # killed at the end
            assert store.came.wait(120)
        store.may_go_on.set()  # what was sent may still be carried out, or not: both are right
        again = installed.run("--client", "ward", "--once")
    assert again.returncode == 0, again.stderr
    (task,) = store.tasks
    assert Standing(task).is_open


def test_the_commands_tell_what_they_did_and_refuse_what_is_not_watched(tmp_path):
    store = ready(FhirStore(now=datetime.now(UTC)))
    with serving(store):
        installed = Installed(tmp_path, store.base, "recheck = 1")
        assert '"created":1' in installed.run("--client", "ward", "--once").stderr
        assert installed.run("due", "--client", "ward").returncode == 0
        told = installed.run("status", "--client", "ward").stdout
        assert "Mode: active" in told and "Patients to be decided about: 0" in told
        store.down = True
        assert installed.run("--client", "ward", "--once").returncode == 1
    refused = installed.run("--client", "other", "--once")
    assert refused.returncode == 2 and "no watched client 'other'; allowed: ward" in refused.stderr
    unnamed = installed.run("status")
    assert unnamed.returncode == 2 and "--client: names nobody; allowed: ward" in unnamed.stderr
    assert len(store.tasks) == 1
