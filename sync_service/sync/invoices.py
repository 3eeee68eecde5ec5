"""What a worker finds about invoices for people who asked: a list, or a PDF."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sync_service.queue.invoices import read_invoices_asked, read_pdf_asked
from sync_service.zuora.client import Reading
from sync_service.zuora.invoices import fetch_invoices, fetch_invoices_of, fetch_pdf


def find_invoices(question: str, reading: Reading) -> Mapping[str, Any]:
    """The page that is asked for: `invoices`, and `cursor` where there are more. Raises as the reading does."""
    asked = read_invoices_asked(question)
    if asked.subscription is not None:
        page = fetch_invoices_of(reading, asked.account, asked.subscription)
    else:
        page = fetch_invoices(reading, asked.account, cursor=asked.cursor, size=asked.size)
    return {"invoices": list(page.invoices), "cursor": page.cursor}


def find_pdf(question: str, reading: Reading) -> Mapping[str, Any]:
    """The PDF as base64 under `pdf`. Raises NotFoundInZuora for another account's as for none."""
    asked = read_pdf_asked(question)
    return {"pdf": base64.b64encode(fetch_pdf(reading, asked.account, asked.invoice)).decode()}
