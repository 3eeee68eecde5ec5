"""Erasing what orders and errors say of a person: payloads, steps, answers, and messages that quote the person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlmodel import col, or_, select

from sync_service.commerce.fields import read_json, write_json
from sync_service.errors import BusyError
from sync_service.queue import questions as asks
from sync_service.queue.orders.lanes import OPEN_STATES, OrderState
from sync_service.queue.orders.steps import read_steps
from sync_service.store.engine import Session
from sync_service.store.statement import in_batches
from sync_service.store.tables import AskRow, JobRow, OrderWorkRow, SyncRequestRow, ZuoraLimitRow
from sync_service.subscription.limio.personal import erase_object, erase_text, personal_values


class OrderUnderWay(BusyError):
    """An order of this customer is under way or held: wait for its end, or give it up (`sync-service orders list`)."""

    code = "order under way"


def values_of_orders(works: Collection[OrderWorkRow]) -> set[str]:
    """The personal values in the orders, which may stand elsewhere too."""
    return set[str]().union(*(personal_values("order", read_json(work.payload)) for work in works))


def lock_orders(session: Session, numbers: Collection[str], order_ids: Collection[str]) -> list[OrderWorkRow]:
    """The orders of these subscriptions and of these ids. Raises OrderUnderWay: what is half done needs its values."""
    theirs = or_(
        col(OrderWorkRow.subscription_number).in_(list(numbers)), col(OrderWorkRow.order_id).in_(list(order_ids))
    )
    found = list(session.exec(select(OrderWorkRow).where(theirs).order_by(OrderWorkRow.order_id).with_for_update()))
    if any(work.state in OPEN_STATES or work.state == OrderState.HELD for work in found):
        raise OrderUnderWay
    return found


def erase_orders(session: Session, works: Collection[OrderWorkRow], known: Collection[str]) -> int:
    """Erase personal values from `works`, from their calls, and from previews that were asked for; how many orders.

    Doing it again finds nothing.
    """
    erased = 0
    for work in works:
        before = (work.payload, work.steps, work.error, work.notes)
        work.payload = _erase_json(work.payload, known)
        work.steps = None if work.steps is None else [_erase_json(step, known) for step in work.steps]
        work.error = erase_text(work.error, known)
        work.notes = [erase_text(note, known) or "" for note in work.notes]
        erased += (work.payload, work.steps, work.error, work.notes) != before
        for call in read_steps(session, work.order_id):
            call.body = call.body and _erase_json(call.body, known)
            call.answer = call.answer and _erase_json(call.answer, known)
            call.error = erase_text(call.error, known)
    for ask in session.exec(select(AskRow).where(AskRow.what == asks.ORDER)):
        if _holds(ask.question or "", known):
            session.delete(ask)
    return erased


def _erase_json(text: str, known: Collection[str]) -> str:
    value: Any = read_json(text)
    return write_json(erase_object("order", value, known)) if isinstance(value, Mapping) else text


def _holds(text: str, known: Collection[str]) -> bool:
    return erase_text(text, known) != text


def erase_messages(session: Session, keys: Collection[str], known: Collection[str]) -> int:
    """Erase messages that hold something known of a person, of the requests for `keys` and of what concerns all.

    Returns how many. Locks rows in the order in which claims do.
    """
    count = 0
    for limit in session.exec(select(ZuoraLimitRow).with_for_update()):
        limit.trouble_text = erase_text(limit.trouble_text, known)
        count += session.is_modified(limit)
    row, ordered = SyncRequestRow, sorted(keys)
    for some in in_batches(ordered):
        theirs = select(row).where(col(row.key).in_(some), col(row.last_error).is_not(None))
        for request in session.exec(theirs.order_by(col(row.kind), col(row.key)).with_for_update()):
            request.last_error = erase_text(request.last_error, known)
            count += session.is_modified(request)
    for job in session.exec(select(JobRow).order_by(col(JobRow.name)).with_for_update()):
        job.last_error = erase_text(job.last_error, known)
        count += session.is_modified(job)
    return count
