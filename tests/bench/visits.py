"""Every address that reads the store, as people and systems ask for it, in front of a store of `tests.bench.grown`."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import product
from urllib.parse import urlencode

from sync_service.access.cipher import TextCipher
from sync_service.queue.runs.history import Outcome
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.charts import RANGES
from sync_service.web.admin.filters import SHOWN, VERDICTS
from sync_service.web.admin.finding import MATTERS, STATUSES
from sync_service.web.admin.sorting import ORDERS
from tests.bench.grown import BUSY, OF_A_PARTNER, Size, number_of


@dataclass(frozen=True)
class Visit:
    """One address, and what it is called in a report."""

    name: str
    path: str
    #: Whether there is what it asks for.
    is_known: bool = True

    @property
    def needs_token(self) -> bool:
        """It is for systems with an access token, not for people who are logged in."""
        return self.path.startswith("/api/")

    @property
    def is_of_a_partner(self) -> bool:
        """Its token is one of a partner organisation."""
        return self.path.startswith("/api/partner/")

    @property
    def answers(self) -> tuple[int, ...]:
        """The statuses with which it may be answered."""
        return (200,) if self.is_known else (200, 404)


def key_of(kind: str, n: int) -> str:
    """The Limio id of the nth object of a kind, as `grown` makes it."""
    short = {"subscription": "sub", "customer": "cus", "identity": "id", "order": "order"}[kind]
    word = {"subscription": "sub", "identity": "owner"}.get(kind, kind)
    return f"{short}-{md5(f'{word}{n}'.encode(), usedforsecurity=False).hexdigest()}"


def visits(size: Size, secret_key: str) -> list[Visit]:
    """All of them, each filter and each kind of search, first pages, second ones and ones near the end."""
    cipher = TextCipher((secret_key,))
    return [*_lists(cipher), *_subscriptions(), *_history(size, cipher), *_upkeep(), *_portal(), *_systems()]


def main_visits(size: Size, secret_key: str) -> list[Visit]:
    """Those that people look at all day."""
    named = {visit.name: visit for visit in visits(size, secret_key)}
    return [named[name] for name in _MAIN]


#: A day of `grown`'s oldest subscriptions.
_EARLY = (datetime.now(UTC) - timedelta(days=1990)).strftime("%Y-%m-%dT12:00:00.000Z")
_MAIN = (
    "overview",
    "subscriptions",
    "subscriptions near the end",
    "subscriptions, cancelled",
    "subscriptions, Failing",
    "subscriptions, Never synced",
    "subscriptions, Renewing soon",
    "search: a number",
    "search: an email address",
    "search: the beginning of a common name",
    "search everything: the beginning of a common name",
    "frame",
    "one subscription",
    "one subscription with a long history",
    "history",
    "history, near the end",
    "history, failed",
    "history, callouts",
    "history, dates",
    "history of customer:ada field:amounts from:month",
    "one subscription near its first day",
    "inbox",
    "inbox, failed",
    "jobs",
    "users",
    "history, people",
    "objects: related to a subscription",
    "metrics",
)


def _lists(cipher: TextCipher) -> Iterator[Visit]:
    yield Visit("overview", "/admin")
    for stretch in RANGES:
        yield Visit(f"overview of a {stretch}", f"/admin?range={stretch}")
    yield _list("subscriptions")
    yield _list("subscriptions near the end", after=_cursor(_EARLY, "sub-8"))
    for status, matter in product(("", *STATUSES), ("", *MATTERS)):
        if status or matter:
            name = ", ".join(filter(None, ("subscriptions", status, MATTERS.get(matter, ""))))
            yield _list(name, status=status, matter=matter)
    for order in ORDERS:
        for word in (order, f"-{order}"):
            yield _list(f"subscriptions by {word}", sort=word)
            for status, matter in (("cancelled", ""), ("", "external"), ("", "unsynced"), ("", "failing")):
                yield _list(f"subscriptions by {word}, {status}{matter}", sort=word, status=status, matter=matter)
    late = {"number": number_of(8), "updated": _EARLY, "ending": "2030-01-01", "checked": "9"}
    for order, first in late.items():
        for way in ("after", "before"):
            yield _list(f"subscriptions by {order}, {way} one", sort=order, **{way: _cursor(first, "sub-8")})
    texts = {
        "a number": number_of(BUSY),
        "a Limio id": key_of("subscription", BUSY),
        "an email address": md5(b"mail55", usedforsecurity=False).hexdigest()[:8] + "55@example.com",
        "the beginning of an email address": md5(b"mail55", usedforsecurity=False).hexdigest()[:6],
        "the beginning of a common name": "Ada",
        "two letters": "sa",
        "nothing that there is": "no one at all",
    }
    for name, text in texts.items():
        yield _list(f"search: {name}", q=cipher.encrypt(text))
        yield Visit(f"search everything: {name}", f"/admin/search?{urlencode({'q': cipher.encrypt(text)})}")
    yield _list(
        "search: a common name, cancelled, Renewing soon",
        q=cipher.encrypt("Ada"),
        status="cancelled",
        matter="renewing",
    )
    yield Visit("export", "/admin/subscriptions.csv")
    yield Visit("export, Never synced", "/admin/subscriptions.csv?matter=unsynced")


def _cursor(first: str, last_id: str) -> str:
    """As the list's own links have it."""
    return urlsafe_b64encode(json.dumps([first, last_id]).encode()).decode().rstrip("=")


def _subscriptions() -> Iterator[Visit]:
    for name, key in (
        ("one subscription", key_of("subscription", 321)),
        ("one subscription with a long history", key_of("subscription", BUSY)),
        ("one subscription by its number", number_of(BUSY)),
    ):
        yield Visit(name, f"/admin/subscriptions/{key}")
    yield Visit("an unknown key", "/admin/subscriptions/A-S99999999", is_known=False)
    customer = f"/admin/customers/{key_of('customer', 234)}"
    yield Visit("one customer", customer)
    yield Visit("progress of a customer", f"{customer}/progress/1")
    yield Visit("progress of a job", "/admin/jobs/job 1/progress")
    yield Visit("preview", "/admin/previews/20")
    yield Visit("progress", f"/admin/progress/subscription/1/{number_of(BUSY)}")


def _history(size: Size, cipher: TextCipher) -> Iterator[Visit]:
    for kind, entry_id in (("run", size.runs // 2), ("callout", size.runs // 4), ("act", size.runs // 50)):
        yield Visit(f"one {kind} by itself", f"/admin/history/{kind}/{entry_id}")
    early = int((datetime.now(UTC) - timedelta(days=95)).timestamp() * 1000)
    asked: list[dict[str, str]] = [{}, *({"show": show} for show in SHOWN)]
    asked += ({"outcome": outcome.value} for outcome in Outcome)
    asked += ({"verdict": verdict} for verdict in VERDICTS)
    asked += ({"trigger": trigger.value} for trigger in Trigger)
    asked += [{"from": "2026-01-01", "to": "2027-01-01"}, {"by": cipher.encrypt("person7@example.com")}]
    for words in asked:
        name = ", ".join(("history", *words.values()))[:60]
        yield Visit(name, f"/admin/history?{urlencode(words)}")
        yield Visit(f"{name}, near the end", f"/admin/history?{urlencode({**words, 'before': f'{early}-run-1'})}")
    for text in (
        "ada",
        f"number:{number_of(BUSY)}",
        "order:O-77",
        "customer:ada field:amounts from:month",
        "no one at all",
    ):
        yield Visit(f"history of {text}", f"/admin/history?{urlencode({'q': cipher.encrypt(text)})}")
    busy = f"/admin/subscriptions/{key_of('subscription', BUSY)}"
    for words in asked[1:]:
        yield Visit(f"one subscription, {', '.join(words.values())[:40]}", f"{busy}?{urlencode(words)}")
    yield Visit("one subscription near its first day", f"{busy}?before={early}-run-1")
    yield Visit("two moments", f"{busy}/compare?a={early}&b={early + 3 * 86_400_000}")


def _upkeep() -> Iterator[Visit]:
    yield Visit("inbox", "/admin/inbox")
    yield Visit("inbox, further on", "/admin/inbox?after=1000-1")
    yield Visit("inbox, one open", "/admin/inbox?open=1")
    yield Visit("inbox, failed", "/admin/inbox/failed")
    yield Visit("inbox, failed, second page", f"/admin/inbox/failed?kind=subscription&after={number_of(100)}")
    yield Visit("inbox, failed of a cause", "/admin/inbox/failed?code=unknown")
    yield Visit("notifications", "/admin/account/notifications")
    for page in ("orders", "orders?state=held", "orders?before=9", "webhooks", "webhooks?state=dead", "partners"):
        yield Visit(page, f"/admin/{page}")
    yield Visit("an unknown order", "/admin/orders/none", is_known=False)
    yield Visit("an unknown partner", "/admin/partners/none", is_known=False)
    yield Visit("an unknown webhook endpoint", "/admin/webhooks/none", is_known=False)
    for page in ("frame", "jobs", "clients", "users", "account", "settings", "login"):
        yield Visit(page, f"/admin/{page}")


def _portal() -> Iterator[Visit]:
    key = key_of("subscription", OF_A_PARTNER)
    yield Visit("portal: customers", "/partner")
    yield Visit("portal: one customer", f"/partner/customers/{key_of('customer', OF_A_PARTNER + 1)}")
    yield Visit("portal: one subscription", f"/partner/subscriptions/{key}")
    yield Visit("portal: one subscription, to be cancelled", f"/partner/subscriptions/{key}/cancel")
    yield Visit("portal: what is sold", "/partner/new")
    yield Visit("portal: an unknown offer", "/partner/new/offer-none", is_known=False)
    yield Visit("portal: an unknown basket", "/partner/baskets/basket-none", is_known=False)
    yield Visit("portal: the review of an unknown basket", "/partner/baskets/basket-none/review", is_known=False)
    yield Visit("portal: an unknown order", "/partner/orders/order-none", is_known=False)
    yield Visit("portal: log in", "/partner/login")


def _systems() -> Iterator[Visit]:
    objects = "/api/objects/limio"
    cursor = {"v": 1, "t": "schedule", "a": "schedule-8"}
    more = urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")
    yield Visit("objects: a list", f"{objects}/subscriptions")
    yield Visit("objects: a list, in the middle", f"{objects}/schedules?queryMore={more}")
    yield Visit("objects: one", f"{objects}/subscriptions/{key_of('subscription', BUSY)}")
    yield Visit("objects: related to a subscription", f"{objects}/subscriptions/{key_of('subscription', 234)}/related")
    yield Visit("objects: related to a customer", f"{objects}/customers/{key_of('customer', 234)}/related")
    yield Visit("objects: related to an identity", f"{objects}/identities/{key_of('identity', 234)}/related")
    yield Visit("partner: subscriptions", "/api/partner/mma/subscriptions")
    yield Visit(
        "partner: subscriptions of an owner", f"/api/partner/mma/subscriptions?ownerId={key_of('identity', 234)}"
    )
    yield Visit("partner: an unknown checkout", "/api/partner/checkout/subscription?checkoutId=none", is_known=False)
    yield Visit("partner: an unknown change", "/api/partner/mma/checkout?checkoutId=none", is_known=False)
    yield Visit("partner: an unknown subscription", "/api/partner/mma/subscriptions/sub-none", is_known=False)
    yield Visit("partner: customers", "/api/partner/customer?filter=ada")
    yield Visit("partner organisations", "/api/partner-organisations")
    yield Visit("request", f"/api/sync/requests/subscription/{number_of(BUSY)}/1")
    yield Visit("metrics", "/metrics")
    yield Visit("readiness", "/readyz")


def _list(name: str, **asked: str) -> Visit:
    kept = {key: value for key, value in asked.items() if value}
    return Visit(name, "/admin/subscriptions" + (f"?{urlencode(kept)}" if kept else ""))
