"""The difference between what the Limio store holds and what Zuora says: pure, total, deterministic.

The order in which Zuora or the store lists things makes no difference, and a plan that was applied leaves none.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sync_service.subscription.contacts import compare_addresses, compare_customer, values_for_import
from sync_service.subscription.limio.documents import get_value, midnight
from sync_service.subscription.plan import Cancel, Change, Create, Document, FieldChange, LimioState, SyncPlan, Update
from sync_service.subscription.schedule.due import due_schedule
from sync_service.subscription.schedule.entries import coming_payments, compare_schedule
from sync_service.subscription.terms import Rules, TermOnDay, compare_terms
from sync_service.subscription.zuora import ZuoraState, ZuoraSubscription


def reconcile(current: LimioState, zuora: ZuoraState, today: date, rules: Rules) -> SyncPlan:
    """What has to change in the store so that it says what Zuora says; `today` is the tenant's day.

    A version that is not the latest, and a draft, change nothing. Without a preview the schedule is left alone, and
    where it was needed the subscription is read again within a month. Raises PreviewIncomplete if the preview
    contradicts the charges.
    """
    subscription = zuora.subscription
    refusal = _refuse(subscription)
    if refusal is not None:
        return SyncPlan(number=subscription.number, notes=(refusal,))
    term = TermOnDay(subscription, today, rules)
    notes: list[str] = []
    if current.subscription is None:
        changes = _import(current, zuora, term)
    else:
        changes = _compare_subscription(current, current.subscription, zuora, term)
    people, again = _compare_customer(current, zuora)
    if term.limio_status is None:
        notes.append(f"Limio has no status for Zuora's {term.status}: it was left alone.")
    payments, payment_notes, cut_short = _compare_schedule(current, zuora, term)
    addresses, address_notes = _compare_addresses(current, zuora)
    changes += [*people, *payments, *addresses]
    return SyncPlan(
        number=subscription.number,
        changes=tuple(changes),
        notes=(*notes, *payment_notes, *address_notes),
        look_again_on=term.next_look(cut_short=cut_short),
        again=again,
        empties_schedule=_empties_schedule(current, payments, today),
    )


def _refuse(subscription: ZuoraSubscription) -> str | None:
    """Why this answer is nothing to sync by; None where it is."""
    if not subscription.is_latest or subscription.status == "Expired":
        return f"Version {subscription.version} is not the latest one in Zuora: nothing was changed."
    if subscription.status == "Draft":
        return "It is a draft in Zuora, which Limio has no status for: nothing was changed."
    return None


def _compare_subscription(current: LimioState, document: Document, zuora: ZuoraState, term: TermOnDay) -> list[Change]:
    """Term, auto-renew, status and owner of a subscription that Limio has; a new owner comes before it."""
    created, moved = _move(current, document, zuora)
    fields = [*compare_terms(document, term), *moved]
    if not fields:
        return created
    return [
        *created,
        Update(
            record_type="subscription",
            id=str(document["id"]),
            fields=tuple(fields),
            reason=f"Version {zuora.subscription.version} in Zuora differs.",
        ),
    ]


def _move(current: LimioState, document: Document, zuora: ZuoraState) -> tuple[list[Change], list[FieldChange]]:
    """An owner transfer: another account than at the last read. The old customer is not touched.

    Where the account has no owner yet the plan creates one, and `owner` and `customer` change to None, which stands
    for the ids that the store gives them.
    """
    subscription = zuora.subscription
    if not _is_moved(current, subscription):
        return [], []
    ids = {"owner": current.account_owner, "customer": current.account_customer}
    fields = [
        FieldChange(path=path, before=document.get(path), after=after)
        for path, after in ids.items()
        if after is None or document.get(path) != after
    ]
    return _create_owner(current, zuora), fields


def _is_moved(current: LimioState, subscription: ZuoraSubscription) -> bool:
    return current.linked_account_id is not None and subscription.account_id not in (None, current.linked_account_id)


def _create_owner(current: LimioState, zuora: ZuoraState) -> list[Change]:
    """The identity and the customer of the account, where the store keeps none for it: one owner per Zuora account."""
    subscription = zuora.subscription
    created: list[Change] = []
    if current.account_owner is None:
        account = subscription.account_number or subscription.number
        document: dict[str, Any] = {"status": "active", "name": account, "data": {}}
        created.append(Create(record_type="identity", document=document, reason="The Zuora account is new to Limio."))
    if current.account_customer is None:
        document = {"status": "active", "data": dict(values_for_import(zuora.account, subscription))}
        created.append(Create(record_type="customer", document=document, reason="The Zuora account is new to Limio."))
    return created


def _import(current: LimioState, zuora: ZuoraState, term: TermOnDay) -> list[Change]:
    """A subscription that Limio never saw, with its owner: shown, but no commerce actions (`external`)."""
    subscription = zuora.subscription
    start = subscription.start or subscription.term_start
    term_start = subscription.term_start or start
    data: dict[str, Any] = {
        "startDate": midnight(start) if start else None,
        "termStartDate": midnight(term_start) if term_start else None,
        "termEndDate": term.end.isoformat() if term.end else None,
        "attributes": {"autoRenew": term.renews, "external": True},
    }
    document: dict[str, Any] = {
        "name": subscription.number,
        "reference": subscription.number,
        "status": term.limio_status or "pending",
        "start": start.isoformat() if start else None,
        "data": {key: value for key, value in data.items() if value is not None},
    }
    document = {key: value for key, value in document.items() if value is not None}
    create = Create(record_type="subscription", document=document, reason="Made in Zuora, new to Limio.")
    return [*_create_owner(current, zuora), create]


def _compare_customer(current: LimioState, zuora: ZuoraState) -> tuple[list[Change], bool]:
    """Name and email, where this subscription's account writes them; and whether a newer look at them has to come.

    A customer that was compared with a later read than ours keeps its values, and so does the one whom a transferred
    subscription leaves.
    """
    customer = current.customer
    if customer is None or not current.writes_customer:
        return [], False
    if _is_moved(current, zuora.subscription) and customer["id"] != current.account_customer:
        return [], False
    fields = compare_customer(customer, zuora.account)
    if not fields or current.customer_is_newer:
        return [], bool(fields)
    reason = "The account's bill-to contact differs."
    return [Update(record_type="customer", id=str(customer["id"]), fields=tuple(fields), reason=reason)], False


def _compare_addresses(current: LimioState, zuora: ZuoraState) -> tuple[list[Create], list[str]]:
    """New addresses and notes; none for a customer who was erased."""
    if current.is_scrubbed:
        return [], ["The customer was erased on request: name, email and addresses were left alone."]
    return compare_addresses(current.addresses, zuora.subscription, zuora.account, zuora.payer)


def _compare_schedule(current: LimioState, zuora: ZuoraState, term: TermOnDay) -> tuple[list[Change], list[str], bool]:
    """Changes of the schedule, notes, and whether the preview is not all that is needed."""
    preview, subscription = zuora.preview, zuora.subscription
    if zuora.no_preview is not None:
        return [], [f"The schedule was left alone: {zuora.no_preview}"], True
    if preview is None:
        return [], [], False
    currency = subscription.currency or (zuora.account.currency if zuora.account else None)
    due = due_schedule(term, preview, currency)
    external = current.subscription is None or get_value(current.subscription, "data.attributes.external") is True
    # Limio calls its own payments by the offer's name.
    name = None if external else get_value(current.subscription or {}, "data.name")
    changes, notes = compare_schedule(current.schedule, due, term.today, name)
    return changes, [*due.notes, *notes], due.covered_until < due.end


def _empties_schedule(current: LimioState, payments: list[Change], today: date) -> bool:
    """Whether every coming payment goes and none takes its place."""
    gone = {change.id for change in payments if isinstance(change, Cancel)}
    if not gone:
        return False
    coming = {str(entry["id"]) for entry in coming_payments(current.schedule, today)}
    created = any(
        isinstance(change, Create) and str(get_value(change.document, "data.date"))[:10] >= today.isoformat()
        for change in payments
    )
    return bool(coming) and coming <= gone and not created
