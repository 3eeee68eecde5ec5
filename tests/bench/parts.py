"""All parts, in the order of the page."""

from __future__ import annotations

from tests.bench import acknowledging, draining
from tests.bench.figures import Part

PARTS: tuple[Part, ...] = (acknowledging.PART, draining.PART)
