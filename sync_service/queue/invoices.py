"""Questions about invoices, which pages leave for the workers: whose account, which subscription, which page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sync_service.queue import previews as asks
from sync_service.store.engine import Session


@dataclass(frozen=True, kw_only=True)
class InvoicesAsked:
    """Invoices of one Zuora account (id or number); the caller has made sure that the asker may see them."""

    account: str
    #: Only those with a line of this subscription, all at once.
    subscription: str | None = None
    #: Zuora's, from the page before.
    cursor: str | None = None
    size: int = 40


@dataclass(frozen=True, kw_only=True)
class PdfAsked:
    """The PDF of an invoice, if it is that account's."""

    account: str
    invoice: str


def ask_for_invoices(session: Session, asked: InvoicesAsked, actor: str) -> int:
    """Leave the question; returns its id. Raises TooManyAsked."""
    return asks.leave(session, asks.INVOICES, asked.account, actor, question=json.dumps(asdict(asked)))


def ask_for_pdf(session: Session, asked: PdfAsked, actor: str) -> int:
    """Leave the question; returns its id. Raises TooManyAsked."""
    return asks.leave(session, asks.INVOICE_PDF, asked.invoice, actor, question=json.dumps(asdict(asked)))


def read_invoices_asked(question: str) -> InvoicesAsked:
    """What `ask_for_invoices` left."""
    return InvoicesAsked(**json.loads(question))


def read_pdf_asked(question: str) -> PdfAsked:
    """What `ask_for_pdf` left."""
    return PdfAsked(**json.loads(question))
