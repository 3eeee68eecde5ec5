"""Looking without touching: what a sync would change, and the other answers that workers give to questions.

Everything is computed from what Zuora and the store say now; nothing is written but the answer.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sync_service.errors import NotFoundInZuora, UnknownKey
from sync_service.queue import questions as asks
from sync_service.queue.questions import read_invoices_asked, read_pdf_asked
from sync_service.store.reads import resolve_key, tell_unknown
from sync_service.subscription.plan import LimioState, SyncPlan
from sync_service.subscription.reconcile import reconcile
from sync_service.sync.attempt import SyncContext, look_closer
from sync_service.sync.current import CurrentQuery
from sync_service.zuora.invoices import fetch_invoice, fetch_invoices, fetch_invoices_of, fetch_pdf
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading

#: The time for all calls of one number, in seconds.
LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Forecast:
    """What a sync of one key would do, or why it could not be told."""

    key: str
    plan: SyncPlan | None = None
    #: The sync would make a subscription that Limio never saw, or cancel one or all of its coming payments.
    imports: bool = False
    drastic: bool = False
    error: str | None = None


def compute_plan(context: SyncContext, key: str, reading: Reading) -> tuple[SyncPlan, LimioState]:
    """Read everything of `key`, compare it with the store, write nothing: the plan, and what the store holds.

    The caller holds a story's lease. Raises what `Reading` and `reconcile` raise.
    """
    with context.database.reading() as session:
        number = resolve_key(session, key)
        unknown = tell_unknown(session, key)
        at = session.now()
    try:
        subscription = reading.fetch_subscription(number or key)
    except NotFoundInZuora:
        if number is None:
            raise UnknownKey(unknown) from None
        raise
    asked = CurrentQuery(subscription=subscription, read_began=at, share=context.share)
    look, current = look_closer(context, asked, reading, SharedPreviews(), full=True)
    plan = reconcile(current.limio, look.state, context.tenant_day(at), context.rules)
    return replace(plan, notes=look.notes + plan.notes), current.limio


def forecast_sync(context: SyncContext, key: str, reading: Reading) -> Forecast:
    """What a sync of `key` would do. Raises as `compute_plan` does."""
    plan, current = compute_plan(context, key, reading)
    imports = current.subscription is None and not plan.is_empty
    return Forecast(key, plan, imports=imports, drastic=plan.is_drastic)


def answer_ask(context: SyncContext, taken: asks.Taken) -> None:
    """Answer `taken`, or say why that cannot be, and give its place back. Raises nothing of the question's."""
    reading = taken.place.counting(context.zuora.reading(LOOK_SECONDS))
    asks.serve(context.database, context.share, taken, lambda: _find(context, taken, reading))


def _find(context: SyncContext, taken: asks.Taken, reading: Reading) -> Mapping[str, Any]:
    match taken.what:
        case asks.INVOICES:
            return find_invoices(taken.question or "", reading)
        case asks.INVOICE:
            return {"invoice": fetch_invoice(reading, taken.key)}
        case asks.INVOICE_PDF:
            return find_pdf(taken.question or "", reading)
        case _:
            return _find_plan(context, taken.key, reading)


def _find_plan(context: SyncContext, key: str, reading: Reading) -> Mapping[str, Any]:
    """What a sync of `key` would change. Raises as `forecast_sync` does."""
    forecast = forecast_sync(context, key, reading)
    plan = None if forecast.plan is None else forecast.plan.as_json()
    return {"plan": plan, "imports": forecast.imports, "drastic": forecast.drastic, "calls": reading.calls}


def find_invoices(question: str, reading: Reading) -> Mapping[str, Any]:
    """The page that is asked for: `invoices`, and `cursor` where there are more. Raises as the reading does."""
    asked = read_invoices_asked(question)
    if asked.subscriptions:
        page = fetch_invoices_of(reading, asked.account, asked.subscriptions)
    else:
        page = fetch_invoices(reading, asked.account, cursor=asked.cursor, size=asked.size)
    return {"invoices": list(page.invoices), "cursor": page.cursor}


def find_pdf(question: str, reading: Reading) -> Mapping[str, Any]:
    """The PDF as base64 under `pdf`. Raises NotFoundInZuora for another account's as for none."""
    asked = read_pdf_asked(question)
    return {"pdf": base64.b64encode(fetch_pdf(reading, asked.account, asked.invoice)).decode()}
