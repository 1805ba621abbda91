"""What is counted for Prometheus: calls, cards, what was missing, how long it took, how the store is.

Every label comes from a closed set that is known when the service starts; whatever is not in it is "other", so that
nothing of a request can become a label. Nothing here is about a patient.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .fhir import bundles, index, reasons
from .fhir.gather import MORE_NAMES
from .fhir.key_states import ABSENT, DATA, EMPTY, FAILED, INCOMPLETE, NULL

if TYPE_CHECKING:
    from .evaluate import Evaluation
    from .store.records import StoreState

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # upper bounds; 0.2 is that of an objective
LOOK_EVERY = 10.0  # seconds between two looks at the store
OTHER = "other"
STATUSES = frozenset(
    str(status) for status in (200, 400, 401, 403, 404, 405, 408, 411, 412, 413, 414, 415, 429, 431, 500, 503)
)
ALARMING = ("401", "500", "503")
INDICATORS = frozenset(["info", "warning", "critical"])
KEY_STATES = frozenset([ABSENT, NULL, EMPTY, INCOMPLETE, FAILED, DATA])
OUTCOMES = frozenset(["accepted", "overridden"])
BEGUN, SHOWN, DENIED, TURNED_AWAY, LAUNCH_FAILED = "begun", "shown", "denied", "turned-away", "failed"
LAUNCHES = (BEGUN, SHOWN, DENIED, TURNED_AWAY, LAUNCH_FAILED)
WARNINGS = ("time-zone-not-stated", "selection-not-among-the-drafts", "only-other-patients-resources")
ACCESS = {"ready": "ready", "none passed": "none passed"}  # any other text says why the server may not be called
IGNORED = reasons.REASONS | bundles.REASONS | index.REASONS | {MORE_NAMES, "another patient", "specimen"}


@dataclass(frozen=True, slots=True)
class Names:
    """The closed sets that this installation adds: they come from clients.toml and from the content, never from a
    request. `rows` as cards name them ("interpret/deficient"), `keys` of prefetch."""

    clients: frozenset[str]
    hooks: frozenset[str]
    rows: frozenset[str]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class About:
    """What runs here. `review_passed` asks the calendar."""

    version: str
    content: str
    pathways: frozenset[str]
    review_passed: Callable[[], bool]


class Measures(Protocol):
    """What the service measures about itself. Thread safe; never raises and never waits."""

    def call(self, client: str, hook: str, silent: bool, found: Evaluation, *, fhir: str, seconds: float) -> None:
        """A call that was answered with cards or with 412. `fhir`: how FHIR access stood."""

    def parts(self, **seconds: float) -> None:
        """Where the time of one call went."""

    def refused(self, status: int) -> None:
        """A request that was answered with an error."""

    def in_work(self) -> AbstractContextManager[object]:
        """While a call or feedback is in work."""

    def feedback(self, client: str, outcomes: Iterable[str]) -> None:
        """Feedback that was stored."""

    def feedback_not_kept(self, items: int) -> None:
        """Feedback that could not be stored; the client has heard 503 and may send it again."""

    def launch(self, outcome: str) -> None:
        """How a SMART launch stands: one of LAUNCHES. A launch that ends well counts twice, as begun and as shown."""

    def begin(self, store: Callable[[], StoreState] | None) -> None:
        """This process starts to answer; from now on the store is looked at now and then."""


class NotMeasured:
    """Nobody asks for metrics: nothing is counted, and the library is not loaded."""

    def call(self, client: str, hook: str, silent: bool, found: Evaluation, *, fhir: str, seconds: float) -> None: ...

    def parts(self, **seconds: float) -> None: ...

    def refused(self, status: int) -> None: ...

    def in_work(self) -> AbstractContextManager[object]:
        return nullcontext()

    def feedback(self, client: str, outcomes: Iterable[str]) -> None: ...

    def feedback_not_kept(self, items: int) -> None: ...

    def launch(self, outcome: str) -> None: ...

    def begin(self, store: Callable[[], StoreState] | None) -> None: ...


class Counted:
    """A metric with labels from closed sets. The library finds a combination of labels slowly; here it does so once."""

    def __init__(self, metric: Any, **closed: Iterable[str]) -> None:
        self._metric, self._closed = metric, [frozenset(allowed) for allowed in closed.values()]
        self._known: dict[tuple[str, ...], Any] = {} if closed else {(): metric}

    def of(self, *values: str) -> Any:
        """What counts for these labels; a value that is not in its set is "other"."""
        labels = tuple(
            value if value in allowed else OTHER for value, allowed in zip(values, self._closed, strict=True)
        )
        if labels not in self._known:
            self._known[labels] = self._metric.labels(*labels)
        return self._known[labels]


class Metrics:
    """Counts for Prometheus. One for all processes: prometheus_client keeps a file for each, by its id.

    It decides at its import how it counts, by the environment that `metrics_server.measured` sets. So it is imported
    here, when the first Metrics is made, and not at all where nothing is measured.
    """

    def __init__(self, names: Names, about: About) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        self._about = about

        def counter(name: str, text: str, **closed: Iterable[str]) -> Counted:
            return Counted(Counter(f"b12_cds_{name}", text, [*closed], registry=self.registry), **closed)

        def histogram(name: str, text: str, **closed: Iterable[str]) -> Counted:
            metric = Histogram(f"b12_cds_{name}", text, [*closed], buckets=SECONDS, registry=self.registry)
            return Counted(metric, **closed)

        whose = {"client": names.clients, "hook": names.hooks}
        self._calls = counter("calls", "Calls answered", **whose, status=STATUSES, silent=("yes", "no"))
        self._seconds = histogram("call_seconds", "Seconds from a call's arrival to its answer", hook=names.hooks)
        self._parts = histogram("part_seconds", "Seconds in a part of a call", part=("read", "decide"))
        self._cards = counter("rows_shown", "Rows that cards showed", row=names.rows, indicator=INDICATORS)
        self._missing = counter("missing", "Calls answered 412, by the key that could not be had", key=names.keys)
        self._keys = counter("prefetch", "Prefetch keys, by what came under them", key=names.keys, state=KEY_STATES)
        self._ignored = counter("ignored", "Data that was not used", reason=IGNORED)
        self._access = counter("fhir_access", "Calls by how FHIR access stood", access=(*ACCESS.values(), "refused"))
        self._refused = counter("refused", "Requests answered with an error", status=STATUSES)
        self._feedback = counter("feedback", "Feedback stored", client=names.clients, outcome=OUTCOMES)
        self._not_kept = counter("feedback_not_kept", "Feedback that could not be stored and was answered 503")
        self._in_work: Any = Gauge(
            "b12_cds_calls_in_work", "Calls and feedback in work", registry=self.registry, multiprocess_mode="livesum"
        )
        self._forgotten = counter("recall_gave_up", "Calls for which the store could not say what was overridden")
        self._odd = counter("warnings", "Calls in which something was odd and put right", warning=WARNINGS)
        self._launches = counter("smart_launches", "SMART launches, by how they stand", outcome=LAUNCHES)
        self._lost = counter("store_lost", "Decisions that could not be kept")
        self._begin_with_nothing(names)

    def _begin_with_nothing(self, names: Names) -> None:
        """A series that an alert watches is there before the first of its kind: a rate sees a rise, not a first 1, and
        a share of what there is not is nothing at all. Where no call was ever answered, that is when it matters."""
        for client in names.clients:
            for hook in names.hooks:
                self._calls.of(client, hook, "200", "no")
            for outcome in OUTCOMES:
                self._feedback.of(client, outcome)
        for hook in names.hooks:
            self._seconds.of(hook)
        for status in ALARMING:
            self._refused.of(status)
        for key in names.keys:
            self._missing.of(key)
        for outcome in LAUNCHES:
            self._launches.of(outcome)

    def call(self, client: str, hook: str, silent: bool, found: Evaluation, *, fhir: str, seconds: float) -> None:
        self._calls.of(client, hook, str(found.status), "yes" if silent else "no").inc()
        self._seconds.of(hook).observe(seconds)
        for each in () if silent else found.shown:  # a silent client got none: see `feedback report --silent`
            self._cards.of(each.row, each.indicator).inc()
        for key in found.missing:
            self._missing.of(key).inc()
        for key, state in found.gathered.states.items():
            self._keys.of(key, state.state).inc()
        for left_out in found.record.ignored:
            self._ignored.of(left_out.reason.partition(":")[0]).inc()  # what follows the colon may name what was sent
        self._access.of(ACCESS.get(fhir, "refused")).inc()
        for warning in found.warnings:
            self._odd.of(warning).inc()
        if not found.remembered:
            self._forgotten.of().inc()

    def parts(self, **seconds: float) -> None:
        for part, value in seconds.items():
            self._parts.of(part).observe(value)

    def refused(self, status: int) -> None:
        self._refused.of(str(status)).inc()

    def in_work(self) -> AbstractContextManager[object]:
        tracked: AbstractContextManager[object] = self._in_work.track_inprogress()
        return tracked

    def feedback_not_kept(self, items: int) -> None:
        self._not_kept.of().inc(items)

    def feedback(self, client: str, outcomes: Iterable[str]) -> None:
        for outcome in outcomes:
            self._feedback.of(client, outcome).inc()

    def launch(self, outcome: str) -> None:
        self._launches.of(outcome).inc()

    def begin(self, store: Callable[[], StoreState] | None) -> None:
        looks = Looks(self.registry, self._about, self._lost, store)
        threading.Thread(target=looks.on, name="metrics", daemon=True).start()


class Looks:
    """How things stand in one process. Made in that process: in the one that it was forked from nothing stands."""

    def __init__(self, registry: Any, about: About, lost: Counted, store: Callable[[], StoreState] | None) -> None:
        from prometheus_client import Gauge

        def gauge(name: str, text: str, mode: Literal["livemax", "livemin", "livesum"], *labels: str) -> Any:
            return Gauge(f"b12_cds_{name}", text, labels, registry=registry, multiprocess_mode=mode)

        content = gauge("content_info", "What runs", "livemax", "version", "content", "pathway")
        for pathway in about.pathways:
            content.labels(about.version, about.content, pathway).set(1)
        passed = "1 if the day has passed by which the content must be reviewed"
        self._review = gauge("content_review_passed", passed, "livemax")
        self._about, self._store, self._lost, self._lost_before = about, store, lost, 0
        if store is not None:
            self._waiting = gauge("store_waiting", "Decisions that wait to be written", "livesum")
            self._late = gauge("store_late", "Threads that the database kept beyond their time", "livesum")
            self._ok = gauge("store_ok", "1 if the store answers every process", "livemin")

    def on(self) -> None:
        """Look again and again; in a thread of its own, for the store may take a while, and no call is to wait."""
        pause = threading.Event()
        while True:
            self.look()
            pause.wait(LOOK_EVERY)

    def look(self) -> None:
        """Note how the store is, and whether the content's day has passed."""
        self._review.set(self._about.review_passed())
        if self._store is None:
            return
        state = self._store()
        self._lost.of().inc(max(state.lost - self._lost_before, 0))
        self._lost_before = state.lost
        self._waiting.set(state.waiting)
        self._late.set(state.late)
        self._ok.set(state.ok)


def names_of(clients: Iterable[str], hooks: Iterable[str], pathways: Iterable[Any], keys: Iterable[str]) -> Names:
    """The closed sets of an installation with these pathways."""
    rows = {row for pathway in pathways for row in rows_of(pathway)}
    return Names(frozenset(clients), frozenset(hooks), frozenset(rows), frozenset(keys))


def rows_of(pathway: Any) -> Iterable[str]:
    """Every row of a pathway as a card may name it, dismissed ones too."""
    names = ("course", "interpret", "treat", "safety", "orders")
    tables: Mapping[str, Any] = {name: getattr(pathway, name) for name in names}
    rows = [f"{name}/{row.id}" for name, table in tables.items() for row in table]
    return [*rows, *(f"dismissed/{row}" for row in rows), *(f"fixed/{card}" for card in pathway.fixed)]
