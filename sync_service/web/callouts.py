"""The sync addresses: a key comes in, is made durable, and is answered.

Zuora takes exactly 200 with `{"success": true}` for delivered and retries 403, 5xx and connection failures only (Zuora
documentation, "Callout notification overview"). API callers get Limio's contract, where `success` is a completed sync.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Request, Response, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from sync_service.access.clients import SYNC_SCOPE
from sync_service.access.throttle import Throttle, counter_name
from sync_service.queue.fate import Ticket
from sync_service.queue.limit import Share
from sync_service.queue.requests import Kind
from sync_service.queue.status.health import tell_obstacle
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.subscription.hints import (
    HEADERS,
    Field,
    Hints,
    Reason,
    ReasonCode,
    read_fields,
    read_hints,
    read_subscription_key,
    split_items,
    why_echo,
)
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.subscription.trigger import Trigger
from sync_service.telemetry.log import logger
from sync_service.telemetry.measures import callouts_of
from sync_service.web.answers import answer, read_body
from sync_service.web.auth import BearerAuth, Caller, SyncAuth, WrongCredentials
from sync_service.web.connections import HOLD_SECONDS, hold_answer
from sync_service.web.intake import Callout, IncomingCallout, Intake
from sync_service.web.senders import Senders
from sync_service.web.waiting import Result, ResultWaiter, wanted_seconds

_SYNC = "/api/plugins/zuora/sync"
#: WSGI's names of the headers that carry hints.
_HEADERS = tuple((f"HTTP_{header.upper().replace('-', '_')}", name) for header, name in HEADERS.items())
#: Rejected callouts that are recorded within an hour, of one place and of all, and how much of their keys.
MAX_REJECTED_OF_PLACE, MAX_REJECTED, MAX_REJECTED_KEY = 10, 60, 64
_HOUR_MS = 3_600_000
#: Callouts in one body: so many are durable well within the time that Zuora waits.
MAX_ITEMS = 500
_LARGEST_SEQ = 2**63 - 1


class KeyConverter(BaseConverter):
    """The rest of the path, whatever it is: what cannot be a key is answered as such and not as an unknown address."""

    part_isolating = False
    regex = "(?s:.*)"
    weight = 300


class SyncEndpoint:
    """Receives callouts and API callers, whichever of the addresses they come to."""

    def __init__(self, settings: Settings, database: Database, auth: SyncAuth, waiter: ResultWaiter) -> None:
        self._settings = settings
        self._database = database
        self._intake = Intake(database)
        self._auth = auth
        self._waiter = waiter
        self._senders = Senders((), settings.trusted_proxies)
        self._by_place = Throttle(database, limit=MAX_REJECTED_OF_PLACE, window_ms=_HOUR_MS)
        self._of_all = Throttle(database, limit=MAX_REJECTED, window_ms=_HOUR_MS)

    def receive(self, request: Request, kind: Kind, raw_key: str | None, *, event: bool = False) -> Response:
        """Answer the request; the key is in the address, or for None in the body.

        1. Who is it? 2. Which key? 3. Make it durable. 4. Only then acknowledge.
        """
        try:
            caller = self._auth.admit(request)
        except WrongCredentials as wrong:
            return self._reject(request, raw_key or "", wrong.what)
        items = split_items(read_body(request)) if raw_key is None and caller.is_callout else []
        if items:
            return self._take_many(request, kind, items, caller)
        fields = _fields(request)
        key = normalise_key(read_subscription_key(fields) if raw_key is None else raw_key)
        if caller.is_callout:
            wish = self._read_callout(request, kind, key, fields, caller, event)
            self._intake.take_callout(wish)
            return answer(200, _say_taken(wish))
        return self._serve(request, kind, key, caller)

    def show(self, ticket: Ticket) -> Response:
        """What has become of an earlier request."""
        if not self._waiter.knows(ticket):
            raise NotFound("There is no such request.")
        return self._say(ticket, self._waiter.look(ticket))

    def _take_many(self, request: Request, kind: Kind, items: Sequence[bytes], caller: Caller) -> Response:
        """A Workflow's loop in one body: each item is a callout of its own, and all are durable in one commit."""
        if len(items) > MAX_ITEMS:
            raise RequestEntityTooLarge(f"One body may hold {MAX_ITEMS} items; send the others in bodies of their own.")
        wishes, named = [], _named(request)
        for item in items:
            fields = read_fields(item, named)
            key = normalise_key(read_subscription_key(fields))
            wishes.append(self._read_callout(request, kind, key, fields, caller, True))
        self._intake.take_together(wishes)
        taken = [_say_taken(wish) for wish in wishes]
        status = "accepted" if any(each["status"] == "accepted" for each in taken) else "ignored"
        return answer(200, {"success": True, "status": status, "items": taken})

    def _read_callout(
        self, request: Request, kind: Kind, key: str, fields: Sequence[Field], caller: Caller, event: bool
    ) -> IncomingCallout:
        """What a callout asks for; with a reason if it says by itself that nothing is to be done."""
        hints = read_hints(fields)
        callout = _callout(request, key, hints)
        trigger = Trigger.EVENT if event else Trigger.CALLOUT if callout.notification_id else Trigger.WORKFLOW
        impossible = why_impossible(key)
        if impossible:
            reason: Reason | None = Reason(ReasonCode.IMPOSSIBLE_KEY, impossible)
        else:
            reason = why_echo(hints, self._settings.ignored_sources, self._settings.zuora_integration_users)
        return IncomingCallout(kind=kind, callout=callout, trigger=trigger, actor=caller.name, reason=reason)

    def _serve(self, request: Request, kind: Kind, key: str, caller: Caller) -> Response:
        impossible = why_impossible(key)
        if impossible:
            return answer(422, {"message": impossible})
        ticket = self._intake.accept_request(kind, key, caller.name)
        logger().info("request_received", key=ticket.key, client=caller.name)
        seconds = wanted_seconds(request.headers.getlist("Prefer"), self._settings.wait_limit_seconds)
        return self._say(ticket, self._waiter.wait(ticket, seconds))

    def _say(self, ticket: Ticket, result: Result | None) -> Response:
        place = f"/api/sync/requests/{ticket.kind.value}/{quote(ticket.key, safe='')}/{ticket.seq}"
        location = f"{self._settings.public_url.rstrip('/')}{place}"
        if result is None:
            result = Result(202, {"success": False, "status": "accepted", **self._why_not_yet()})
        if result.status == 202:
            return answer(202, {**result.body, "location": location}, {"Location": location})
        return answer(result.status, result.body)

    def _why_not_yet(self) -> dict[str, str]:
        """What keeps all syncs waiting just now, where there is such a thing."""
        try:
            with self._database.reading() as session:
                obstacle = tell_obstacle(session, Share.of(self._settings))
        except (SQLAlchemyError, TimeoutError):  # the request is durable: not to know this is no failure of it
            return {}
        return {"message": obstacle} if obstacle else {}

    def _reject(self, request: Request, raw_key: str, what: str) -> Response:
        """403, which Zuora retries, so that a rotated password loses nothing.

        The first ones of an hour are recorded, some of each place and not too many of all; of a stranger's words only
        the beginning of the key. The others are counted, and their answers held, which no right one ever is.
        """
        callout = Callout(key=normalise_key(raw_key)[:MAX_REJECTED_KEY])
        reason = Reason(ReasonCode.WRONG_CREDENTIALS, what)
        wish = IncomingCallout(
            kind=Kind.SUBSCRIPTION,
            callout=callout,
            trigger=Trigger.CALLOUT,
            actor=None,
            reason=reason,
            is_rejected=True,
        )
        headers: dict[str, str] = {}
        place = self._senders.find_place(request)
        try:
            of_place = counter_name("callout", self._settings.secret_key, place or "")
            seconds = self._by_place.count_failure(of_place) or self._of_all.count_failure("callout")
            if seconds is None:
                self._intake.take_callout(wish)
                _log(callout, "rejected", reason, sender=place)
            else:
                callouts_of("rejected", reason.code.value).inc()
                headers["Retry-After"] = str(seconds)
                hold_answer(request.environ, HOLD_SECONDS)
        except (SQLAlchemyError, TimeoutError):
            _log(callout, "rejected", reason, sender=place)
        return answer(403, {"message": f"The {what} is wrong."}, headers)


def sync_blueprint(desk: SyncEndpoint, bearer: BearerAuth) -> Blueprint:
    """The sync addresses, Limio's event address, and the one where API callers look for a late result."""
    blueprint = Blueprint("sync", __name__)
    for name, kind in (("subscription", Kind.SUBSCRIPTION), ("account", Kind.ACCOUNT)):

        def sync(key: str = "", kind: Kind = kind) -> Response:
            # One slash at the end is a slip in the address, not a part of the key.
            return desk.receive(_at_hand(), kind, key.removesuffix("/"))

        for rule in (f"{_SYNC}/{name}", f"{_SYNC}/{name}/<key:key>"):
            blueprint.add_url_rule(rule, f"sync_{name}", sync, methods=["POST"], provide_automatic_options=False)

    @blueprint.post("/api/events/zuora", provide_automatic_options=False)
    def zuora_event() -> Response:
        return desk.receive(_at_hand(), Kind.SUBSCRIPTION, None, event=True)

    @blueprint.get(f"/api/sync/requests/<any(subscription,alias,account):kind>/<key>/<int(max={_LARGEST_SEQ}):seq>")
    def sync_request(kind: str, key: str, seq: int) -> Response:
        bearer.admit(request, SYNC_SCOPE)
        return desk.show(Ticket(Kind(kind), normalise_key(key), seq))

    return blueprint


def _at_hand() -> Request:
    """The request itself: each look through Flask's proxy for it costs something."""
    return request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # Flask's own way to it


def _fields(request: Request) -> list[Field]:
    """Everything named that the request says besides its address. Raises RequestEntityTooLarge."""
    body = read_body(request)
    named = _named(request)
    if request.environ.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        try:
            named += request.form.items(multi=True)
        except (HTTPException, ValueError):
            return named
    return read_fields(body, named) if body or named else []


def _named(request: Request) -> list[Field]:
    """What address and headers say by name."""
    named = list(request.args.items(multi=True)) if request.environ.get("QUERY_STRING") else []
    return named + [(name, request.environ[header]) for header, name in _HEADERS if header in request.environ]


def _say_taken(wish: IncomingCallout) -> dict[str, Any]:
    """What a callout is answered once it is durable."""
    if wish.ticket is None:
        _log(wish.callout, "ignored", wish.reason)
        return {"success": True, "status": "ignored", "reason": str(wish.reason)}
    _log(wish.callout, "accepted", None)
    return {"success": True, "status": "accepted", "key": wish.ticket.key}


def _callout(request: Request, key: str, hints: Hints) -> Callout:
    return Callout(
        key=key,
        notification_id=request.environ.get("HTTP_ZUORA_NOTIFICATION_ID"),
        request_id=request.environ.get("HTTP_ZUORA_REQUEST_ID"),
        hints=hints,
        body=read_body(request),
    )


def _log(callout: Callout, verdict: str, reason: Reason | None, **more: str | None) -> None:
    callouts_of(verdict, "" if reason is None else reason.code.value).inc()
    logger().info(
        "callout_received",
        key=callout.key,
        verdict=verdict,
        reason=None if reason is None else str(reason),
        notification_id=callout.notification_id,
        **more,
    )
