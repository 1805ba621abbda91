"""Every series that the service and the result watcher can have, asked of their own registries."""

from __future__ import annotations

from functools import cache

from cds_service.metrics import About, Looks, Metrics, Names
from cds_service.store.records import StoreState
from cds_service.watch.measures import WatchMetrics

ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}  # of what is scraped


def at_start() -> set[str]:
    """The series that there are before anything has happened, without their prefix."""
    one = frozenset(["x"])
    metrics = Metrics(Names(one, one, one, one), About("1", "2", one, lambda: False))
    found = (each for registry in (metrics.registry, WatchMetrics().registry) for each in registry.collect())
    return {sample.name.removeprefix("b12_cds_") for each in found for sample in each.samples}


@cache
def counted() -> dict[str, set[str]]:
    """Every series that the service can have, without its prefix, with the names of its labels."""
    one = frozenset(["x"])
    metrics = Metrics(Names(one, one, one, one), About("1", "2", one, lambda: False))
    Looks(metrics.registry, metrics._about, metrics._lost, lambda: StoreState(True, "", 0, 0))
    return {
        name.removeprefix("b12_cds_"): set(metric._labelnames)
        for registry in (metrics.registry, WatchMetrics().registry)
        for metric, names in registry._collector_to_names.items()
        for name in names
        if name.endswith(ENDINGS[metric._type])
    }
