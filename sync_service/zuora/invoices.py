"""Invoices of an account, as Zuora has them, and their PDFs. Only posted ones; drafts are never shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sync_service.errors import NotFoundInZuora, PayloadInvalid
from sync_service.zuora.envelopes import open_envelope
from sync_service.zuora.reading import Reading

#: Our names of an invoice's fields, and Zuora's ("List invoices" of its Object Query reference).
_FIELDS = {
    "id": "id",
    "number": "invoiceNumber",
    "date": "invoiceDate",
    "dueDate": "dueDate",
    "amount": "amount",
    "balance": "balance",
    "currency": "currency",
    "status": "status",
}
#: Pages of an account's invoices, of 99 each, that are looked through for those of one subscription.
_MAX_PAGES = 10
#: An invoice with many pages has less.
LARGEST_PDF = 5 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class InvoicePage:
    """Some invoices, newest first: `id`, `number`, `date`, `dueDate`, `amount`, `balance`, `currency`, `status`.

    Amounts are text, days are `YYYY-MM-DD`; what Zuora does not say is absent.
    """

    invoices: tuple[dict[str, str], ...]
    cursor: str | None = None


def fetch_invoices(reading: Reading, account_key: str, *, cursor: str | None = None, size: int = 40) -> InvoicePage:
    """A page of what was posted to an account, given by id or number. Raises NotFoundInZuora and TenantErrors."""
    page = reading.query_page(
        "invoices",
        filters=[f"accountid.EQ:{_find_account_id(reading, account_key)}", "status.EQ:Posted"],
        fields=[name.lower() for name in _FIELDS.values()],
        sort="invoicedate.DESC",
        cursor=cursor,
        size=size,
    )
    return InvoicePage(invoices=tuple(_read(row) for row in page.rows), cursor=page.cursor)


def fetch_invoices_of(reading: Reading, account_key: str, numbers: Iterable[str]) -> InvoicePage:
    """The account's invoices that have a line of one of these subscriptions, of its newest thousand."""
    wanted = {
        row.get("invoiceId")
        for number in numbers
        for row in reading.query(
            "invoice-items", filters=[f"subscriptionnumber.EQ:{number}"], fields=["id", "invoiceid"], sort="id.ASC"
        )
    }
    found: list[dict[str, str]] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        page = fetch_invoices(reading, account_key, cursor=cursor, size=99)
        found += [each for each in page.invoices if each["id"] in wanted]
        cursor = page.cursor
        if cursor is None or len(found) >= len(wanted):
            break
    return InvoicePage(invoices=tuple(found))


def fetch_invoice(reading: Reading, key: str) -> dict[str, str]:
    """A posted invoice by its number or id ("Retrieve an invoice"): our names of fields, and `account`, Zuora's id.

    Raises NotFoundInZuora, for a draft too, and TenantErrors.
    """
    row = reading.call("GET", f"/v1/invoices/{quote(key, safe='')}")
    if row.get("status") != "Posted":
        raise NotFoundInZuora
    return {**_read(row), "account": str(row.get("accountId") or "")}


def fetch_pdf(reading: Reading, account_key: str, invoice_id: str) -> bytes:
    """The newest PDF of an invoice, if the invoice is this account's.

    Raises NotFoundInZuora for another account's as for none, and where there is no PDF.
    """
    path = f"/v1/invoices/{quote(invoice_id, safe='')}"
    invoice = reading.call("GET", path)
    if invoice.get("accountId") != _find_account_id(reading, account_key) or invoice.get("status") != "Posted":
        raise NotFoundInZuora
    files = reading.call("GET", f"{path}/files").get("invoiceFiles")
    named = [each for each in files or () if isinstance(each, Mapping) and isinstance(each.get("pdfFileUrl"), str)]
    if not named:
        raise NotFoundInZuora
    newest = max(named, key=lambda each: int(each.get("versionNumber") or 0))
    # Only the id of the file is taken from the address, so that no answer leads our token to another host.
    file_id = newest["pdfFileUrl"].rstrip("/").rpartition("/")[2]
    return reading.fetch_bytes(f"/v1/files/{quote(file_id, safe='')}", _open_pdf)


def _open_pdf(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    if status == 200 and body.startswith(b"%PDF-"):
        if len(body) > LARGEST_PDF:
            raise PayloadInvalid("Zuora's PDF is larger than we pass on.")
        return body
    open_envelope(status, headers, body)
    raise PayloadInvalid("Zuora's file is no PDF.")


def _find_account_id(reading: Reading, account_key: str) -> str:
    if len(account_key) == 32 and account_key.isalnum():
        return account_key
    account_id = reading.fetch_account(account_key).id
    if not account_id:
        raise PayloadInvalid("id is missing in Zuora's account")
    return account_id


def _read(row: Mapping[str, Any]) -> dict[str, str]:
    """Raises PayloadInvalid for an invoice without an id."""
    found = {name: str(row[theirs]) for name, theirs in _FIELDS.items() if row.get(theirs) not in (None, "")}
    if "id" not in found:
        raise PayloadInvalid("id is missing in Zuora's list of invoices")
    return found | {name: found[name][:10] for name in ("date", "dueDate") if name in found}
