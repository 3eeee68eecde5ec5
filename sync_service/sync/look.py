"""One look at a subscription in Zuora: the fewest calls that tell all, made one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from sync_service.errors import NotLatestVersion, PreviewNotPermitted
from sync_service.subscription.fingerprint import (
    Fingerprint,
    account_from_contacts,
    may_skip_account,
    may_skip_payer,
    may_skip_preview,
    take_fingerprint,
)
from sync_service.subscription.plan import Document
from sync_service.subscription.schedule.computed import CannotCompute, compute_preview
from sync_service.subscription.schedule.coverage import preview_target_date
from sync_service.subscription.schedule.entries import coming_payments
from sync_service.subscription.terms import Rules, TermOnDay
from sync_service.subscription.zuora import Preview, ZuoraAccount, ZuoraState, ZuoraSubscription
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading


@dataclass(frozen=True, kw_only=True)
class LastRead:
    """What the last good run read of a number."""

    version: int
    fingerprint: Fingerprint | None
    #: Gives Limio's payments of it.
    schedule: Callable[[], Sequence[Document]]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What Zuora says now, and what a person should know of how it was read."""

    state: ZuoraState
    fingerprint: Fingerprint
    notes: tuple[str, ...] = ()


def fetch_look(
    reading: Reading,
    previews: SharedPreviews,
    subscription: ZuoraSubscription,
    last: LastRead | None,
    *,
    full: bool,
    today: date,
    rules: Rules,
) -> Look:
    """Read what belongs to `subscription` as just fetched; `full` reads everything, else the short way is taken.

    Raises what `Reading` raises, and NotLatestVersion where Zuora keeps answering with an old version.
    """
    subscription, notes = _settle_version(reading, subscription, last)
    known = last.fingerprint if last is not None and not full else None
    account = _fetch_account(reading, subscription, known, full=full)
    payer = _fetch_payer(reading, subscription, known)
    state = ZuoraState(subscription=subscription, account=account, payer=payer)
    term = TermOnDay(subscription, today, rules)
    is_whole = may_skip_preview(subscription, known, today, pays_renewal=partial(_pays_renewal, last, term))
    if not is_whole:
        try:
            preview, more = _fetch_preview(reading, previews, term)
            state, notes = replace(state, preview=preview), notes + more
            is_whole = preview.complete_until is None
        except _NoPreview as reason:
            state = replace(state, no_preview=str(reason))
    return Look(
        state=state,
        fingerprint=take_fingerprint(
            subscription, preview_day=today if is_whole else None, account=account, payer=payer, last=known
        ),
        notes=notes,
    )


def _settle_version(
    reading: Reading, subscription: ZuoraSubscription, last: LastRead | None
) -> tuple[ZuoraSubscription, tuple[str, ...]]:
    """A version below the last one is read again: it is old news, or Zuora went back (an order was deleted)."""
    if not subscription.is_latest:
        raise NotLatestVersion
    if last is None or subscription.version >= last.version:
        return subscription, ()
    again = reading.fetch_subscription(subscription.number)
    if not again.is_latest:
        raise NotLatestVersion
    if again.version >= last.version:
        return again, ()
    return again, (
        f"Zuora went back from version {last.version} to version {again.version}: an order was deleted there.",
    )


def _fetch_account(
    reading: Reading, subscription: ZuoraSubscription, known: Fingerprint | None, *, full: bool
) -> ZuoraAccount | None:
    if not full:
        account = account_from_contacts(subscription)
        if account is not None or may_skip_account(subscription, known):
            return account
    if subscription.account_id is None:
        return None
    return reading.fetch_account(subscription.account_id)


def _fetch_payer(reading: Reading, subscription: ZuoraSubscription, known: Fingerprint | None) -> ZuoraAccount | None:
    """The account that pays, where it is another one whose bill-to contact has to be compared."""
    own = subscription.bill_to
    if subscription.payer_id is None or (own is not None and own.of_subscription):
        return None
    if may_skip_payer(subscription, known):
        return None
    return reading.fetch_account(subscription.payer_id)


def _pays_renewal(last: LastRead | None, term: TermOnDay) -> bool:
    """Whether Limio has a payment for after the schedule's end."""
    return last is not None and bool(coming_payments(last.schedule(), max(term.schedule_end, term.today)))


class _NoPreview(Exception):
    """There is none, and the schedule cannot be computed either; the text says why, for people."""


def _fetch_preview(reading: Reading, previews: SharedPreviews, term: TermOnDay) -> tuple[Preview, tuple[str, ...]]:
    """The preview and what a person should know of it. Raises _NoPreview."""
    subscription = term.subscription
    if not subscription.names_rate_plans:
        raise _NoPreview("Zuora's answer names no rate plans.")
    payer = subscription.invoice_owner_id or subscription.account_id
    if payer is None:
        raise _NoPreview("Zuora names no account to preview.")
    try:
        return previews.fetch(reading, payer, preview_target_date(term), subscription.number), ()
    except PreviewNotPermitted:
        pass
    try:
        computed = compute_preview(term)
    except CannotCompute as refusal:
        raise _NoPreview(f"Zuora does not permit the billing preview, and {refusal}") from None
    note = "Zuora does not permit the billing preview: the schedule is computed from the charges."
    return computed, (note,)
