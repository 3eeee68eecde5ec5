"""What this process counts and times while it works; the names and labels are those of /metrics.

Each process keeps its numbers in its row of the database (`queue.status.heartbeats`), and /metrics adds the rows of all
processes up (`web.health`). No label is a key, a person or a text from outside: every label has few values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

#: A series and its value: name, labels by name, value.
Sample = tuple[str, tuple[tuple[str, str], ...], float]

_REGISTRY = CollectorRegistry()

CALLOUTS = Counter(
    "sync_service_callouts", "Callouts by what was made of them.", ["verdict", "reason"], registry=_REGISTRY
)
# Alerts ask how these grow. A series that begins with what was counted first would not have grown by it.
for _verdict, _reason in (("ignored", "impossible key"), ("rejected", "wrong credentials")):
    CALLOUTS.labels(_verdict, _reason)


@cache
def callouts_of(verdict: str, reason: str) -> Counter:
    """The count of what was made of them; to look a series up by its labels costs more than to count."""
    return CALLOUTS.labels(verdict, reason)


RUNS = Counter(
    "sync_service_runs",
    "Attempts by how they ended: who asked (person, event, job), and the error's code where there is one.",
    ["outcome", "asked_by", "code"],
    registry=_REGISTRY,
)
WRITTEN = Histogram(
    "sync_service_written_seconds",
    "From the first request for a subscription to the commit of the sync that served it.",
    ["asked_by"],
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600),
    registry=_REGISTRY,
)
ZUORA = Histogram(
    "sync_service_zuora_seconds",
    "How long Zuora took to answer.",
    ["call"],
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
    registry=_REGISTRY,
)
ZUORA_ERRORS = Counter(
    "sync_service_zuora_errors",
    "Calls that did not end well, by the error's code.",
    ["call", "code"],
    registry=_REGISTRY,
)
ORDERS = Counter(
    "sync_service_orders_ended", "Orders that were placed, failed or held.", ["type", "state"], registry=_REGISTRY
)
WEBHOOKS = Counter(
    "sync_service_webhook_attempts",
    "Attempts to deliver a webhook, by what the webhook is then.",
    ["state"],
    registry=_REGISTRY,
)
CONNECTIONS = Gauge(
    "sync_service_database_connections",
    "Database connections that the busiest process of the role has in use, as last seen.",
    ["role"],
    registry=_REGISTRY,
)
MAX_CONNECTIONS = Gauge(
    "sync_service_database_connections_most",
    "Database connections that a process of the role may have in use.",
    ["role"],
    registry=_REGISTRY,
)
#: What is true only while a process lives, and of each by itself: of several the highest is told.
_OF_THE_LIVING = frozenset({"sync_service_database_connections", "sync_service_database_connections_most"})


def take_samples() -> list[Sample]:
    """Everything that this process has counted so far."""
    return [
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in _REGISTRY.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]


def add_up(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each series: the sum of a count, the highest of a gauge."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for name, labels, value in samples:
        before = found.get((name, labels), 0.0)
        found[name, labels] = max(before, value) if name in _OF_THE_LIVING else before + value
    return [(name, labels, value) for (name, labels), value in found.items()]


def without_gauges(samples: Iterable[Sample]) -> list[Sample]:
    """What goes on counting when the process is gone."""
    return [sample for sample in samples if sample[0] not in _OF_THE_LIVING]


def as_families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """The samples under their families, in the order that the text format asks for; unknown names are left out."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample[0], []).append(sample)
    for known in _REGISTRY.collect():
        family = Metric(known.name, known.documentation, known.type)
        for suffix in ("", "_total", "_bucket", "_count", "_sum"):
            for name, labels, value in sorted(by_name.get(known.name + suffix, ()), key=_place):
                family.add_sample(name, dict(labels), value)
        yield family


def _place(sample: Sample) -> tuple[list[tuple[str, str]], float]:
    """By labels, and the buckets of a histogram by their bound."""
    labels = dict(sample[1])
    bound = float(labels.pop("le", "0"))
    return sorted(labels.items()), bound
