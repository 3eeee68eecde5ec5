"""Zuora's own addresses: tokens, reads, previews and queries. Nothing here changes a subscription.

Sources: the pages of Zuora's API reference that the functions name.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

from zuora_emulator import account_answers, answers, billing, messages
from zuora_emulator.announcements import Announcements
from zuora_emulator.answers import Json
from zuora_emulator.callouts import Callouts
from zuora_emulator.fields import Refused
from zuora_emulator.idempotency import Keys
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
    """The OAuth clients that may sign in, and the tokens they hold."""

    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET
    #: Further clients and their secrets, as while one replaces another.
    others: dict[str, str] = field(default_factory=dict)
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
    announcements: Announcements
    access: Access = field(default_factory=Access)
    keys: Keys = field(default_factory=Keys)
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
        secrets = {**access.others, access.client_id: access.client_secret}
        right = form.get("client_secret") == secrets.get(form.get("client_id", ""), "")
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

    def subscription(self, request: Request, key: str) -> Json:
        """As "Retrieve a subscription by key"."""
        found = self.tenant.find_version(key)
        if found is None:
            raise _unknown(key)
        subscription, version = found
        if "stale" in request.troubles and version is subscription.latest and len(subscription.versions) > 1:
            before = subscription.versions[-2]
            shown = self._show(request, before)
            return shown | {"status": before.status_on(self.tenant.today), "isLatestVersion": True}
        return self._show(request, version)

    def version(self, request: Request, key: str, number: str) -> Json:
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

    def subscriptions_of(self, request: Request, key: str) -> Json:
        """As "List subscriptions by account key": latest versions of those it owns, the last updated first."""
        account = self.need_account(key)
        owned = sorted(self.tenant.owned_by(account.number), key=lambda each: each.latest.updated, reverse=True)
        page, rest = self.page(request, owned)
        shown = [self._show(request, each.latest) for each in page]
        for each in shown:
            del each["success"]
        return {"subscriptions": shown, "success": True, **rest}

    def account(self, _: Request, key: str) -> Json:
        """As "Retrieve an account"."""
        return account_answers.account(self.tenant, self.need_account(key))

    def contact(self, _: Request, key: str) -> Json:
        """As "Retrieve a contact"."""
        contact = self.tenant.find_contact(key)
        if contact is None:
            raise _unknown(key)
        account = self.tenant.accounts[contact.account_number]
        marks = {"asBillTo": account.bill_to == key, "asSoldTo": account.sold_to == key, "asShipTo": False}
        return {**answers.contact(account, contact), **marks, "success": True}

    def preview(self, request: Request) -> Json:
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
        account = self.need_account(str(by_id or by_number))
        assumed = billing.Assumptions(
            target=_day(target, "targetDate"),
            renewal=renewal,
            evergreen=asked.get("includingEvergreenSubscription") is True,
            without_types=frozenset(each.strip() for each in str(asked.get("chargeTypeToExclude") or "").split(",")),
        )
        invoiced = sorted(self.tenant.invoiced_to(account.number), key=lambda each: each.number)
        items = billing.preview([each.latest for each in invoiced], assumed)
        return account_answers.preview(self.tenant, account, items, self.preview_rows)

    def need_account(self, key: str) -> Account:
        """The account with this number or id. Raises Refused."""
        account = self.tenant.find_account(key)
        if account is None:
            raise _unknown(key)
        return account

    def page(self, request: Request, rows: list[Any]) -> tuple[list[Any], Json]:
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
