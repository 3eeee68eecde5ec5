"""How much of the Zuora tenant we may use, over all hosts: one row that every claim locks first.

Nothing here calls Zuora. Errors of the tenant pause all claims; quiet success opens them again. Zuora counts calls that
create or preview an order in a class of their own ("High-volume transactions"): `queue.orders.steps`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from types import SimpleNamespace
from typing import cast

from sqlalchemy import Exists, Integer, Text, bindparam, case, exists, func, update
from sqlalchemy import cast as _cast
from sqlalchemy import select as _select
from sqlmodel import col, select

from sync_service.errors import RateLimited, TenantError, WrongTenant
from sync_service.queue.places import Load
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session, clock
from sync_service.store.statement import table_of
from sync_service.store.tables import StoreTenantRow, ZuoraLimitRow
from sync_service.subscription.limio.documents import moment_at

#: The first pause after a tenant error; it doubles with each failed probe.
FIRST_PAUSE_MS = 5_000
LONGEST_PAUSE_MS = 300_000
#: Zuora may ask for more, but one probe an hour costs nothing, and a mistaken answer must not stop us for days.
LONGEST_ASKED_MS = 3_600_000
#: So many runs must end well before one more is permitted at the same time.
QUIET_RUNS = 20
#: How much of what Zuora permits the whole tenant is ours where no setting says, and how many calls at the same time
#: until the first answer has reported it.
MAX_SHARE_OF_REPORTED, UNTIL_REPORTED = 0.75, 8
#: For so long a place is left to the story or process that has just found none free, in ms: it looks again before.
WISH_MS = 1_000
#: The part of the day's calls that is kept for people.
RESERVE = 0.10

_CREATE_LIMIT = """
INSERT INTO zuora_limit (id, permitted, trouble, quiet, calls_today, claims) VALUES (1, :permitted, 0, 0, 0, 0)
ON CONFLICT (id) DO NOTHING
"""
# The clock is read once, or PostgreSQL would look at every row; an end on both sides finds the index before there are
# statistics. A lease whose token is noted counts elsewhere: among calls for orders, or in the row of its process.
_LEASED = "lease_until > (SELECT {now}) AND lease_until < 9000000000000000"
_LIVE = f"""
SELECT {{now}} AS now,
  (SELECT count(*) FROM sync_request
   WHERE {_LEASED} AND COALESCE(ordering_token, 0) <> token AND COALESCE(placed_token, 0) <> token)
  + (SELECT COALESCE(sum(calls), 0) FROM zuora_lease WHERE {_LEASED} AND NOT ordering AND story <> :ours) AS live,
  {{aside}} AS aside
"""  # noqa: S608 - constant SQL, no user input
_ORDERING = f"""
SELECT (SELECT count(*) FROM sync_request WHERE {_LEASED} AND ordering_token = token)
  + (SELECT count(*) FROM zuora_lease WHERE {_LEASED} AND ordering) AS ordering
"""  # noqa: S608 - constant SQL, no user input
_ASIDE = f"(SELECT count(*) FROM sync_request WHERE {_LEASED} AND key IN ({{doubtful}}))"  # noqa: S608 - constant SQL, no user input
_DOUBTFUL = {
    "sqlite": "SELECT value FROM json_each(:doubtful)",
    "postgresql": "SELECT value FROM jsonb_array_elements_text(CAST(:doubtful AS JSONB))",
}
_ROW = table_of(ZuoraLimitRow)
_LOCKED, _KEEP = _select(_ROW).with_for_update(), update(_ROW)
#: So often at most a good answer is noted while nothing else changes, in ms.
ANSWER_NOTED_MS = 30_000
_REMEMBER_TENANT = "INSERT INTO store_tenant (id, tenant, since) VALUES (1, :tenant, {now}) ON CONFLICT (id) DO NOTHING"


@dataclass(frozen=True)
class Share:
    """What the settings allow us of the tenant."""

    #: Runs and stories at the same time, over all hosts; 0: MAX_SHARE_OF_REPORTED of what Zuora reports.
    max_concurrency: int
    #: Calls in one UTC day; 0 means no limit.
    daily_calls: int = 0
    #: Calls at the same time that create or preview orders, over all hosts.
    max_orders: int = 40

    @classmethod
    def of(cls, settings: Settings) -> Share:
        """What `settings` allow."""
        return cls(settings.zuora_max_concurrency, settings.zuora_daily_calls, settings.zuora_max_orders)

    def as_reported(self, reported: int | None) -> Share:
        """The same with a number in the place of 0: by the concurrency that Zuora's answers report for the tenant."""
        if self.max_concurrency:
            return self
        most = UNTIL_REPORTED if reported is None else max(1, int(reported * MAX_SHARE_OF_REPORTED))
        return replace(self, max_concurrency=most)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The limit as locked, or as read for display; times in ms of the database's clock."""

    row: ZuoraLimitRow
    share: Share
    now: int
    #: Runs and stories that may call Zuora now, or whose worker died within the lease.
    live: int
    #: Of those the runs of numbers in doubt: they say nothing of the tenant, and no probe waits for them.
    aside: int = 0
    #: The row's columns as they stand in the database; empty for display.
    kept: dict[str, object] = field(default_factory=dict)

    @property
    def is_paused(self) -> bool:
        """Whether a tenant error keeps everything waiting."""
        return self.row.open_until is not None and self.row.open_until > self.now

    @property
    def is_open(self) -> bool:
        """Whether as many may call as are permitted."""
        return not self.is_paused and self.row.trouble == 0

    @property
    def room(self) -> int:
        """How many more may start now; after a tenant error one at a time probes."""
        if self.is_paused:
            return 0
        if self.row.trouble > 0:
            return 1 if self.live <= self.aside else 0
        return max(0, self.permitted - self.live)

    @property
    def is_wished(self) -> bool:
        """Whether a story, or a process that has none, waits for a place: the next one to become free is left to it."""
        return self.row.wished_until is not None and self.row.wished_until > self.now

    @property
    def permitted(self) -> int:
        """How many may call at the same time while all is well."""
        return min(self.row.permitted, self.share.max_concurrency)

    @property
    def calls_today(self) -> int:
        """Calls made since midnight UTC, as far as workers have reported them."""
        return self.row.calls_today if self.row.day == _utc_day(self.now) else 0

    @property
    def is_kept_for_people(self) -> bool:
        """Whether what is left of the day's budget is the reserve."""
        budget = self.share.daily_calls
        return budget > 0 and self.calls_today >= budget * (1 - RESERVE)

    def keep(self, session: Session) -> None:
        """Write what was changed of the row, which must be locked."""
        if changed := {name: value for name, value in vars(self.row).items() if value != self.kept[name]}:
            session.run(_KEEP, changed)
            self.note_kept()

    def note_kept(self) -> None:
        """The row is written as it stands."""
        self.kept.update(vars(self.row))

    def count_calls(self, calls: int) -> None:
        """Add `calls` to today's; `keep` writes it."""
        if calls:
            self.row.calls_today = self.calls_today + calls
            self.row.day = _utc_day(self.now)


def lock_limit(session: Session, share: Share, load: Load | None = None) -> Limit:
    """Lock the one row until the transaction ends. Required before leases are counted; `keep` writes what is changed.

    Of the process with this `load` its running calls are counted, and not what its row says.
    """
    locked = session.run(_LOCKED).one_or_none()
    if locked is None:
        session.run(_CREATE_LIMIT, {"permitted": share.as_reported(None).max_concurrency})
        locked = session.run(_LOCKED).one()
    # Its columns alone: to make a row of the ORM takes a fifth of a claim.
    row = cast(ZuoraLimitRow, SimpleNamespace(**locked._asdict()))
    # A statement of its own: it must see what others committed while we waited for the lock, and their time.
    limit = _limit(session, row, share, load)
    limit.note_kept()
    return limit


def is_room_for_orders(session: Session, share: Share) -> bool:
    """Whether one more call that creates or previews an order may begin; the limit must be locked."""
    return int(session.run(_ORDERING).scalar_one()) < share.max_orders


def read_limit(session: Session, share: Share) -> Limit:
    """The limit for display, without a lock."""
    row = session.get(ZuoraLimitRow, 1) or ZuoraLimitRow(permitted=share.as_reported(None).max_concurrency)
    return _limit(session, row, share)


def note_tenant_error(database: Database, error: TenantError, share: Share, *, by: str | None = None) -> int:
    """Pause all claims because of `error`; returns for how many milliseconds from now. `by` is the number that got it.

    Runs that were under way when the pause began report the same trouble once more: it counts once, so that a blip
    which eight runs see is not eight failed probes. A 429 halves what is permitted.
    """
    asked = min(int((error.retry_after or 0) * 1000), LONGEST_ASKED_MS)
    with database.transaction() as session:
        limit = lock_limit(session, share)
        row, now = limit.row, limit.now
        if limit.is_paused:
            row.open_until = max(row.open_until or 0, now + asked)
        else:
            row.trouble += 1
            row.open_until = now + max(asked, _pause(row.trouble))
            row.paused_by = by
            if isinstance(error, RateLimited):
                row.permitted = max(1, min(row.permitted, limit.share.max_concurrency) // 2)
        row.quiet = 0
        row.trouble_text = str(error)
        row.trouble_code = error.code
        limit.keep(session)
        return int(row.open_until) - now


@cache
def is_all_well(dialect: str) -> Exists:
    """Whether one more good answer is no news, as a part of a statement; its `:most` is Share.max_concurrency."""
    row, most = ZuoraLimitRow, bindparam("most", type_=Integer)
    return exists(
        select(row.id).where(
            row.trouble == 0,
            _cast(row.doubtful, Text) == "[]",
            row.permitted >= case((most > 0, most), else_=func.coalesce(col(row.reported) * 3 // 4, UNTIL_REPORTED)),
            col(row.answered_at) > clock(dialect) - ANSWER_NOTED_MS,
        )
    )


_ALL_WELL = {dialect: _select(is_all_well(dialect)) for dialect in ("sqlite", "postgresql")}


def note_reported(database: Database, reported: int, share: Share) -> None:
    """Remember how many calls at the same time Zuora permits the whole tenant: the header `Concurrency-Limit-Limit`.

    What a 429 has made of `permitted` stays. Repeatable.
    """
    with database.transaction() as session:
        limit = lock_limit(session, share)
        was_open = limit.row.permitted >= limit.share.max_concurrency
        limit.row.reported = reported
        if was_open:
            limit.row.permitted = share.as_reported(reported).max_concurrency
        limit.keep(session)


def note_success(database: Database, share: Share) -> None:
    """A run ended well: end the trouble, and after QUIET_RUNS of them permit one more.

    While all is well it only notes that Zuora answers, every ANSWER_NOTED_MS. During a pause a success is that of a
    run from before the pause and says nothing.
    """
    with database.reading() as session:
        if session.run(_ALL_WELL[database.dialect], {"most": share.max_concurrency}).scalar_one():
            return
    with database.transaction() as session:
        limit = lock_limit(session, share)
        row = limit.row
        if limit.is_paused:
            return
        row.answered_at = limit.now
        if not _is_well(limit):
            row.trouble, row.open_until, row.trouble_text, row.trouble_code = 0, None, None, None
            row.doubtful = []
            row.quiet += 1
            if row.quiet >= QUIET_RUNS and row.permitted < limit.share.max_concurrency:
                row.permitted += 1
                row.quiet = 0
        limit.keep(session)


def remember_tenant(session: Session, tenant: str) -> None:
    """Write down the tenant that fills this store, the first time; raises WrongTenant when it is another's."""
    session.run(_REMEMBER_TENANT, {"tenant": tenant})
    check_tenant(session, tenant)


def check_tenant(session: Session, tenant: str) -> None:
    """Raise WrongTenant when the store was filled from another tenant than `tenant`."""
    stored = read_tenant(session)
    if stored is not None and stored != tenant:
        raise WrongTenant(
            f"The store was filled from {stored}, the credentials are those of {tenant}:"
            " check ZUORA_BASE_URL and the OAuth client."
        )


def read_tenant(session: Session) -> str | None:
    """The tenant that fills this store; None before the first call to Zuora."""
    row = session.get(StoreTenantRow, 1)
    return row.tenant if row else None


def _limit(session: Session, row: ZuoraLimitRow, share: Share, load: Load | None = None) -> Limit:
    """What stands in the limit's `row`, with what is leased now; most often none is in doubt."""
    aside = _ASIDE.replace("{doubtful}", _DOUBTFUL[session.database.dialect]) if row.doubtful else "0"
    ours, calling = (load.places.name, load.calling) if load is not None else ("", 0)
    values = {"ours": ours, "doubtful": json.dumps(row.doubtful)}
    now, live, aside = session.run(_LIVE.replace("{aside}", aside), values).one()
    live = int(live) + calling
    return Limit(row=row, share=share.as_reported(row.reported), now=int(now), live=live, aside=int(aside))


def _pause(trouble: int) -> int:
    return min(FIRST_PAUSE_MS << min(trouble - 1, 20), LONGEST_PAUSE_MS)


def _is_well(limit: Limit) -> bool:
    row = limit.row
    return row.trouble == 0 and not row.doubtful and row.permitted >= limit.share.max_concurrency


def _utc_day(now: int) -> date:
    return moment_at(now).date()
