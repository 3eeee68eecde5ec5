"""All parts, in the order of the page."""

from __future__ import annotations

from tests.bench import acknowledging, agreeing, draining, growth, memory, ordering, pages, reconciling, sweep, syncing
from tests.bench.figures import Part

PARTS: tuple[Part, ...] = (
    acknowledging.PART,
    agreeing.PART,
    agreeing.WIDE_PART,
    draining.PART,
    syncing.PART,
    growth.PART,
    memory.PART,
    ordering.PART,
    reconciling.PART,
    pages.PART,
    pages.LARGE_PART,
    sweep.PART,
)
