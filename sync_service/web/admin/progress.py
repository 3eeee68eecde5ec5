"""The progress of what a person asked for on these pages: a sync, or the preview of one.

A preview asks a worker what a sync would change, and writes nothing. Viewers may ask for one too: they look before
operators act. It costs two or three calls to Zuora in a call slot, and no person has more than a few waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, flash, redirect, url_for
from werkzeug.exceptions import NotFound, UnprocessableEntity
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue import questions as asks
from sync_service.queue.fate import Fate, Stage, Ticket, fate, place
from sync_service.queue.limit import Share
from sync_service.queue.runs.history import Outcome
from sync_service.queue.status.findings import Severity
from sync_service.queue.status.health import describe_process, tell_obstacle
from sync_service.queue.status.heartbeats import ProcessRole
from sync_service.store.audit import record_action
from sync_service.store.engine import Session
from sync_service.store.tables import AskRow
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.web.admin.context import PageContext
from sync_service.web.admin.guard import who
from sync_service.web.admin.words import span
from sync_service.web.answers import answer

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


@dataclass(frozen=True, kw_only=True)
class PreviewProgress:
    """Where a preview stands: an index into STEPS, what to say, and the answer."""

    id: int
    key: str
    step: int
    text: str
    error_code: str | None = None
    plan: Mapping[str, Any] | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.step == Stage.ENDED


def attach(blueprint: Blueprint, context: PageContext) -> None:
    """The button's address, and where the page's script asks how it goes."""
    database = context.database

    @blueprint.post("/subscriptions/<key>/preview")
    def preview(key: str) -> AnyResponse:
        key = normalise_key(key)
        problem = why_impossible(key)
        if problem:
            raise UnprocessableEntity(problem)
        address = url_for("admin.subscription", key=key)
        try:
            with database.transaction(lock_timeout_ms=5000) as session:
                _, named = place(session, key)
                ask_id = asks.leave(session, asks.PLAN, named, who().email)
                record_action(session, who().email, "preview", named)
        except asks.TooManyAsked as error:
            flash(str(error))
            return redirect(address, 303)
        return redirect(f"{address}?preview={ask_id}#preview", 303)

    @blueprint.get("/previews/<int(max=9223372036854775807):ask_id>")
    def preview_progress(ask_id: int) -> Response:
        with database.reading() as session:
            found = read_preview(session, context.share, ask_id)
        if found is None:
            raise NotFound("There is no such preview any more.")
        return answer(200, {"step": found.step, "text": found.text, "done": found.is_done})


def read_preview(session: Session, share: Share, ask_id: int, *keys: str) -> PreviewProgress | None:
    """How the preview goes; None where there is none, or where it is of none of `keys`."""
    row = session.get(AskRow, ask_id)
    if row is None or (keys and row.key not in keys):
        return None
    if row.error is not None:
        return PreviewProgress(id=ask_id, key=row.key, step=Stage.ENDED, text=row.error, error_code=row.error_code)
    if row.answered_at is not None:
        found = row.answer or {}
        text = _tell_preview(found)
        return PreviewProgress(id=ask_id, key=row.key, step=Stage.ENDED, text=text, plan=found.get("plan"))
    if row.lease_until is not None and row.lease_until > session.now():
        return PreviewProgress(id=ask_id, key=row.key, step=Stage.READING, text=READS)
    return PreviewProgress(id=ask_id, key=row.key, step=Stage.WAITING, text=why_waiting(session, share, row.asked_at))


def _tell_preview(found: Mapping[str, Any]) -> str:
    changes = len((found.get("plan") or {}).get("changes", ()))
    if not changes:
        return "Nothing would change: Zuora and Limio agree."
    words = "1 change" if changes == 1 else f"{changes} changes"
    if found.get("imports"):
        return f"A sync would import this subscription, with {words}. Nothing was written."
    drastic = " It would cancel the subscription or empty its coming schedule." if found.get("drastic") else ""
    return f"A sync would write {words} to Limio. Nothing was written.{drastic}"
