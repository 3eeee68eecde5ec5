"""Questions that people and partners leave for the workers, and their answers: previews, invoices and their PDFs.

The web side never reaches Zuora: it leaves a row here, and a worker takes it together with a place among those who call
Zuora, both for one lease. A worker that dies is simply late: the lease runs out and another takes the question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from sync_service.commerce.order import CannotBePlacedError, Problem, ProblemCode
from sync_service.errors import BusyError, LeaseLost, SyncServiceError, TenantError
from sync_service.queue.limit import Share, note_success, note_tenant_error
from sync_service.queue.retry import find_whose
from sync_service.queue.story_lease import StoryLease, take_story_lease
from sync_service.store.engine import Database, Session
from sync_service.store.tables import AskRow
from sync_service.telemetry.log import logger

#: What a sync of a key would change.
PLAN = "plan"
#: What an order would cost and when; the order is the question.
ORDER = "order"
#: Invoices of an account, or the PDF of one; the question says which.
INVOICES = "invoices"
INVOICE_PDF = "invoice pdf"
#: One invoice by its number or id.
INVOICE = "invoice"
#: An answer is computed within 60 s; what is not there by then is another's.
LEASE_MS = 90_000
#: Questions of one person that wait at the same time; more are refused.
MAX_OPEN = 5
#: The same for an API client, which asks for many people.
MAX_OPEN_OF_A_CLIENT = 50
#: More workers than this one question may end without an answer.
MAX_CLAIMS = 3
#: An older answer is of no use.
KEEP_MS = 86_400_000

_OPEN = """
SELECT id FROM ask WHERE answered_at IS NULL AND (lease_until IS NULL OR lease_until <= {now}) ORDER BY id LIMIT 1
"""
_TAKE = """
UPDATE ask SET token = token + 1, lease_until = {now} + :lease
WHERE id = (SELECT id FROM ask WHERE answered_at IS NULL AND (lease_until IS NULL OR lease_until <= {now})
            ORDER BY id LIMIT 1 {lock})
RETURNING id, what, key, question, token
"""
_FORGET = "DELETE FROM ask WHERE asked_at < {now} - :keep"


class TooManyAsked(BusyError):
    """Several previews that you asked for are not there yet: wait for them first."""

    code = "too many asked"


@dataclass(frozen=True)
class Taken:
    """A question in a worker's hands."""

    id: int
    what: str
    key: str
    question: str | None
    #: The fence, and how many workers have had it.
    token: int
    #: The worker's place among those who call Zuora.
    place: StoryLease


def leave(
    session: Session, what: str, key: str, actor: str, *, question: str | None = None, most: int = MAX_OPEN
) -> int:
    """Ask, durable with the caller's transaction; returns the question's id.

    The same question of the same person that still waits is not asked twice; `most` may wait at the same time.
    Raises TooManyAsked.
    """
    theirs = select(AskRow).where(AskRow.actor == actor, col(AskRow.answered_at).is_(None))
    waiting = session.exec(theirs.order_by(col(AskRow.id))).all()
    for each in waiting:
        if (each.what, each.key, each.question) == (what, key, question) and each.id is not None:
            return each.id
    if len(waiting) >= most:
        raise TooManyAsked
    row = AskRow(what=what, key=key, question=question, actor=actor, asked_at=session.now())
    session.add(row)
    session.flush()
    assert row.id is not None  # noqa: S101 - the database gave it
    return row.id


def is_anything_asked(database: Database) -> bool:
    """Whether a question waits unclaimed. Takes no lock, so that an idle worker writes nothing."""
    with database.reading() as session:
        return session.run(_OPEN).first() is not None


def take(database: Database, share: Share, *, lease_ms: int = LEASE_MS) -> Taken | None:
    """The oldest question that waits, with a place among those who call Zuora; None where either cannot be had now.

    The caller ends with `answer`, `refuse` or `put_back`, and then frees the call slot.
    """
    place = take_story_lease(database, "ask", share, lease_ms=lease_ms)
    if place is None:
        return None
    with database.transaction() as session:
        row = session.run(_TAKE, {"lease": lease_ms}).one_or_none()
    if row is None:
        place.give_back()
        return None
    taken = Taken(row.id, row.what, row.key, row.question, row.token, place)
    if taken.token > MAX_CLAIMS:
        refuse(database, taken, f"{MAX_CLAIMS} workers ended without an answer: look at the worker's log.", "crashed")
        place.give_back()
        return None
    return taken


def refusal_as_json(problems: Sequence[Problem]) -> dict[str, Any]:
    """The answer that an order cannot be placed, for a preview of it."""
    return {"problems": [asdict(problem) for problem in problems]}


def refusal_of(answer: Mapping[str, Any]) -> list[Problem]:
    """What `refusal_as_json` said; empty where the answer is none."""
    found = answer.get("problems") or ()
    return [Problem(**{**each, "code": ProblemCode(each["code"])}) for each in found]


def serve(
    database: Database, share: Share, taken: Taken, find: Callable[[], Mapping[str, Any]], *, doubt: str | None = None
) -> None:
    """Keep what `find` gives, or why it gives nothing, and give the place back. Raises nothing of the question's.

    With `doubt`, a key, Zuora's trouble is not taken for the tenant's before other keys meet it too. Where the
    database is away the lease runs out, and another worker answers.
    """
    log = logger().bind(ask=taken.id, what=taken.what, key=taken.key)
    try:
        try:
            _serve(database, share, taken, find, doubt)
        finally:
            taken.place.give_back()
        log.info("ask_answered")
    except (LeaseLost, SQLAlchemyError) as error:
        log.warning("ask_lost", error=type(error).__name__)


def _serve(
    database: Database, share: Share, taken: Taken, find: Callable[[], Mapping[str, Any]], doubt: str | None
) -> None:
    try:
        found = find()
    except CannotBePlacedError as refusal:
        answer(database, taken, refusal_as_json(refusal.problems))
    except TenantError as error:
        whose = find_whose(database, error, share, doubt, answered=False) if doubt else error
        if isinstance(whose, TenantError):
            note_tenant_error(database, whose, share)
        refuse(database, taken, str(whose), whose.code)
    except SyncServiceError as error:
        refuse(database, taken, str(error), error.code)
    except Exception as error:
        logger().exception("ask_crashed", ask=taken.id)
        refuse(database, taken, f"The answer crashed: {type(error).__name__}.", "crashed")
    else:
        answer(database, taken, found)
        note_success(database, share)


def read_answer(session: Session, ask_id: int) -> AskRow | None:
    """The question once it is answered."""
    row = session.get(AskRow, ask_id)
    return row if row is not None and row.answered_at is not None else None


def answer(database: Database, taken: Taken, found: Mapping[str, Any]) -> None:
    """Keep what was found. Raises LeaseLost where another has taken over."""
    with database.transaction() as session:
        row = _lock_owned(session, taken)
        row.answer, row.answered_at, row.lease_until = dict(found), session.now(), None


def refuse(database: Database, taken: Taken, error: str, code: str) -> None:
    """Keep why there is no answer. Raises LeaseLost where another has taken over."""
    with database.transaction() as session:
        row = _lock_owned(session, taken)
        row.error, row.error_code = error, code
        row.answered_at, row.lease_until = session.now(), None


def put_back(database: Database, taken: Taken) -> None:
    """Let another worker take it at once: a graceful stop. Raises LeaseLost."""
    with database.transaction() as session:
        row = _lock_owned(session, taken)
        row.lease_until = None


def forget_answers(database: Database) -> int:
    """Delete what was asked more than KEEP_MS ago; returns how many. Repeatable."""
    with database.transaction() as session:
        return session.run(_FORGET, {"keep": KEEP_MS}).rowcount


def _lock_owned(session: Session, taken: Taken) -> AskRow:
    statement = select(AskRow).where(AskRow.id == taken.id).with_for_update()
    row = session.exec(statement).one_or_none()
    if row is None or row.token != taken.token or row.lease_until is None or row.answered_at is not None:
        raise LeaseLost
    return row


@dataclass(frozen=True, kw_only=True)
class InvoicesAsked:
    """Invoices of one Zuora account (id or number); the caller has made sure that the asker may see them."""

    account: str
    #: Only those with a line of one of these subscriptions, by number, all at once; empty: of any.
    subscriptions: tuple[str, ...] = ()
    #: Zuora's, from the page before.
    cursor: str | None = None
    size: int = 40


@dataclass(frozen=True, kw_only=True)
class PdfAsked:
    """The PDF of an invoice, if it is that account's."""

    account: str
    invoice: str


def ask_for_invoices(session: Session, asked: InvoicesAsked, actor: str, *, most: int = MAX_OPEN) -> int:
    """Leave the question; returns its id. Raises TooManyAsked."""
    return leave(session, INVOICES, asked.account, actor, question=json.dumps(asdict(asked)), most=most)


def ask_for_pdf(session: Session, asked: PdfAsked, actor: str) -> int:
    """Leave the question; returns its id. Raises TooManyAsked."""
    return leave(session, INVOICE_PDF, asked.invoice, actor, question=json.dumps(asdict(asked)))


def ask_for_invoice(session: Session, key: str, actor: str) -> int:
    """Leave the question what the invoice of this number or id is; returns its id. Raises TooManyAsked."""
    return leave(session, INVOICE, key, actor)


def read_invoices_asked(question: str) -> InvoicesAsked:
    """What `ask_for_invoices` left."""
    asked = json.loads(question)
    return InvoicesAsked(**{**asked, "subscriptions": tuple(asked["subscriptions"])})


def read_pdf_asked(question: str) -> PdfAsked:
    """What `ask_for_pdf` left."""
    return PdfAsked(**json.loads(question))
