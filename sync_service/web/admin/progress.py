"""The progress of a request made on these pages, and its result."""

from __future__ import annotations

from dataclasses import dataclass

from sync_service.queue.findings import Verdict
from sync_service.queue.health import describe_process, tell_obstacle
from sync_service.queue.heartbeats import Role
from sync_service.queue.history import first_attempt_covering
from sync_service.queue.limit import Share
from sync_service.store.engine import Session
from sync_service.store.tables import SyncRequestRow, SyncRunRow
from sync_service.web.admin.words import span

#: So long a worker that runs and is free lets nothing wait, in ms.
PATIENCE_MS = 15_000
STEPS = ("Waiting for a worker", "Reading Zuora", "Comparing", "Done")
WAITING, READING, COMPARING, DONE = range(4)
READS = "A worker reads the subscription, its account and what will be billed from Zuora."


@dataclass(frozen=True)
class Progress:
    """Where a request stands: an index into STEPS, and what to say."""

    kind: str
    key: str
    seq: int
    step: int
    text: str
    #: What came of it, where a run is in the history.
    run: SyncRunRow | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for, or something to read meanwhile."""
        return self.step == DONE


def read_progress(session: Session, share: Share, kind: str, key: str, seq: int) -> Progress | None:
    """Of the request `seq` of `key`; an alias is followed to its number. None where there was no such request."""
    row = session.get(SyncRequestRow, (kind, key))
    if row is None or not 1 <= seq <= row.requested_seq:
        return None
    if row.done_seq >= seq and row.resolved_key is not None and row.resolved_seq is not None:
        return read_progress(session, share, "subscription", row.resolved_key, row.resolved_seq)
    run = first_attempt_covering(session, kind, key, seq)
    if run is not None:
        return Progress(kind, key, seq, DONE, _result(run), run)
    if row.failed_seq >= seq:
        return Progress(kind, key, seq, DONE, row.last_error or "The sync failed.")
    if row.done_seq >= seq:
        return Progress(kind, key, seq, DONE, "Already up to date.")
    if row.lease_until is not None and row.lease_until > session.now():
        if row.read_at is not None:
            return Progress(kind, key, seq, COMPARING, "A worker has read it, compares, and writes what differs.")
        return Progress(kind, key, seq, READING, READS)
    return Progress(kind, key, seq, WAITING, why_waiting(session, share, row.waiting_since or row.requested_at))


def why_waiting(session: Session, share: Share, since: int) -> str:
    """Why no worker has taken up yet what waits since that moment (ms by the database's clock), in words."""
    now, obstacle = session.now(), tell_obstacle(session, share)
    if obstacle:
        return f"The request is kept. {obstacle}"
    worker = describe_process(session, Role.WORKER, now)
    if worker.verdict is not Verdict.OK:
        return f"The request is kept. {worker.says} {worker.remedy}"
    if now - since > PATIENCE_MS:
        return f"The request is kept. All workers have been busy for {span(now - since)}."
    return "The request is kept. A worker takes it within a second, unless all are busy."


def _result(run: SyncRunRow) -> str:
    match run.outcome:
        case "unchanged":
            return "Already up to date: Zuora and Limio agree, nothing was changed."
        case "changed" | "imported":
            word = "1 change was" if run.change_count == 1 else f"{run.change_count} changes were"
            return f"{word} written to Limio."
        case "retried":
            return f"It did not work yet and will be tried again by itself: {run.error}"
        case "failed":
            return f"It failed: {run.error}"
        case "held":
            return "The change is held for a person's decision."
        case _:
            notes = (run.plan or {}).get("notes", ())
            return " ".join([run.outcome.capitalize() + ".", *notes])
