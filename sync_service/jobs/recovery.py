"""Callouts that Zuora could not deliver, found in its history and asked for here, without having them sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from sync_service.errors import NotFoundInZuora, PermissionRefused, RequestRefused
from sync_service.jobs.sweep.memory import forget_sights, read_sights, remember
from sync_service.jobs.sweep.walk import Cursor, PartWay, Report, walk
from sync_service.queue.fate import place
from sync_service.queue.jobs import JobLease
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.store.tables import CalloutRow
from sync_service.subscription.hints import Reason
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.subscription.limio.documents import moment_at
from sync_service.subscription.trigger import Trigger
from sync_service.sync.attempt import SyncContext
from sync_service.zuora.callout_definitions import FailedCallout, fetch_failed_callouts
from sync_service.zuora.reading import Reading

NAME = "failed callouts"
OVERLAP = timedelta(hours=2)
#: Zuora's own default, and how far the first look reaches.
FIRST_REACH = timedelta(days=1)
_KEEP_SIGHTS_MS = 7 * 86_400_000
_ADDRESS = "/api/plugins/zuora/sync/"
_EVENTS = "/api/events/zuora"


@dataclass(frozen=True)
class CalloutText:
    """What a callout's merge fields say."""

    #: The subscription that they name; empty where they name none.
    key: str
    #: Why it is the echo of an order of our own; None for a foreign one.
    echo: Reason | None


#: Reads merge fields, a JSON object of texts, as the callout's receiver would have.
ReadCallout = Callable[[bytes], CalloutText]


def recover_callouts(context: SyncContext, lease: JobLease, read_callout: ReadCallout) -> Mapping[str, Any] | PartWay:
    """Ask for the keys of callouts to us that Zuora could not deliver; the report, or PartWay.

    They count as the callouts that they are, so that a new subscription is imported; echoes are left out as they would
    have been when it came in. Repeatable: an attempt is acted on once.
    """
    report = Report(lease.progress if lease.cursor else {"until": lease.progress.get("until")})
    cursor = lease.cursor or {"began": lease.taken_at, "page": 1}
    step = partial(_step, context, report, read_callout)
    part = walk(context, lease, NAME, report, step, cursor)
    if part is None:
        forget_sights(context.database, "callout", older_than_ms=_KEEP_SIGHTS_MS)
    return part or report.values


def _step(
    context: SyncContext, report: Report, read_callout: ReadCallout, reading: Reading, cursor: Cursor
) -> Cursor | None:
    until = report.values["until"]
    since = moment_at(until) - OVERLAP if until is not None else moment_at(cursor["began"]) - FIRST_REACH
    try:
        page = fetch_failed_callouts(reading, since, cursor["page"], context.settings.tenant_time_zone)
    except (PermissionRefused, NotFoundInZuora, RequestRefused) as refusal:
        # The report says so; nothing else that Zuora answers is in doubt.
        report.values["not_permitted"] = str(refusal)
        return None
    _ask_for(context, report, read_callout, page.callouts)
    if page.is_last:
        report.values["until"] = cursor["began"]
        return None
    return {**cursor, "page": cursor["page"] + 1}


def _ask_for(
    context: SyncContext, report: Report, read_callout: ReadCallout, callouts: Iterable[FailedCallout]
) -> None:
    """Request what the callouts of one page name, then remember them."""
    database = context.database
    found = {callout.fingerprint: callout for callout in callouts}
    report.add("looked_at", len(found))
    wanted: dict[Kind, set[str]] = {}
    echoes: list[CalloutRow] = []
    with database.reading() as session:
        sights = read_sights(session, "callout", list(found))
        new = {fingerprint: each for fingerprint, each in found.items() if fingerprint not in sights}
        for callout in new.values():
            kind, key, echo = _named(callout, read_callout, report, context.settings.public_url)
            if kind is not None:
                kind, key = place(session, key, kind)
            if kind is not None and echo is None:
                wanted.setdefault(kind, set()).add(key)
            elif echo is not None:
                echoes.append(_echo_row(callout, key, echo, session.now()))
    with database.transaction() as session:
        session.add_all(echoes)
    for kind, keys in wanted.items():
        cause = Cause(Trigger.CALLOUT, NAME)
        marked = enqueue_many(database, kind, keys, cause, priority=Priority.JOB, full=kind is Kind.ACCOUNT)
        report.add("marked", marked)
        report.name("recovered", sorted(keys))
    remember(database, "callout", dict.fromkeys(new, ""))


def _named(
    callout: FailedCallout, read_callout: ReadCallout, report: Report, public_url: str
) -> tuple[Kind | None, str, Reason | None]:
    """What a callout to us names, and why it is an echo; no kind where it names nothing, which is counted."""
    path = _our_path(callout.url, public_url)
    if path is None:
        report.add("not_ours")
        return None, "", None
    text = read_callout(callout.context)
    kind, _, raw = path.removeprefix(_ADDRESS).partition("/")
    key = normalise_key(unquote(raw.removesuffix("/")) if path != _EVENTS and raw else text.key)
    if why_impossible(key) is not None:
        report.add("impossible")
        return None, "", None
    if text.echo is not None:
        report.add("echo")
    return Kind.ACCOUNT if kind == "account" else Kind.SUBSCRIPTION, key, text.echo


def _echo_row(callout: FailedCallout, key: str, echo: Reason, now: int) -> CalloutRow:
    """An echo as it would have been kept when it came in, so that sweeps know whose order it was; once for all."""
    content = sha256(callout.url.encode() + callout.context).hexdigest()
    return CalloutRow(
        received_at=now,
        key=key,
        verdict="ignored",
        reason=f"{echo}; from Zuora's history",
        reason_code=echo.code.value,
        notification_id=content,
    )


def _our_path(url: str, public_url: str) -> str | None:
    """The path below our own address; None if the callout went elsewhere."""
    sent, ours = urlsplit(url), urlsplit(public_url)
    if public_url and sent.netloc.lower() != ours.netloc.lower():
        return None
    path = sent.path.removeprefix(ours.path.rstrip("/"))
    for kind in ("subscription", "account"):
        if path == f"{_ADDRESS}{kind}" or path.startswith(f"{_ADDRESS}{kind}/"):
            return path
    return path if path == _EVENTS else None
