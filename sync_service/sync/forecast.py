"""Looking without touching: what a sync would change, computed from everything that Zuora and the store say now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync_service.errors import NotFoundInZuora, UnknownKey
from sync_service.store.reads import resolve_key, tell_unknown
from sync_service.subscription.plan import LimioState, SyncPlan
from sync_service.subscription.reconcile import is_drastic, reconcile
from sync_service.sync.attempt import SyncContext, look_closer
from sync_service.sync.current import CurrentQuery
from sync_service.zuora.preview import SharedPreviews
from sync_service.zuora.reading import Reading

#: The time for all calls of one number, in seconds.
LOOK_SECONDS = 60.0


@dataclass(frozen=True)
class Forecast:
    """What a sync of one key would do, or why it could not be told."""

    key: str
    plan: SyncPlan | None = None
    #: The sync would make a subscription that Limio never saw, or cancel one or all of its coming payments.
    imports: bool = False
    drastic: bool = False
    error: str | None = None


def compute_plan(context: SyncContext, key: str, reading: Reading) -> tuple[SyncPlan, LimioState]:
    """Read everything of `key`, compare it with the store, write nothing: the plan, and what the store holds.

    The caller holds a story's lease. Raises what `Reading` and `reconcile` raise.
    """
    with context.database.reading() as session:
        number = resolve_key(session, key)
        unknown = tell_unknown(session, key)
        at = session.now()
    try:
        subscription = reading.fetch_subscription(number or key)
    except NotFoundInZuora:
        if number is None:
            raise UnknownKey(unknown) from None
        raise
    asked = CurrentQuery(subscription=subscription, read_began=at, share=context.share)
    look, current = look_closer(context, asked, reading, SharedPreviews(), full=True)
    plan = reconcile(current.limio, look.state, context.tenant_day(at), context.rules)
    return replace(plan, notes=look.notes + plan.notes), current.limio


def forecast_sync(context: SyncContext, key: str, reading: Reading) -> Forecast:
    """What a sync of `key` would do. Raises as `compute_plan` does."""
    plan, current = compute_plan(context, key, reading)
    imports = current.subscription is None and not plan.is_empty
    return Forecast(key, plan, imports=imports, drastic=is_drastic(plan, current))
