"""Time for a store in the process of a test, where its limits are not what is tried: what a busy machine needs."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from cds_service.store import store, writer
from cds_service.store.executor import Operation

SECONDS = 30.0


def operations(module: ModuleType) -> dict[str, Operation]:
    """Every kind of work on the database that a module declares, by its name there, with that much time."""
    declared = {name: each for name, each in vars(module).items() if isinstance(each, Operation)}
    return {name: replace(each, seconds=SECONDS) for name, each in declared.items()}


UNHURRIED = [(module, name, each) for module in (store, writer) for name, each in operations(module).items()]


def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, operation in UNHURRIED:
        monkeypatch.setattr(module, name, operation)
