"""Zuora's own addresses: tokens, reads, previews and queries. Nothing here changes a subscription.

Sources: the pages of Zuora's API reference that the functions name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

from zuora_emulator import account_answers, answers, billing, messages, object_query, zoql
from zuora_emulator.answers import Json
from zuora_emulator.callouts import Callouts
from zuora_emulator.descriptions import describe
from zuora_emulator.fields import Refused
from zuora_emulator.messages import Answer, Request
from zuora_emulator.notifications import Notifications
from zuora_emulator.records import Account, Version
from zuora_emulator.tenant import LIMIO_USER, Tenant
from zuora_emulator.traffic import Traffic

#: What `sync-service demo` and the tests sign in with unless told otherwise; as long as Zuora's are.
CLIENT_ID = "5f1d0c64-7d0e-4c8e-9f0b-3a54c1a9e001"
CLIENT_SECRET = "emulator-client-secret"  # noqa: S105 - opens nothing but this emulator

_ENTITY = "1a2b7a37-3e7d-4cb3-b0e2-883de9e766cc"


@dataclass
class Access:
    """The OAuth client that may sign in, and the tokens it holds."""

    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    #: How long a token lives.
    seconds: int = 3599
    tokens: dict[str, float] = field(default_factory=dict)


@dataclass
class ZuoraApi:
    """Answers requests to the tenant."""

    tenant: Tenant
    traffic: Traffic
    callouts: Callouts
    notifications: Notifications
    access: Access = field(default_factory=Access)
    #: The version of a tenant that was never upgraded, for requests that name none.
    default_version: str = "186.0"
    #: The most rows of a billing preview.
    preview_rows: int = 300

    def fetch_token(self, request: Request) -> Answer:
        """As "Create an OAuth token": client credentials in a form. The body of a refusal is not documented."""
        if not self.traffic.allow_token():
            return messages.rate_limited("minute", 60)
        form = {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
        access = self.access
        right = (form.get("client_id"), form.get("client_secret")) == (access.client_id, access.client_secret)
        if request.method != "POST" or form.get("grant_type") != "client_credentials" or len(access.client_id) != 36:
            return Answer(400, {"error": "invalid_request"})
        if not right:
            return Answer(401, {"error": "invalid_client"})
        token = uuid4().hex
        self.access.tokens[token] = time.monotonic() + self.access.seconds
        scope = f"user.{LIMIO_USER} entity.{_ENTITY} service.echo.read tenant.{self.tenant.number}"
        body = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.access.seconds,
            "scope": scope,
            "jti": uuid4().hex,
        }
        return Answer(200, body)

    def is_signed_in(self, request: Request) -> bool:
        """Whether the request carries a token that is still good."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self.access.tokens.get(token.strip(), 0) > time.monotonic()

    def answer(self, request: Request) -> tuple[str, Answer]:
        """The route's name and the answer."""
        name, work, keys = _find_route(request)
        try:
            with self.tenant.lock:
                found = work(self, request, *keys)
        except Refused as refused:
            if request.path.startswith("/object-query/"):
                return name, messages.query_refusal(refused.code, str(refused))
            modern = request.is_modern(self.default_version)
            return name, messages.refusal(refused.code, str(refused), modern=modern)
        except ValueError:
            return name, messages.refusal(50000090, "The request body is not valid JSON.")
        return name, found if isinstance(found, Answer) else Answer(200, found)

    def _subscription(self, request: Request, key: str) -> Json:
        """As "Retrieve a subscription by key"."""
        found = self.tenant.find_version(key)
        if found is None:
            raise _unknown(key)
        subscription, version = found
        if request.stale and version is subscription.latest and len(subscription.versions) > 1:
            before = subscription.versions[-2]
            shown = self._show(request, before)
            return shown | {"status": before.status_on(self.tenant.today), "isLatestVersion": True}
        return self._show(request, version)

    def _version(self, request: Request, key: str, number: str) -> Json:
        """As "Retrieve a subscription by key and version"."""
        found = self.tenant.find_subscription(key)
        version = next((each for each in found.versions if str(each.version) == number), None) if found else None
        if version is None:
            raise _unknown(key)
        return self._show(request, version)

    def _show(self, request: Request, version: Version) -> Json:
        detail = request.one("charge-detail") or "last-segment"
        if detail not in ("last-segment", "current-segment", "all-segments", "specific-segment"):
            raise Refused(f"Invalid value for charge-detail: {detail}", 50000027)
        as_of = request.one("as-of-date")
        day = _day(as_of, "as-of-date") if as_of and detail == "specific-segment" else None
        of = self.tenant.subscriptions[version.number]
        shape = answers.subscription(self.tenant, of, version, detail=detail, as_of=day)
        if request.one("exclude-rate-plans-with-no-charges") == "true":
            shape["ratePlans"] = [plan for plan in shape["ratePlans"] if plan["ratePlanCharges"]]
        return shape

    def _subscriptions_of(self, request: Request, key: str) -> Json:
        """As "List subscriptions by account key": latest versions of those it owns, the last updated first."""
        account = self._need_account(key)
        owned = sorted(self.tenant.owned_by(account.number), key=lambda each: each.latest.updated, reverse=True)
        page, rest = self._page(request, owned)
        shown = [self._show(request, each.latest) for each in page]
        for each in shown:
            del each["success"]
        return {"subscriptions": shown, "success": True, **rest}

    def _account(self, _: Request, key: str) -> Json:
        """As "Retrieve an account"."""
        return account_answers.account(self.tenant, self._need_account(key))

    def _contact(self, _: Request, key: str) -> Json:
        """As "Retrieve a contact"."""
        contact = self.tenant.find_contact(key)
        if contact is None:
            raise _unknown(key)
        account = self.tenant.accounts[contact.account_number]
        marks = {"asBillTo": account.bill_to == key, "asSoldTo": account.sold_to == key, "asShipTo": False}
        return {**answers.contact(account, contact), **marks, "success": True}

    def _order(self, _: Request, number: str) -> Json:
        """As "Retrieve an order"."""
        if number not in self.tenant.orders:
            raise _unknown(number)
        return {"success": True, "order": self.tenant.orders[number]}

    def _orders_of(self, request: Request, number: str) -> Json:
        """As "List orders by subscription number", the newest first."""
        found = self.tenant.subscriptions.get(number) or self.tenant.find_subscription(number)
        if found is None or found.number != number:
            raise _unknown(number)
        orders = [self.tenant.orders[each] for each in reversed(found.orders)]
        field = "orderDate" if request.one("dateFilterOption") == "orderDate" else "updatedDate"
        first, last = request.one("startDate") or "", request.one("endDate") or "9999"
        page, rest = self._page(request, [each for each in orders if first <= each[field][:10] <= last])
        return {"success": True, "orders": page, **rest}

    def _preview(self, request: Request) -> Json:
        """As "Generate a billing preview"."""
        asked = request.json()
        by_id, by_number, target = asked.get("accountId"), asked.get("accountNumber"), asked.get("targetDate")
        if bool(by_id) == bool(by_number):
            raise Refused("Exactly one of accountId and accountNumber is required.", 58490022)
        if not target:
            raise Refused("targetDate is required.", 58490022)
        renewal = asked.get("assumeRenewal") or "None"
        if renewal not in ("None", "Autorenew", "All"):
            raise Refused(f"Invalid value for assumeRenewal: {renewal}", 58490020)
        account = self._need_account(str(by_id or by_number))
        assumed = billing.Assumptions(
            target=_day(target, "targetDate"),
            renewal=renewal,
            evergreen=asked.get("includingEvergreenSubscription") is True,
            without_types=frozenset(each.strip() for each in str(asked.get("chargeTypeToExclude") or "").split(",")),
        )
        invoiced = sorted(self.tenant.invoiced_to(account.number), key=lambda each: each.number)
        items = billing.preview([each.latest for each in invoiced], assumed)
        return account_answers.preview(self.tenant, account, items, self.preview_rows)

    def _need_account(self, key: str) -> Account:
        account = self.tenant.find_account(key)
        if account is None:
            raise _unknown(key)
        return account

    def _page(self, request: Request, rows: list[Any]) -> tuple[list[Any], Json]:
        """The asked page of at most 40, and `nextPage` where there is one."""
        try:
            size = min(40, max(1, int(request.one("pageSize") or 20)))
            page = max(1, int(request.one("page") or 1))
        except ValueError:
            raise Refused("page and pageSize are whole numbers", 50000027) from None
        found = rows[(page - 1) * size : page * size]
        if page * size >= len(rows):
            return found, {}
        query = {**{name: values[0] for name, values in request.query.items()}, "page": page + 1, "pageSize": size}
        return found, {"nextPage": f"http://{request.headers.get('host', '')}{request.path}?{urlencode(query)}"}


def _unknown(key: str) -> Refused:
    return Refused(f"Cannot find entity by key: '{key}'.", 50000040)


def _day(value: object, name: str) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise Refused(f"Invalid value for {name}: {value}", 50000020) from None


def _not_here(_: ZuoraApi, request: Request) -> Answer:
    if request.path.startswith("/v1/action/"):
        return Answer(400, {"code": "ClientError", "message": f"Invalid action '{request.parts[-1]}'"})
    return messages.refusal(50000045, f"HTTP {request.method} {request.path} is not supported by the emulator.")


def _query(api: ZuoraApi, request: Request, kind: str) -> Json:
    return object_query.query(api.tenant, kind, request.query)


def _query_one(api: ZuoraApi, _: Request, kind: str, key: str) -> Json:
    return object_query.find(api.tenant, kind, key)


def _zoql(api: ZuoraApi, request: Request) -> Json:
    asked = request.json()
    of_profiles = api.notifications.store.zoql(str(asked.get("queryString", "")))
    return of_profiles if of_profiles is not None else zoql.query(api.tenant, asked)


def _describe(api: ZuoraApi, _: Request, name: str) -> Answer:
    """As "Describe an object", whose answers are XML, errors too."""
    found = describe(name, api.notifications.store.order_fields)
    if found is None:
        return Answer(404, b"<error>Not found</error>", content_type="text/xml; charset=utf-8")
    return Answer(200, found, content_type="text/xml; charset=utf-8")


def _provision(api: ZuoraApi, request: Request, *_: str) -> Answer:
    return api.notifications.answer(request)


_Work = Callable[..., Any]
#: Addresses and what answers them; the first that fits.
_ROUTES: dict[str, _Work] = {
    "GET /v1/subscriptions/accounts/{key}": ZuoraApi._subscriptions_of,
    "GET /v1/subscriptions/{key}": ZuoraApi._subscription,
    "GET /v1/subscriptions/{key}/versions/{version}": ZuoraApi._version,
    "GET /v1/accounts/{key}": ZuoraApi._account,
    "GET /v1/contacts/{id}": ZuoraApi._contact,
    "GET /v1/orders/subscription/{number}": ZuoraApi._orders_of,
    "GET /v1/orders/{number}": ZuoraApi._order,
    "POST /v1/operations/billing-preview": ZuoraApi._preview,
    "GET /object-query/{kind}": _query,
    "GET /object-query/{kind}/{key}": _query_one,
    "POST /v1/action/query": _zoql,
    "POST /v1/action/queryMore": lambda api, request: zoql.query_more(api.tenant, request.json()),
    "GET /v1/describe/{object}": _describe,
    "GET /v1/notification-history/callout": lambda api, request: api.callouts.history(request),
    "GET /events/{kind}": _provision,
    "POST /events/{kind}": _provision,
    "GET /events/{kind}/{id}": _provision,
    "PUT /events/{kind}/{id}": _provision,
    "DELETE /events/{kind}/{id}": _provision,
    "GET /notifications/{kind}": _provision,
    "POST /notifications/{kind}": _provision,
    "GET /notifications/{kind}/{id}": _provision,
    "PUT /notifications/{kind}/{id}": _provision,
    "DELETE /notifications/{kind}/{id}": _provision,
    "POST /notifications/callout-histories/resend": _provision,
}
_BY_SHAPE: dict[tuple[str, int], list[tuple[str, list[str]]]] = {}
for _name in _ROUTES:
    _method, _path = _name.split(" ")
    _pieces = _path.strip("/").split("/")
    _BY_SHAPE.setdefault((_method, len(_pieces)), []).append((_name, _pieces))


def _find_route(request: Request) -> tuple[str, _Work, list[str]]:
    """The route's name, its work, and the pieces of the path that are keys."""
    for name, pieces in _BY_SHAPE.get((request.method, len(request.parts)), ()):
        if all(piece[0] == "{" or piece == part for piece, part in zip(pieces, request.parts, strict=True)):
            keys = [part for piece, part in zip(pieces, request.parts, strict=True) if piece[0] == "{"]
            if name.startswith("GET /object-query/") and keys[0] not in object_query.KINDS:
                break
            return name, _ROUTES[name], keys
    return "other", _not_here, []
