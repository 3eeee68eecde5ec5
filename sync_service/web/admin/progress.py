"""The progress of a request made on these pages, and its result."""

from __future__ import annotations

from dataclasses import dataclass

from sync_service.queue.fate import Fate, Stage, Ticket, fate
from sync_service.queue.findings import Severity
from sync_service.queue.health import describe_process, tell_obstacle
from sync_service.queue.heartbeats import ProcessRole
from sync_service.queue.history import Outcome
from sync_service.queue.limit import Share
from sync_service.store.engine import Session
from sync_service.web.admin.words import span

#: So long a worker that runs and is free lets nothing wait, in ms.
PATIENCE_MS = 15_000
STEPS = ("Waiting for a worker", "Reading Zuora", "Comparing", "Done")
READS = "A worker reads the subscription, its account and what will be billed from Zuora."


@dataclass(frozen=True)
class Progress:
    """Where a request stands, and what to say."""

    fate: Fate
    text: str

    @property
    def step(self) -> int:
        """An index into STEPS."""
        return self.fate.stage

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for, or something to read meanwhile."""
        return self.fate.stage is Stage.ENDED


def read_progress(session: Session, share: Share, ticket: Ticket) -> Progress | None:
    """Of the request `ticket`. None where there was no such request."""
    found = fate(session, ticket)
    return None if found is None else Progress(found, _tell(session, share, found))


def _tell(session: Session, share: Share, found: Fate) -> str:
    match found.stage:
        case Stage.WAITING:
            return why_waiting(session, share, found.since)
        case Stage.READING:
            return READS
        case Stage.COMPARING:
            return "A worker has read it, compares, and writes what differs."
        case Stage.ENDED:
            return _result(found)


def why_waiting(session: Session, share: Share, since: int) -> str:
    """Why no worker has taken up yet what waits since that moment (ms by the database's clock), in words."""
    now, obstacle = session.now(), tell_obstacle(session, share)
    if obstacle:
        return f"The request is kept. {obstacle}"
    worker = describe_process(session, ProcessRole.WORKER, now)
    if worker.verdict is not Severity.OK:
        return f"The request is kept. {worker.says} {worker.remedy}"
    if now - since > PATIENCE_MS:
        return f"The request is kept. All workers have been busy for {span(now - since)}."
    return "The request is kept. A worker takes it within a second, unless all are busy."


def _result(found: Fate) -> str:
    run, outcome = found.run, found.outcome
    if run is None:
        return found.error or "Already up to date."
    match outcome:
        case Outcome.UNCHANGED if not found.is_held:
            return "Already up to date: Zuora and Limio agree, nothing was changed."
        case Outcome.CHANGED | Outcome.IMPORTED:
            word = "1 change was" if run.change_count == 1 else f"{run.change_count} changes were"
            return f"{word} written to Limio."
        case Outcome.RETRIED:
            return f"It did not work yet and will be tried again by itself: {run.error}"
        case Outcome.FAILED:
            return f"It failed: {run.error}"
        case Outcome.HELD | Outcome.UNCHANGED:
            return "The change is held for a person's decision."
        case _:
            notes = (run.plan or {}).get("notes", ())
            return " ".join([run.outcome.capitalize() + ".", *notes])
