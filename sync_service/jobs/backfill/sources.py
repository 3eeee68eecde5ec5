"""Where a backfill's keys come from: a file, one account, or the whole tenant; streamed, never all in memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from sqlalchemy.exc import OperationalError

from sync_service.errors import (
    BusyError,
    NotFoundInZuora,
    PermissionRefused,
    RequestRefused,
    SyncServiceError,
    TenantError,
    WrongTenant,
)
from sync_service.jobs.backfill.ledger import Failure
from sync_service.queue.limit import note_success, note_tenant_error, read_limit
from sync_service.queue.story_lease import StoryLease, hold_story_lease
from sync_service.store.load_lines import read_lines
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.sync.attempt import SyncContext
from sync_service.telemetry.log import logger
from sync_service.zuora.listing import Listing, ListQuery, ListSource, RowPage, fetch_page

#: The time that one page, or one account's list, may take, in seconds.
PAGE_SECONDS = 30.0
#: Pages that are read in one go; then the call slot is free for others.
BURST = 50
#: How often a listing that Zuora keeps waiting looks again, in seconds.
PATIENCE = 2.0
#: Everything was updated since then.
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
#: Lines of a file that can be no keys and are named; the others are only counted.
MAX_PROBLEMS = 1_000


class Source(Protocol):
    """Keys, handed out in turn."""

    #: Whether the keys are Zuora's own numbers; else they may be any names for subscriptions.
    are_numbers: bool

    @property
    def rest(self) -> int | None:
        """How many keys are still to be taken; None while it is not known."""

    @property
    def position(self) -> str | None:
        """From where `taken` keys need not be read again after an interruption; None: from the beginning."""

    @property
    def problems(self) -> Sequence[Failure]:
        """What the source held that can be no key."""

    def take(self, most: int) -> list[str] | None:
        """Up to `most` further keys, none where the next ones are still on their way; None after the last.

        Raises what went wrong on the way to them.
        """

    def close(self) -> None:
        """Stop reading and let go of what is held."""


class FileKeys:
    """The keys of a file, one a line; blank lines are skipped. `stream` is copied aside where it can be read once."""

    are_numbers = False
    position = None

    def __init__(self, stream: BinaryIO, *, once: bool = False) -> None:
        self._stream = _copy(stream) if once else stream
        self.problems: list[Failure] = []
        self.rest = sum(1 for _ in self._keys())
        self.problems.clear()
        self._iterator = self._keys()

    def take(self, most: int) -> list[str] | None:
        """The next keys; a line that can be none is reported once."""
        keys = [key for _, key in zip(range(most), self._iterator, strict=False)]
        self.rest -= len(keys)
        return keys or None

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _keys(self) -> Iterator[str]:
        self._stream.seek(0)
        for number, line in enumerate(read_lines(self._stream), 1):
            key = normalise_key(line.removeprefix("\ufeff"))
            problem = why_impossible(key) if key else None
            if problem and len(self.problems) < MAX_PROBLEMS:
                shown = key[:60].encode("unicode_escape").decode("ascii")
                self.problems.append(Failure(f"line {number}: {shown}", problem))
            if key and not problem:
                yield key


class AccountKeys:
    """The numbers of one account, owned and invoiced. Reading them is one look at Zuora, made at once."""

    are_numbers = True
    position = None
    problems: Sequence[Failure] = ()

    def __init__(self, context: SyncContext, account: str) -> None:
        """Raises NotFoundInZuora for an account that does not exist, BusyError, and every TenantError."""
        with hold_story_lease(context.database, "backfill", context.share, wait_seconds=30) as lease:
            reading = lease.counting(context.zuora.reading(PAGE_SECONDS))
            self._numbers = reading.fetch_account_numbers(account)

    @property
    def rest(self) -> int:
        """Those not taken yet."""
        return len(self._numbers)

    def take(self, most: int) -> list[str] | None:
        """The next numbers."""
        taken, self._numbers = self._numbers[:most], self._numbers[most:]
        return taken or None

    def close(self) -> None:
        """Nothing is held."""


class TenantKeys:
    """All of the tenant's numbers, those updated since a moment, read ahead by a thread of its own into a file.

    So the place among those who call Zuora is not held while the queue is full, and the end is known long before. They
    come in the order in which they were last updated: what changes meanwhile moves to the end and is met again, so
    that none is missed, and the time of the last one met is all that is needed to go on after an interruption.
    """

    are_numbers = True

    def __init__(self, context: SyncContext, since: datetime | None) -> None:
        self.problems: list[Failure] = []
        self._context = context
        self._since = since or _BEGINNING
        self._way = ListSource.OBJECT_QUERY
        self._question = ListQuery(listing=Listing.SUBSCRIPTIONS)
        self._spool, self._ours = _open_spool()
        self._listed = self._taken = 0
        self._complete = False
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self.position: str | None = since.isoformat() if since else None
        self._start = self.position
        self._thread = threading.Thread(target=self._list, name="backfill-listing", daemon=True)
        self._thread.start()

    @property
    def rest(self) -> int | None:
        """Known once the list is read to its end."""
        return self._listed - self._taken if self._complete else None

    def take(self, most: int) -> list[str] | None:
        """The next numbers that are there already. Raises what stopped the listing."""
        complete, ready = self._complete, self._listed  # in this order
        keys: list[str] = []
        while len(keys) < most and self._taken < ready:
            updated, _, number = self._ours.readline().decode().rstrip("\n").partition("\t")
            self._taken += 1
            # ZOQL knows no order: after an interruption all is listed again, and nothing asked for again.
            self.position = updated if self._way is ListSource.OBJECT_QUERY else self._start
            keys.append(number)
        if not keys and self._error is not None:
            raise self._error
        return keys if keys or not complete else None

    def close(self) -> None:
        """Stop the thread and let go of the file."""
        self._stop.set()
        self._thread.join(timeout=PAGE_SECONDS)
        self._ours.close()

    def _list(self) -> None:
        try:
            with self._spool as spool:
                place: str | None = None
                while not self._stop.is_set() and not self._complete:
                    place = self._list_burst(spool, place)
        except BaseException as error:  # told by `take`
            self._error = error

    def _list_burst(self, spool: BinaryIO, place: str | None) -> str | None:
        """Read some pages; returns the place to go on from. Waits while Zuora is paused."""
        context = self._context
        if self._is_kept_for_people():
            self._stop.wait(PATIENCE)
            return place
        try:
            for page in self._pages(place):
                self._keep(spool, page)
                place = page.following
                self._complete = place is None
            note_success(context.database, context.share)
        except (PermissionRefused, NotFoundInZuora, RequestRefused) as error:
            if place is not None:  # a place that Zuora no longer knows: from the last one met on
                return None
            if self._way is ListSource.ZOQL:
                raise ListingRefused(f"{ListingRefused.__doc__} Zuora says: {error}") from error
            self._way = ListSource.ZOQL
        except WrongTenant:  # no trouble that passes, and none of the workers'
            raise
        except TenantError as error:
            note_tenant_error(context.database, error, context.share)
        except BusyError:
            pass  # no free call slot, or a pause: try again soon
        except OperationalError as error:
            logger().warning("backfill_database_away", error=type(error).__name__)
            self._stop.wait(PATIENCE)
        return place

    def _pages(self, place: str | None) -> Iterator[RowPage]:
        """Up to BURST pages from `place` on, under one story lease."""
        context = self._context
        with hold_story_lease(context.database, "backfill", context.share, wait_seconds=PATIENCE) as lease:
            for _ in range(BURST):
                page = self._fetch(lease, place)
                yield page
                place = page.following
                if place is None or self._stop.is_set():
                    return
                lease.renew()

    def _fetch(self, lease: StoryLease, place: str | None) -> RowPage:
        if place is None:
            self._question = ListQuery(listing=Listing.SUBSCRIPTIONS, source=self._way, since=self._since)
        return fetch_page(lease.counting(self._context.zuora.reading(PAGE_SECONDS)), self._question, place)

    def _keep(self, spool: BinaryIO, page: RowPage) -> None:
        latest = [each for each in page.subscriptions if each.is_latest is not False and each.status != "Expired"]
        spool.writelines(f"{each.updated.astimezone(UTC).isoformat()}\t{each.number}\n".encode() for each in latest)
        spool.flush()
        self._listed += len(latest)
        if self._way is ListSource.OBJECT_QUERY and page.newest is not None:
            self._since = page.newest
        if page.unreadable and len(self.problems) < MAX_PROBLEMS:
            reason = "They lack a number, a version, a status or a time."
            self.problems.append(Failure(f"{page.unreadable} rows of Zuora's list", reason))

    def _is_kept_for_people(self) -> bool:
        with self._context.database.reading() as session:
            return read_limit(session, self._context.share).is_kept_for_people


class ListingRefused(SyncServiceError):
    """Zuora lets us list the tenant's subscriptions neither by Object Query nor by ZOQL: give them with --file."""

    code = "listing refused"


def _open_spool() -> tuple[BinaryIO, BinaryIO]:
    """A temporary file to write and to read, without a name: nothing of it outlives a process that is killed."""
    number, name = tempfile.mkstemp(prefix="backfill-")
    path = Path(name)
    try:
        return os.fdopen(number, "wb"), path.open("rb")
    finally:
        path.unlink()


def _copy(stream: BinaryIO) -> BinaryIO:
    """A temporary file with all that `stream` has, so that it can be counted and read again."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its owner
    with contextlib.closing(stream):
        while chunk := stream.read(1 << 20):
            copy.write(chunk)
    return copy
