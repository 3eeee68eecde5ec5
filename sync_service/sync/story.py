"""The story of one sync: look at Zuora, then in one transaction finish, compare, write and record.

Every trigger ends here. Nothing in this module asks what kind of event came in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sync_service.errors import NotFoundInZuora, RequestRefused
from sync_service.queue.held import Verdict, decide_hold
from sync_service.queue.history import Outcome, open_run, read_covered_causes, record_run
from sync_service.queue.limit import Share
from sync_service.queue.outbox import WebhookType, announce
from sync_service.queue.requests import Cause, Claim, Kind, Priority, enqueue, enqueue_again, finish, note_read
from sync_service.settings import Settings
from sync_service.store.apply import Applied
from sync_service.store.attribution import attribute_by_payer, tell_of_move
from sync_service.store.engine import Database, Session
from sync_service.store.owners import find_account_owner
from sync_service.store.reads import apply_plan, find_subscription, has_echo, read_current, read_link, record_read
from sync_service.store.tables import SyncRunRow
from sync_service.subscription.fingerprint import Fingerprint
from sync_service.subscription.imports import ImportRules, refuse_import
from sync_service.subscription.limio.documents import timestamp_of
from sync_service.subscription.limio.events import describe_webhook
from sync_service.subscription.plan import LimioState, SyncPlan
from sync_service.subscription.reconcile import Rules, is_drastic, reconcile
from sync_service.subscription.trigger import Trigger, read_triggers
from sync_service.subscription.zuora import ZuoraSubscription
from sync_service.sync.look import LastRead, Look, fetch_look
from sync_service.zuora.client import Reading, ZuoraClient
from sync_service.zuora.preview import SharedPreviews


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


def sync_subscription(context: SyncContext, claim: Claim, reading: Reading, previews: SharedPreviews) -> Outcome:
    """Sync the number of `claim` and return the outcome.

    1. Fetch from Zuora, outside any transaction; the claim is committed, so whatever comes in now runs again later.
    2. One transaction: finish first (it fails where the lease is lost), then read, reconcile, apply and record.
    """
    subscription = reading.fetch_subscription(claim.key)
    look = look_closer(context, subscription, reading, previews, full=claim.full, at=claim.claimed_at)
    reading.end()
    note_read(context.database, claim)
    with context.database.transaction() as session:
        now = finish(session, claim)
        return write_sync(context, session, claim, look, calls=reading.calls, now=now)


def look_closer(
    context: SyncContext,
    subscription: ZuoraSubscription,
    reading: Reading,
    previews: SharedPreviews,
    *,
    full: bool,
    at: int,
) -> Look:
    """Fetch what belongs to `subscription` as just read: account and preview, unless they are known to stand still.

    Before an import the account's other numbers too, so that one customer does not become two.
    """
    with context.database.reading() as session:
        link = read_link(session, subscription.number)
        last = LastRead(version=link.version, fingerprint=Fingerprint.from_json(link.fingerprint)) if link else None
        is_new = (link is None or link.subscription_id is None) and _is_unseen(session, subscription)
    try:
        look = fetch_look(
            reading, previews, subscription, last, full=full, today=context.tenant_day(at), rules=context.rules
        )
    except NotFoundInZuora as error:  # the subscription is there, so this is not its absence
        raise RequestRefused(f"Zuora knows the subscription, but not what belongs to it: {error}") from None
    if is_new and subscription.account_id is not None:
        return replace(look, siblings=tuple(reading.fetch_account_numbers(subscription.account_id, invoiced=False)))
    return look


def _is_unseen(session: Session, subscription: ZuoraSubscription) -> bool:
    """Whether the store knows neither the subscription nor an owner for its account."""
    if find_subscription(session, subscription.number) is not None or subscription.account_id is None:
        return False
    return find_account_owner(session, subscription.account_id, number=subscription.number).owner is None


def write_sync(context: SyncContext, session: Session, claim: Claim, look: Look, *, calls: int, now: int) -> Outcome:
    """Compare `look` with the store and write the difference, in the transaction that finished the claim at `now`."""
    state = look.state
    causes = read_covered_causes(session, claim)
    run = open_run(session, claim, calls=calls, causes=causes)
    triggers = read_triggers(cause.trigger for cause in causes)
    current = read_current(session, claim.key, state, read_began=claim.claimed_at, siblings=look.siblings)
    refusal = _refuse_import(context, session, current, state.subscription, triggers, now)
    if refusal:
        return _close(session, run, Outcome.LEFT_OUT, SyncPlan(number=claim.key, notes=(refusal,)), now, triggers)
    plan = reconcile(current, state, context.tenant_day(claim.claimed_at), context.rules)
    plan = replace(plan, notes=look.notes + plan.notes + tell_of_move(session, current, state.subscription))
    run.drastic = is_drastic(plan, current)
    decision = decide_hold(session, plan, drastic=run.drastic, triggers=triggers, share=context.settings.safety_share)
    if decision.verdict is not Verdict.APPLY:
        run.plan_hash = decision.plan_hash  # what was not applied, also of a run that only finds it held
    if decision.verdict is Verdict.LEAVE:
        note = "This very plan is held for a person's decision, or a person dropped it: nothing was changed."
        return _close(session, run, Outcome.UNCHANGED, SyncPlan(number=claim.key, notes=(note,)), now, triggers)
    if decision.verdict is Verdict.HOLD:
        return _close(session, run, Outcome.HELD, plan, now, triggers)
    link = read_link(session, claim.key)
    is_news = state.no_preview is not None and (link is None or link.schedule_left_alone != state.no_preview)
    _apply(session, claim, look, current, plan, run, now)
    done = Outcome.CHANGED if current.subscription is not None else Outcome.IMPORTED
    outcome = Outcome.UNCHANGED if plan.is_empty else done
    return _close(session, run, outcome, plan, now, triggers, is_news=is_news)


def _apply(
    session: Session,
    claim: Claim,
    look: Look,
    current: LimioState,
    plan: SyncPlan,
    run: SyncRunRow,
    now: int,
) -> None:
    """Write the plan, remember the read, and ask for what this read showed to be needed besides."""
    applied = apply_plan(session, plan, current, look.state, at=now)
    followers = record_read(
        session,
        current,
        look.state,
        applied,
        fingerprint=look.fingerprint.as_json(),
        read_began=claim.claimed_at,
        read_ended=now,
        look_again_on=plan.look_again_on,
    )
    run.subscription_id, run.owner = applied.subscription_id, applied.owner
    if applied.subscription_id is not None:
        attribute_by_payer(session, applied.subscription_id, look.state.subscription)
    _tell(session, plan, applied, imported=current.subscription is None, at=now)
    if plan.again:
        enqueue_again(session, claim)
    cause = Cause(trigger=Trigger.SWEEP, actor=f"sync of {claim.key}")
    for number in followers:
        enqueue(session, Kind.SUBSCRIPTION, number, cause, priority=Priority.JOB, full=True)


def _tell(session: Session, plan: SyncPlan, applied: Applied, *, imported: bool, at: int) -> None:
    """Let other systems know what was written; of nothing written nothing is told."""
    if applied.event_id is None or applied.subscription_id is None:
        return
    webhook_type = WebhookType.SYNC_IMPORTED if imported else WebhookType.SYNC_CHANGED
    body = describe_webhook(
        plan,
        webhook_type,
        subscription_id=applied.subscription_id,
        owner=applied.owner,
        event_id=applied.event_id,
        at=timestamp_of(at),
    )
    announce(session, webhook_type, applied.subscription_id, body)


def _refuse_import(
    context: SyncContext,
    session: Session,
    current: LimioState,
    subscription: ZuoraSubscription,
    triggers: frozenset[Trigger],
    now: int,
) -> str | None:
    if current.subscription is not None:
        return None
    return refuse_import(
        subscription,
        triggers,
        context.import_rules,
        echoed=has_echo(session, subscription.number),
        now=datetime.fromtimestamp(now / 1000, UTC),
    )


def _close(
    session: Session,
    run: SyncRunRow,
    outcome: Outcome,
    plan: SyncPlan,
    now: int,
    triggers: frozenset[Trigger],
    *,
    is_news: bool = False,
) -> Outcome:
    """Keep the run where it changed something, was held or left out, found news, or a caller waits for its answer."""
    if outcome is not Outcome.UNCHANGED or is_news or any(each.is_awaited for each in triggers):
        record_run(session, run, outcome=outcome, plan=plan, ended_at=now)
    return outcome
