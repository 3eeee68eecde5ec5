"""What a worker does with a question left at the admin pages: read Zuora, and write nothing but the answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import LeaseLost, SyncServiceError, TenantError
from sync_service.queue import questions as asks
from sync_service.queue.limit import note_success, note_tenant_error
from sync_service.queue.questions import read_invoices_asked, read_pdf_asked
from sync_service.subscription.stored_plan import plan_as_json
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import LOOK_SECONDS, forecast_sync
from sync_service.telemetry.log import logger
from sync_service.zuora.invoices import fetch_invoice, fetch_invoices, fetch_invoices_of, fetch_pdf
from sync_service.zuora.reading import Reading


def answer_ask(context: SyncContext, taken: asks.Taken) -> None:
    """Answer `taken`, or say why that cannot be, and give its place back. Raises nothing that belongs to the question.

    Where the database is away the lease runs out, and another worker answers.
    """
    log = logger().bind(ask=taken.id, what=taken.what, key=taken.key)
    reading = context.zuora.reading(LOOK_SECONDS)
    try:
        _answer(context, taken, reading)
        log.info("ask_answered", calls=reading.calls)
    except (LeaseLost, SQLAlchemyError) as error:
        log.warning("ask_lost", error=type(error).__name__)


def _answer(context: SyncContext, taken: asks.Taken, reading: Reading) -> None:
    try:
        found = _find(context, taken, reading)
    except TenantError as error:
        note_tenant_error(context.database, error, context.share)
        asks.refuse(context.database, taken, str(error), error.code)
    except SyncServiceError as error:
        asks.refuse(context.database, taken, str(error), error.code)
    except Exception as error:
        logger().exception("ask_crashed", ask=taken.id)
        asks.refuse(context.database, taken, f"The answer crashed: {type(error).__name__}.", "crashed")
    else:
        asks.answer(context.database, taken, found)
        note_success(context.database, context.share)
    finally:
        taken.place.calls = reading.calls
        taken.place.give_back()


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
    plan = None if forecast.plan is None else plan_as_json(forecast.plan)
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
