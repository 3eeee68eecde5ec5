"""The story of one sync, from Zuora's answer to the commit, from top to bottom.

Look at Zuora, read what the store holds, compare, and in one short transaction: finish, see that what was compared
still stands, write the difference and record it; one statement where nothing differs. Every trigger ends here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sync_service.errors import ConflictInStore, NotFoundInZuora, RequestRefused
from sync_service.queue.fate import serve_itself
from sync_service.queue.limit import Share, note_success
from sync_service.queue.outbox import WebhookType, announce
from sync_service.queue.requests import (
    Cause,
    Claim,
    Kind,
    Priority,
    Remembered,
    enqueue,
    enqueue_again,
    finish,
    finish_alone,
    note_read,
)
from sync_service.queue.runs.held import Overtaken, Verdict, decide_hold
from sync_service.queue.runs.history import Outcome, open_run, record_run
from sync_service.settings import Settings
from sync_service.store.apply import Applied, RowChange, draw_up, write_rows
from sync_service.store.effects import attribute_first
from sync_service.store.engine import Database, Session
from sync_service.store.reads import keep_owner, lock_account, note_comparison, record_link
from sync_service.subscription.limio.documents import describe_webhook, moment_at, timestamp_of
from sync_service.subscription.plan import LimioState, SyncPlan
from sync_service.subscription.reconcile import reconcile
from sync_service.subscription.terms import Rules
from sync_service.subscription.trigger import ImportRules, Trigger, read_triggers, refuse_import
from sync_service.subscription.zuora import ZuoraSubscription
from sync_service.sync.current import Current, CurrentQuery, read_current
from sync_service.sync.look import Look, fetch_look
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading

HELD_OR_DROPPED = "This very plan is held for a person's decision, or a person dropped it: nothing was changed."
#: How often a run compares anew because others wrote what it had compared; then it comes again later.
MAX_COMPARISONS = 5


@dataclass(frozen=True, kw_only=True)
class SyncContext:
    """What a sync works with: the store, Zuora and the settings that decide."""

    database: Database
    zuora: ZuoraClient
    settings: Settings

    @property
    def rules(self) -> Rules:
        """The settings that reconciling needs."""
        return Rules(tenant_zone=self.settings.tenant_time_zone, horizon_months=self.settings.evergreen_horizon_months)

    @property
    def import_rules(self) -> ImportRules:
        """The settings that importing needs."""
        return ImportRules(
            import_all=self.settings.import_unknown == "all",
            limio_reference_format=self.settings.limio_reference_format,
            tenant_zone=self.settings.tenant_time_zone,
        )

    @property
    def share(self) -> Share:
        """How much of the tenant we may use."""
        return Share.of(self.settings)

    def tenant_day(self, at: int) -> date:
        """The tenant's calendar day at `at` (ms since 1970, the database's clock)."""
        return self.settings.day_at(at)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One claim being worked on, with the one look at Zuora that it gets."""

    context: SyncContext
    claim: Claim
    reading: Reading
    #: Shared with the runs of the same claim.
    previews: SharedPreviews


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a run found: the difference, and all that it will write if what it compared still stands."""

    plan: SyncPlan
    triggers: frozenset[Trigger]
    applied: Applied
    #: The rows that differ, with the mark of a subscription that no sync had read yet.
    rows: tuple[RowChange, ...] = ()
    #: What to remember of the read; None where it is remembered already.
    link: Mapping[str, Any] | None = None
    #: The customer was compared, too.
    compares_customer: bool = False
    #: The history tells of the run even if it changes nothing.
    is_told: bool = False
    #: A subscription that Limio lacks and is not to get: only the note about it is kept.
    is_left_out: bool = False

    def remember(self, claim: Claim) -> Remembered:
        """What the request's row remembers of the run."""
        is_equal = self.plan.is_empty and not self.is_left_out
        return Remembered(equal_from=claim.claimed_at if is_equal else None, compared=self.compares_customer)


def sync_subscription(attempt: Attempt, subscription: ZuoraSubscription | None = None) -> Outcome:
    """Sync the number of the claim, or the `subscription` that its run has read already, and return the outcome.

    The claim is committed before anything is read, so whatever comes in from now on runs again later. Raises what
    `Reading` and `reconcile` raise, LeaseLost, and ConflictInStore where others keep writing what was compared.
    """
    context, claim = attempt.context, attempt.claim
    read = subscription or attempt.reading.fetch_subscription(claim.key)
    asked = CurrentQuery(subscription=read, read_began=claim.claimed_at, share=context.share, covered=claim)
    look, current = look_closer(context, asked, attempt.reading, attempt.previews, full=claim.full)
    attempt.reading.end()
    note_read(context.database, claim)
    for _ in range(MAX_COMPARISONS):
        comparison = compare(context, claim, look, current)
        try:
            outcome = conclude(attempt, current, comparison)
        except Overtaken:
            with context.database.reading() as session:
                current = current.read_again(session)
            continue
        if not current.is_all_well:
            note_success(context.database, context.share)
        return outcome
    raise ConflictInStore


def look_closer(
    context: SyncContext, asked: CurrentQuery, reading: Reading, previews: SharedPreviews, *, full: bool
) -> tuple[Look, Current]:
    """What the store holds of a subscription as just read, and what belongs to it in Zuora if that may have moved.

    Before an import the account's other numbers too, so that one customer does not become two.
    """
    with context.database.reading() as session:
        current = read_current(session, asked)
    subscription, today = asked.subscription, context.tenant_day(asked.read_began)
    try:
        look = fetch_look(
            reading, previews, subscription, current.last_read, full=full, today=today, rules=context.rules
        )
    except NotFoundInZuora as error:  # the subscription is there, so this is not its absence
        raise RequestRefused(f"Zuora knows the subscription, but not what belongs to it: {error}") from None
    siblings: list[str] = []
    if not current.is_known and subscription.account_id is not None and not current.is_account_held:
        listed = reading.fetch_account_numbers(subscription.account_id, invoiced=False)
        siblings = [number for number in listed if number != subscription.number]
    if siblings or look.state.subscription is not subscription:
        asked = replace(asked, subscription=look.state.subscription, siblings=tuple(siblings))
        with context.database.reading() as session:
            current = read_current(session, asked)
    return look, current


def compare(context: SyncContext, claim: Claim, look: Look, current: Current) -> Comparison:
    """The difference between Zuora and the store, and the rows that it changes. Asks nothing and writes nothing."""
    triggers = read_triggers(cause.trigger for cause in current.causes)
    refusal = None
    if not current.is_known:
        refusal = refuse_import(
            look.state.subscription,
            triggers,
            context.import_rules,
            echoed=current.is_echoed,
            now=moment_at(current.at),
        )
    if refusal is not None:
        plan = SyncPlan(number=claim.key, notes=(refusal,))
        nothing = Applied(subscription_id=None, owner=None, customer=None)
        return Comparison(plan=plan, triggers=triggers, applied=nothing, is_told=True, is_left_out=True)
    # Without a preview there is nothing to compare the payments with.
    limio = current.limio if look.state.preview is not None else current.limio_unscheduled
    plan = reconcile(limio, look.state, context.tenant_day(claim.claimed_at), context.rules)
    plan = replace(plan, notes=look.notes + plan.notes + _tell_of_move(current))
    return draw(plan, limio, triggers, look, current)


def draw(plan: SyncPlan, limio: LimioState, triggers: frozenset[Trigger], look: Look, current: Current) -> Comparison:
    """All that is to be written and remembered where `plan` is the difference."""
    applied = draw_up(
        plan,
        limio,
        owner=current.owner,
        customer=current.customer_id,
        belongings=current.belongings,
        at=current.at,
    )
    leaves_alone_anew = look.state.no_preview not in (None, current.row.link_schedule_left_alone)
    return Comparison(
        plan=plan,
        triggers=triggers,
        applied=applied,
        rows=(*applied.rows, *_first_sync(current, applied)),
        link=current.news_of(look, applied.subscription_id, plan.look_again_on),
        compares_customer=look.state.account is not None and current.writes_customer,
        is_told=leaves_alone_anew or any(each.is_awaited for each in triggers),
    )


def _tell_of_move(current: Current) -> tuple[str, ...]:
    """A note if a partner's subscription moved to another account in Zuora: whose it is now, a person decides."""
    partner = current.row.partner_org if current.moves else None
    if partner is None:
        return ()
    return (f"It moved to another account and still belongs to {partner}: `partner assign` changes that.",)


def conclude(attempt: Attempt, current: Current, found: Comparison) -> Outcome:
    """Write what a comparison found; nothing but that it was made where that is all. Raises as `write` does."""
    claim, database = attempt.claim, attempt.context.database
    compared = current.customer if found.compares_customer else None
    if _is_over(claim, current, found) and finish_alone(database, claim, found.remember(claim), compared):
        return Outcome.UNCHANGED
    return write(attempt, current, found)


def _is_over(claim: Claim, current: Current, found: Comparison) -> bool:
    """Whether all that is left to write is that the run is done.

    Then nothing need stand still meanwhile: what others have written since is as if they had written it after the run.
    """
    return (
        claim.kind is Kind.SUBSCRIPTION
        and found.plan.is_empty
        and not (found.plan.again or found.rows or found.link is not None)
        and not (found.is_told or found.is_left_out or current.asks_who_holds)
        and current.open_held is None
        and current.row.paying_partner is None
        and not (found.compares_customer and current.customer is None)
    )


def write(attempt: Attempt, current: Current, found: Comparison) -> Outcome:
    """Finish, make sure that what was compared still stands, write what differs and record the run: one transaction.

    Raises LeaseLost where another run has the number by now, and Overtaken where it has to be compared again.
    """
    context, claim, plan = attempt.context, attempt.claim, found.plan
    with context.database.transaction() as session:
        now = finish(session, claim, remembered=found.remember(claim), shared=current.shared)
        if claim.kind is Kind.ALIAS:  # it proved to be the number itself
            own = serve_itself(session, claim, found.remember(claim))
            if own is None:  # which has a request by now: that one's run does the work
                return Outcome.RESOLVED
            claim = own
        if current.shared.account is not None:
            lock_account(session, current.shared.account)
        if not current.stands(session):
            raise Overtaken
        run = open_run(claim, current.causes, calls=attempt.reading.calls)
        run.drastic = plan.is_drastic
        decision = decide_hold(
            session,
            plan,
            drastic=plan.is_drastic,
            triggers=found.triggers,
            share=context.settings.safety_share,
            open_held=current.open_held if not found.is_left_out else None,
        )
        run.plan_hash = decision.plan_hash  # also of a run that only finds it held
        if found.is_left_out:
            outcome = Outcome.LEFT_OUT
        elif decision.verdict is Verdict.HOLD:
            outcome = Outcome.HELD
        elif decision.verdict is Verdict.LEAVE:
            outcome = Outcome.UNCHANGED
            plan = SyncPlan(number=claim.key, notes=(HELD_OR_DROPPED,))
        else:
            outcome = _apply(session, claim, current, found, now)
            run.subscription_id, run.owner = found.applied.subscription_id, found.applied.owner
        if outcome is not Outcome.UNCHANGED or found.is_told:
            record_run(session, run, outcome=outcome, plan=plan, ended_at=now)
    return outcome


def _apply(session: Session, claim: Claim, current: Current, found: Comparison, now: int) -> Outcome:
    """Write the plan, remember the read, and ask for what this read showed to be needed besides."""
    plan, applied = found.plan, found.applied
    write_rows(session, found.rows)
    if found.link is not None:
        _remember(session, claim, current, found, now)
    partner = current.row.paying_partner
    if applied.subscription_id is not None and partner is not None:
        attribute_first(session, applied.subscription_id, partner, owner=applied.owner, customer=applied.customer)
    if current.row.tells_others:
        _tell(session, current, found, at=now)
    if plan.again:
        enqueue_again(session, claim)
    cause = Cause(trigger=Trigger.SWEEP, actor=f"sync of {claim.key}")
    for number in current.followers(applied.customer):
        enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.JOB, full=True)
    if plan.is_empty:
        return Outcome.UNCHANGED
    return Outcome.CHANGED if current.is_known else Outcome.IMPORTED


def _first_sync(current: Current, applied: Applied) -> tuple[RowChange, ...]:
    """The mark of a subscription that no sync has read yet goes; with a change of it that is part of the change."""
    id_ = current.row.subscription_id
    if id_ is None or not current.row.never_synced or any(row.id == id_ for row in applied.rows):
        return ()
    return (RowChange(record_type="subscription", id=id_, values={"never_synced": False}, is_new=False),)


def _remember(session: Session, claim: Claim, current: Current, found: Comparison, now: int) -> None:
    """What was read and when; and whose the account is, where that is news."""
    applied, read, is_new = found.applied, current.asked.subscription, current.row.link_number is None
    link = {**(found.link or {}), "read_began": claim.claimed_at, "read_ended": now}
    record_link(session, read.number, link, is_new=is_new)
    if (is_new or current.asks_who_holds) and read.account_id is not None and applied.owner is not None:
        keep_owner(session, read.account_id, owner=applied.owner, customer=applied.customer)
    left = current.row.subscription_customer if current.moves else None
    if left is not None and left != applied.customer:
        note_comparison(session, left, now)


def _tell(session: Session, current: Current, found: Comparison, *, at: int) -> None:
    """Let other systems know what was written; of nothing written nothing is told."""
    applied = found.applied
    if applied.event_id is None or applied.subscription_id is None:
        return
    webhook_type = WebhookType.SYNC_CHANGED if current.is_known else WebhookType.SYNC_IMPORTED
    body = describe_webhook(
        found.plan,
        webhook_type,
        subscription_id=applied.subscription_id,
        owner=applied.owner,
        event_id=applied.event_id,
        at=timestamp_of(at),
    )
    announce(session, webhook_type, applied.subscription_id, body)
