"""What a worker does with a question left at the admin pages: read Zuora, and write nothing but the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from sync_service.errors import LeaseLost, SyncServiceError, TenantError
from sync_service.queue import previews as asks
from sync_service.queue.history import plan_as_json
from sync_service.queue.limit import note_success, note_tenant_error
from sync_service.sync.forecast import LOOK_SECONDS, forecast_sync
from sync_service.sync.invoices import find_invoices, find_pdf
from sync_service.sync.story import SyncContext
from sync_service.telemetry.log import logger
from sync_service.zuora.client import Reading


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
        case asks.INVOICE_PDF:
            return find_pdf(taken.question or "", reading)
        case _:
            return _find_plan(context, taken.key, reading)


def _find_plan(context: SyncContext, key: str, reading: Reading) -> Mapping[str, Any]:
    """What a sync of `key` would change. Raises as `forecast_sync` does."""
    forecast = forecast_sync(context, key, reading)
    plan = None if forecast.plan is None else plan_as_json(forecast.plan)
    return {"plan": plan, "imports": forecast.imports, "drastic": forecast.drastic, "calls": reading.calls}
