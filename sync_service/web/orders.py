"""Limio's Send Order API: an order comes in, is checked whole, made durable, and answered.

Paths, fields and the answer are those of Limio's page "Send Orders". Every wrong field is named in one answer, and
nothing is stored of an order that is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest

from sync_service.access.clients import ORDER_PREVIEW_SCOPE, ORDER_SCOPE, REFUND_SCOPE, Client
from sync_service.commerce.fields import read_json, write_json
from sync_service.commerce.order import CannotBePlacedError, Order, Problem, ProblemCode, Refusal
from sync_service.commerce.payload import read_order
from sync_service.queue import questions as asks
from sync_service.queue.orders.acceptance import (
    LOCK_TIMEOUT_MS,
    Accepted,
    OrderRequest,
    OtherBody,
    check_order,
    take_order,
)
from sync_service.queue.orders.lanes import OrderState, find_work, read_names
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.store.tables import AskRow, OrderWorkRow
from sync_service.telemetry.log import logger
from sync_service.web.answers import RETRY_SECONDS, answer, read_body
from sync_service.web.auth import BearerAuth
from sync_service.web.waiting import ResultWaiter, wanted_seconds

#: No client makes longer ones, and Zuora's own limit is the same.
MAX_KEY = 255
#: The answer to a problem that stands alone; everything else, and several kinds together, is 400.
_STATUS: Mapping[ProblemCode, int] = {
    ProblemCode.UNKNOWN: 404,
    ProblemCode.PENDING_CHANGE: 423,
    ProblemCode.NOT_PERMITTED: 403,
}


class OrderIntake:
    """Takes orders in, whichever of the addresses they come to."""

    def __init__(self, settings: Settings, database: Database, waiter: ResultWaiter) -> None:
        self._settings = settings
        self._database = database
        self._waiter = waiter

    def receive(self, client: Client) -> Response:
        """Answer the request at hand: read, check, make durable, and where the caller wants it wait for the outcome."""
        payload = read_payload()
        order = self._read(payload, client)
        if isinstance(order, Refusal):
            return refuse(order.problems)
        partner_org = payload.get("forPartner")
        if not isinstance(partner_org, str | None):
            text = "must be the id of a partner organisation"
            return refuse([Problem(field="forPartner", code=ProblemCode.INVALID, message=text)])
        key = read_idempotency_key()
        asked = OrderRequest(client=client.client_id, key=key, body=read_body(request))
        try:
            accepted = take_order(
                self._database, self._settings, order, asked, client=client.name, partner_org=partner_org
            )
        except OtherBody as error:
            return answer(422, {"message": str(error)})
        except CannotBePlacedError as refusal:
            return refuse(refusal.problems)
        logger().info("order_received", order=accepted.order_id, order_type=order.type, known=accepted.known)
        return self._answer(accepted, order, keyed=key is not None)

    def preview(self, client: Client) -> Response:
        """What the order would cost: a worker asks Zuora, and nothing is placed."""
        order = self._read(read_payload(), client)
        if isinstance(order, Refusal):
            return refuse(order.problems)
        question = write_json({"order": order.document, "may_refund": order.may_refund})
        try:
            with self._database.transaction(lock_timeout_ms=LOCK_TIMEOUT_MS) as session:
                check_order(session, self._settings, order)
                ask_id = asks.leave(
                    session,
                    asks.ORDER,
                    "",
                    client.client_id,
                    question=question,
                    most=asks.MAX_OPEN_OF_A_CLIENT,
                )
        except CannotBePlacedError as refusal:
            return refuse(refusal.problems)
        except asks.TooManyAsked as error:
            return answer(429, {"message": str(error)}, {"Retry-After": str(RETRY_SECONDS)})
        return self.wait_for_preview(ask_id)

    def wait_for_preview(self, ask_id: int) -> Response:
        """Answer with what a worker finds, as long as the caller waits."""
        limit = self._settings.wait_limit_seconds
        asked = self._waiter.wait_for(
            lambda session: asks.read_answer(session, ask_id),
            wanted_seconds(request.headers.getlist("Prefer"), limit, limit),
        )
        return _answer_preview(asked)

    def _read(self, payload: Mapping[str, Any], client: Client) -> Order | Refusal:
        return read_order(payload, self._settings.tenant_time_zone, may_refund=REFUND_SCOPE in client.scopes)

    def _answer(self, accepted: Accepted, order: Order, *, keyed: bool) -> Response:
        seconds = 0.0
        if order.process_immediately and not (accepted.known and keyed):
            seconds = wanted_seconds(
                request.headers.getlist("Prefer"), self._settings.wait_limit_seconds, self._settings.wait_limit_seconds
            )
        self._waiter.wait_for(lambda session: _has_ended(session, accepted.order_id), seconds)
        with self._database.reading() as session:
            work = find_work(session, accepted.order_id)
        assert work is not None  # noqa: S101 - it is durable
        if accepted.known and keyed and order.process_immediately and work.ended_at is None:
            return answer(
                409, {"message": "The order of this Idempotency-Key is still being placed.", **show_order(work)}
            )
        return answer_order(work)


def orders_blueprint(intake: OrderIntake, bearer: BearerAuth) -> Blueprint:
    """`POST /api/order` and `/api/order/preview`; `/api/admin/order` is the older address of the first."""
    blueprint = Blueprint("orders", __name__, url_prefix="/api")

    @blueprint.post("/order", provide_automatic_options=False)
    def order() -> Response:
        return intake.receive(bearer.admit(request, ORDER_SCOPE))

    blueprint.add_url_rule("/admin/order", "admin_order", order, methods=["POST"], provide_automatic_options=False)

    @blueprint.post("/order/preview", provide_automatic_options=False)
    def order_preview() -> Response:
        return intake.preview(bearer.admit(request, ORDER_PREVIEW_SCOPE))

    return blueprint


def read_payload() -> Mapping[str, Any]:
    """The body as a JSON object with exact numbers. Raises BadRequest."""
    try:
        payload = read_json(read_body(request).decode())
    except (ValueError, RecursionError):
        raise BadRequest("The body must be a JSON object.") from None
    if not isinstance(payload, dict):
        raise BadRequest("The body must be a JSON object.")
    return payload


def read_idempotency_key() -> str | None:
    """The header, if there is one. Raises BadRequest."""
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY or not key.isprintable():
        raise BadRequest(f"Idempotency-Key must be at most {MAX_KEY} printable characters.")
    return key or None


def refuse(problems: Sequence[Problem]) -> Response:
    """What is wrong with an order, all of it in one answer."""
    statuses = {_STATUS.get(problem.code, 400) for problem in problems}
    errors = [{"field": problem.field, "message": problem.message} for problem in problems]
    message = " ".join(problem.message for problem in problems)
    return answer(statuses.pop() if len(statuses) == 1 else 400, {"message": message, "errors": errors})


def _answer_preview(asked: AskRow | None) -> Response:
    if asked is None:
        return answer(502, {"message": "Zuora has not answered in time; nothing was placed. Please ask again."})
    problems = asks.refusal_of(asked.answer or {})
    if problems:
        return refuse(problems)
    if asked.error is not None:
        return answer(502, {"message": asked.error})
    return answer(200, dict(asked.answer or {}))


def _has_ended(session: Session, order_id: str) -> bool | None:
    work = find_work(session, order_id)
    return (work is not None and work.ended_at is not None) or None


def answer_order(work: OrderWorkRow) -> Response:
    """How it stands with an order."""
    if work.state == OrderState.FAILED:
        return answer(502, {"message": work.error or "The order failed.", **show_order(work)})
    return answer(200, show_order(work))


def show_order(work: OrderWorkRow) -> dict[str, Any]:
    """The order as Limio answers it; what is neither complete nor failed is `submitted`."""
    names = read_names(work)
    ended = work.state in (OrderState.COMPLETE, OrderState.FAILED)
    shown = {
        "id": work.order_id,
        "order_reference": work.number,
        "status": work.state if ended else OrderState.SUBMITTED.value,
        "external_id": work.external_id,
        "subscriptionReference": work.subscription_number,
        "owner": names.owner,
    }
    return shown | ({"warnings": work.notes} if work.notes else {})
