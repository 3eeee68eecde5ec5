"""The pure comparison of a very large subscription."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from sync_service.subscription.plan import LimioState
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.schedule.charges import charges_of
from sync_service.subscription.zuora import Preview, PreviewItem, ZuoraState, ZuoraSubscription
from tests.bench.figures import Bench, Figure, Figures, Part
from tests.unit.builders import LONDON, TODAY, a_preview_item, a_segment, a_subscription, an_account, day
from tests.unit.paper_store import apply_on_paper

_CHARGES = 200
_TERM_END = day("2026-09-01")
_TARGET_DATE = day("2027-01-01")
#: So often in a round, to time more than the clock's grain.
_TIMES = 5

ABOUT = f"""
How long `reconcile`, which is pure, takes for a subscription of {_CHARGES} charges with 300 lines in the billing
preview: when Limio has none of it, which plans its import, and when Limio has all of it, which finds nothing to do.
Beside it stands what Python's `json` takes to parse a megabyte on the same machine.
"""


def measure(bench: Bench) -> Figures:
    """Import and empty plan."""
    subscription, preview = _subscription(), _preview()
    zuora = ZuoraState(subscription=subscription, account=an_account(), preview=preview)
    nothing = LimioState()
    full = apply_on_paper(nothing, reconcile(nothing, zuora, TODAY, LONDON), subscription)
    assert reconcile(full, zuora, TODAY, LONDON).is_empty
    megabyte = json.dumps([{"name": "Digital Monthly", "amount": 17.5, "at": each} for each in range(16_500)])
    rows = {
        "import of what Limio does not have": lambda: reconcile(nothing, zuora, TODAY, LONDON),
        "comparison that finds nothing to do": lambda: reconcile(full, zuora, TODAY, LONDON),
        "of it: putting the charges in order, once": lambda: charges_of(subscription),
    }
    figures = Figures()
    for what, work in rows.items():
        ours, parsing = [], []
        for _ in range(bench.rounds):
            parsing.append(_milliseconds(lambda: json.loads(megabyte)))
            ours.append(_milliseconds(work))
        figures.rows.append(
            Figure(what=what, unit="ms", values=ours, beside=f"parsing {len(megabyte) / 1e6:.1f} MB", reference=parsing)
        )
    return figures


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(_TIMES):
        work()
    return (time.perf_counter() - began) / _TIMES * 1000


def _subscription() -> ZuoraSubscription:
    """Half of the charges are billed every month and half every quarter, all of them up to 1 July."""
    segments = [
        a_segment(
            f"C-{place:08d}",
            name=f"Charge {place}",
            billing_period=("Month", "Quarter")[place % 2],
            effective_end=_TERM_END,
        )
        for place in range(_CHARGES)
    ]
    return a_subscription(segments=tuple(segments), term_end=_TERM_END, end=_TERM_END)


def _preview() -> Preview:
    items: list[PreviewItem] = []
    for place in range(_CHARGES):
        starts = ("2026-07-01", "2026-08-01") if place % 2 == 0 else ("2026-07-01",)
        names = {"charge_number": f"C-{place:08d}", "charge_name": f"Charge {place}"}
        items += [a_preview_item(start, **names) for start in starts]
    return Preview(items=tuple(items), target_date=_TARGET_DATE)


PART = Part(name="reconciling", title="Comparing a large subscription", about=ABOUT, measure=measure)
