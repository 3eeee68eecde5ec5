"""Is the store what Zuora says? Asked twice: of Zuora's raw answers, field by field, and of the product's own plan.

The first way shares no code with the product, so that it also sees what a wrong comparison would hide; the second one
reads everything as `sync-service plan` does and finds what the first one does not look at.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sync_service.settings import Settings
from sync_service.store.engine import connect
from sync_service.subscription.plan import SyncPlan
from sync_service.sync.attempt import SyncContext
from sync_service.sync.forecast import forecast_sync
from sync_service.zuora.client import ZuoraClient
from tests.acceptance.service import Service
from tests.acceptance.tenant import Tenant
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

#: The lines at which the emulated Zuora cuts a preview.
_CUT_AT = 300
#: Limio's word for Zuora's status (Limio's page "Subscription statuses in Limio and relation with Zuora").
_STATUS = {"Active": "active", "Suspended": "suspended", "Cancelled": "cancelled", "OutOfTerm": "active"}
#: Limio's field for each of a contact's in Zuora.
_ADDRESS = {
    "firstName": "firstName",
    "lastName": "lastName",
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "postalCode": "zipCode",
}


def find_stale(
    service: Service, numbers: Iterable[str], *, planned: bool = True, today: date | None = None
) -> list[str]:
    """One line for each way in which the store is behind Zuora; nothing may be running."""
    numbers = sorted(set(numbers))
    zuora = _Zuora(service.tenant)
    today = today or datetime.now(UTC).date()
    found = [line for number in numbers for line in _differences(service, zuora, number, today)]
    return found + (find_plans(service, numbers) if planned else [])


def find_plans(service: Service, numbers: Iterable[str]) -> list[str]:
    """What a sync that reads everything would still change."""
    database = connect(service.environ["DATABASE_URL"])
    context = SyncContext(
        database=database,
        zuora=ZuoraClient(service.tenant.url, CLIENT_ID, CLIENT_SECRET),
        settings=Settings(tenant_time_zone=ZoneInfo("UTC")),
    )
    found = []
    for number in numbers:
        plan = forecast_sync(context, number, context.zuora.reading()).plan
        if plan is None or not plan.is_empty:
            found.append(f"{number}: a sync would still change {_show(plan)}")
    context.zuora.close()
    database.engine.dispose()
    return found


def _show(plan: SyncPlan | None) -> str:
    return "?" if plan is None else "; ".join(str(change)[:300] for change in plan.changes)


class _Zuora:
    """Zuora's answers, those about an account asked for once."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._people: dict[str, tuple[str, str]] = {}
        self._lines: dict[tuple[str, date], list[dict[str, Any]]] = {}

    def subscription(self, number: str) -> dict[str, Any]:
        return self._tenant.fetch_subscription(number)

    def person(self, account: str) -> tuple[str, str]:
        """The name and the email of an account's bill-to contact."""
        if account not in self._people:
            contact = self._tenant.fetch_account(account)["billToContact"]
            email = contact["personalEmail"] or contact["workEmail"]
            self._people[account] = (f"{contact['firstName']} {contact['lastName']}", email)
        return self._people[account]

    def lines(self, account_id: str, target: date) -> list[dict[str, Any]]:
        """The coming lines of an account up to a date: all of them, or there is nothing to compare."""
        if (account_id, target) not in self._lines:
            lines = self._tenant.fetch_preview(account_id, target.isoformat())
            assert len(lines) < _CUT_AT, "Zuora cuts this preview, and the rest is left alone on purpose: play less"
            self._lines[account_id, target] = lines
        return self._lines[account_id, target]


def _differences(service: Service, asked: _Zuora, number: str, today: date) -> Iterator[str]:
    zuora = asked.subscription(number)
    found = service.rows(
        "SELECT link.version, link.read_ended, limio.id, limio.document, limio.customer, limio.term_end,"
        " limio.auto_renew, limio.status FROM zuora_link AS link"
        " JOIN limio_subscription AS limio ON limio.id = link.subscription_id WHERE link.number = :number",
        number=number,
    )
    if not found:
        yield f"{number}: the store has no such subscription"
        return
    (limio,) = found
    begin = max(today, _billed_until(zuora))  # a preview tells nothing of days that are billed
    cancelled_on = _cancelled_on(zuora)
    term_end = cancelled_on or date.fromisoformat(zuora["termEndDate"])
    renews = zuora["autoRenew"] and cancelled_on is None
    expected = {
        "version": zuora["version"],
        "term end": term_end.isoformat(),
        "auto-renew": renews,
        "status": _STATUS[_status_on(zuora, today)],
        "payments": _due_in_zuora(asked, zuora, begin, term_end),
        "billing": _address(zuora["billToContact"]),
        "delivery": _address(zuora["soldToContact"]),
        "customer": asked.person(zuora["accountNumber"]),
    }
    actual = {
        "version": limio.version,
        "term end": str(limio.term_end),
        "auto-renew": bool(limio.auto_renew),
        "status": limio.status,
        "payments": _due_in_limio(service, limio.id, begin, term_end, renews=renews),
        "billing": _stored_address(service, limio.id, "billing"),
        "delivery": _stored_address(service, limio.id, "delivery"),
        "customer": _stored_person(service, limio.customer),
    }
    for name, value in expected.items():
        if actual[name] != value:
            told, stored = _what_differs(value, actual[name])
            yield f"{number}: {name} is {told} in Zuora and {stored} in the store"


def _what_differs(left: Any, right: Any) -> tuple[Any, Any]:
    """Of two mappings only what they do not share."""
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return left, right
    shared = {key for key, value in left.items() if right.get(key) == value}
    kept = [{key: str(value) for key, value in each.items() if key not in shared} for each in (left, right)]
    return kept[0], kept[1]


def _cancelled_on(zuora: dict[str, Any]) -> date | None:
    days = [each["startDate"] for each in zuora["statusHistory"] if each["status"] == "Cancelled"]
    return date.fromisoformat(days[-1]) if days else None


def _status_on(zuora: dict[str, Any], today: date) -> str:
    for each in zuora["statusHistory"]:
        begun = each["startDate"] is None or each["startDate"] <= today.isoformat()
        if begun and (each["endDate"] is None or today.isoformat() < each["endDate"]):
            return str(each["status"])
    return str(zuora["status"])


def _due_in_zuora(asked: _Zuora, zuora: dict[str, Any], begin: date, term_end: date) -> dict[str, Decimal]:
    """What is due on each day from `begin` to the end of the term; everything here is charged in advance."""
    due: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in asked.lines(zuora["invoiceOwnerAccountId"], term_end):
        day = line["serviceStartDate"]
        if line["subscriptionNumber"] == zuora["subscriptionNumber"] and str(begin) <= day < str(term_end):
            due[day] += Decimal(str(line["chargeAmount"])) + Decimal(str(line["taxAmount"]))
    return dict(due)


def _due_in_limio(
    service: Service, subscription: str, begin: date, term_end: date, *, renews: bool
) -> dict[str, Decimal]:
    """The live payments from `begin` on; where it renews, those of the next term may stand and are left out."""
    due: defaultdict[str, Decimal] = defaultdict(Decimal)
    payments = service.rows(
        "SELECT due, amount FROM limio_schedule WHERE subscription_id = :id AND type = 'payment'"
        " AND status = 'pending-external'",
        id=subscription,
    )
    for day, amount in payments:
        if str(begin) <= str(day) and not (renews and str(day) >= str(term_end)):
            due[str(day)] += Decimal(amount)
    return dict(due)


def _billed_until(zuora: dict[str, Any]) -> date:
    charges = [charge for plan in zuora["ratePlans"] for charge in plan["ratePlanCharges"]]
    segments = [segment for charge in charges for segment in (charge, *charge["chargeSegments"])]
    days = [date.fromisoformat(each["chargedThroughDate"]) for each in segments if each["chargedThroughDate"]]
    return max(days, default=date.min)


def _address(contact: dict[str, Any]) -> dict[str, str]:
    return {limio: contact[name] or "" for limio, name in _ADDRESS.items()}


def _stored_address(service: Service, subscription: str, use: str) -> dict[str, str]:
    """The newest active one, as Limio shows it."""
    found = service.rows(
        "SELECT document FROM limio_address WHERE subscription_id = :id AND relationship_type = :use"
        " AND status = 'active' ORDER BY start DESC LIMIT 1",
        id=subscription,
        use=use,
    )
    data = _json(found[0][0])["data"] if found else {}
    return {name: data.get(name) or "" for name in _ADDRESS}


def _stored_person(service: Service, customer: str) -> tuple[Any, Any] | None:
    found = service.rows("SELECT document FROM limio_customer WHERE id = :id", id=customer)
    data = _json(found[0][0])["data"] if found else {}
    return (data.get("name"), data.get("email")) if found else None


def _json(value: Any) -> dict[str, Any]:
    """A document column as each database gives it."""
    found: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return found
