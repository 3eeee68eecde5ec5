"""What only Zuora can tell: whether it lets us in, lets us read all that we need, and means the times that we think."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from sync_service.errors import (
    NotFoundInZuora,
    PermissionRefused,
    PreviewNotPermitted,
    RequestRefused,
    SyncServiceError,
    TenantError,
    TokenRefused,
    WrongTenant,
)
from sync_service.queue.limit import Share, check_tenant
from sync_service.queue.status.findings import Finding, Severity
from sync_service.queue.story_lease import hold_story_lease
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.subscription.zuora import ZuoraSubscription
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.reading import Reading

#: The time for all calls of a check, in seconds.
CHECK_SECONDS = 60.0
#: A key that no tenant has: only whether we may ask is of interest.
NO_SUCH_KEY = "sync-service-check"
#: Clocks that differ by more are told of, and are a failure, in seconds.
CLOCK_WARNS, CLOCK_FAILS = 5.0, 30.0
_ROLE = (
    "In Zuora, give it to the role of the OAuth client's user (Settings, Administration Settings, Manage User Roles)."
)

_SUPPORT = "Ask Zuora's support whether the tenant has this feature."


def check_zuora(database: Database, settings: Settings, zuora: ZuoraClient) -> Iterator[Finding]:
    """All of it, in some ten calls under a story's lease; what follows a refusal is said to be not checked."""
    share = Share.of(settings)
    try:
        with hold_story_lease(database, "check", share, wait_seconds=10, probe=True) as lease:
            yield from _look(database, settings, zuora, lease.counting(zuora.reading(CHECK_SECONDS)))
    except TokenRefused as error:
        yield Finding("credentials", Severity.FAILED, str(error), "Put them right, then check again for the rest.")
    except TenantError as error:
        yield Finding(
            "calls to zuora", Severity.FAILED, str(error), "Once that is put right, check again for the rest."
        )


def _look(database: Database, settings: Settings, zuora: ZuoraClient, reading: Reading) -> Iterator[Finding]:
    tenant = zuora.tenant(reading)
    yield Finding("credentials", Severity.OK, f"Zuora accepts our OAuth client; the tenant is {tenant or 'not named'}.")
    try:
        with database.reading() as session:
            check_tenant(session, tenant)
    except WrongTenant as error:
        yield Finding(
            "tenant", Severity.FAILED, str(error), "Use the credentials of the tenant that filled this store."
        )
    samples, finding = _list_samples(reading)
    yield finding
    yield from _try("list of accounts", lambda: _ask_list(reading, "accounts"))
    yield from _try("list of contacts", lambda: _ask_list(reading, "contacts"))
    subscriptions = [each for each in (_fetch(reading, str(row.get("name"))) for row in samples) if each is not None]
    if not samples:
        yield from _try("subscription", lambda: _ask_for_an_unknown_subscription(reading))
    else:
        yield from _try("subscription", lambda: reading.fetch_subscription(str(samples[0].get("name"))))
    yield from _check_account(reading, subscriptions, settings)
    yield from _check_clock(database, reading)
    yield _check_zone(samples, subscriptions, settings)


def _try(name: str, ask: Callable[[], object]) -> Iterator[Finding]:
    """Whether we may ask. Raises what is wrong with the tenant as a whole."""
    try:
        ask()
    except PreviewNotPermitted as error:
        words = f"{error} Schedules are computed from the charges instead, where those say enough."
        yield Finding(f"permission: {name}", Severity.WARNING, words, _ROLE)
    except PermissionRefused as error:
        yield Finding(f"permission: {name}", Severity.FAILED, str(error), _ROLE)
    except TenantError:
        raise
    except SyncServiceError as error:
        yield Finding(f"permission: {name}", Severity.WARNING, f"Permitted perhaps, but refused: {error}", _SUPPORT)
    else:
        yield Finding(f"permission: {name}", Severity.OK, "Permitted.")


def _list_samples(reading: Reading) -> tuple[list[Mapping[str, Any]], Finding]:
    """The subscriptions that were updated last and first: in most tenants in summer and in winter."""
    rows: list[Mapping[str, Any]] = []
    name = "permission: object query"
    try:
        for order in ("DESC", "ASC"):
            params = {
                "pageSize": 2,
                "filter[]": ["islatestversion.EQ:true"],
                "fields[]": "name,version,updateddate",
                "sort[]": f"updateddate.{order}",
            }
            found = reading.call("GET", "/object-query/subscriptions", params=params).get("data")
            rows += [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
    except (PermissionRefused, RequestRefused, NotFoundInZuora) as error:
        remedy = "Ask Zuora's support to enable Object Query; sweeps go by ZOQL without it."
        return [], Finding(name, Severity.WARNING, str(error), remedy)
    return list({str(row.get("name")): row for row in rows}.values()), Finding(name, Severity.OK, "Permitted.")


def _ask_list(reading: Reading, kind: str) -> None:
    reading.call("GET", f"/object-query/{kind}", params={"pageSize": 1})


def _ask_for_an_unknown_subscription(reading: Reading) -> None:
    try:
        reading.fetch_subscription(NO_SUCH_KEY)
    except NotFoundInZuora:
        return  # so we may ask


def _fetch(reading: Reading, number: str) -> ZuoraSubscription | None:
    try:
        return reading.fetch_subscription(number)
    except PermissionRefused:
        return None
    except TenantError:
        raise
    except SyncServiceError:
        return None


def _check_account(reading: Reading, subscriptions: list[ZuoraSubscription], settings: Settings) -> Iterator[Finding]:
    account_id = next((each.account_id for each in subscriptions if each.account_id), None)
    if account_id is None:
        words = "There is no subscription in the tenant whose account could be tried."
        for name in ("account", "billing preview"):
            yield Finding(f"permission: {name}", Severity.NOT_CHECKED, words)
        return
    yield from _try("account", lambda: reading.fetch_account(account_id))
    payer = next((each.invoice_owner_id for each in subscriptions if each.invoice_owner_id), account_id)
    target = datetime.now(settings.tenant_time_zone).date() + timedelta(days=31)
    yield from _try("billing preview", lambda: reading.fetch_preview(payer, target))


def _check_clock(database: Database, reading: Reading) -> Iterator[Finding]:
    try:
        theirs = parsedate_to_datetime(reading.server_date or "")
    except ValueError:
        yield Finding("zuora's clock", Severity.NOT_CHECKED, "Zuora's answers carried no time.")
        return
    with database.reading() as session:
        now = session.now() / 1000
    yield compare_clocks("zuora's clock", now - theirs.timestamp(), "the database", "Zuora")


def compare_clocks(name: str, seconds: float, ours: str, theirs: str) -> Finding:
    """`ours` is ahead of `theirs` by `seconds`."""
    apart = abs(seconds)
    verdict = Severity.OK if apart < CLOCK_WARNS else Severity.WARNING if apart < CLOCK_FAILS else Severity.FAILED
    words = f"{ours} is {apart:.0f} s {'ahead of' if seconds > 0 else 'behind'} {theirs}."
    if verdict is Severity.OK:
        return Finding(name, verdict, f"{ours[0].upper()}{ours[1:]} and {theirs} agree.")
    return Finding(name, verdict, f"{words[0].upper()}{words[1:]}", "Let both follow a time server (NTP).")


def _check_zone(
    samples: list[Mapping[str, Any]], subscriptions: list[ZuoraSubscription], settings: Settings
) -> Finding:
    """One moment read both ways: without an offset from the subscription, with one from Object Query."""
    zone = settings.tenant_time_zone
    seen: list[str] = []
    for subscription in subscriptions:
        row = next(each for each in samples if each.get("name") == subscription.number)
        offset, moment = read_offset(subscription, row)
        if offset is None or moment is None:
            continue
        expected = moment.astimezone(zone).utcoffset()
        if offset != expected:
            words = (
                f"{subscription.number} was updated at {moment:%Y-%m-%d %H:%M} UTC, which Zuora shows as"
                f" {_sign(offset)}; TENANT_TIME_ZONE is {zone.key}, which was {_sign(expected)} then."
            )
            remedy = "Set TENANT_TIME_ZONE to the zone of the tenant (Zuora: Settings, Administration, Manage Tenant)."
            return Finding("time zone", Severity.FAILED, words, remedy)
        seen.append(_sign(offset))
    if not seen:
        return Finding("time zone", Severity.NOT_CHECKED, "No subscription could be read both ways.")
    return Finding("time zone", Severity.OK, f"Zuora's times fit {zone.key} ({', '.join(dict.fromkeys(seen))}).")


def read_offset(subscription: ZuoraSubscription, row: Mapping[str, Any]) -> tuple[timedelta | None, datetime | None]:
    """How far the tenant's clock is ahead of UTC, and when: Nones where the two readings are of different moments."""
    try:
        local = datetime.fromisoformat(subscription.update_time or "")
        moment = datetime.fromisoformat(str(row.get("updatedDate")))
    except ValueError:
        return None, None
    if local.tzinfo is not None or moment.tzinfo is None:
        return None, None
    offset = local - moment.astimezone(UTC).replace(tzinfo=None)
    offset = timedelta(seconds=round(offset.total_seconds()))
    # Zones are whole quarters of an hour from UTC, and at most fourteen hours.
    if offset % timedelta(minutes=15) or abs(offset) > timedelta(hours=14):
        return None, None
    return offset, moment.astimezone(UTC)


def _sign(offset: timedelta | None) -> str:
    minutes = round(offset.total_seconds() / 60) if offset is not None else 0
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
