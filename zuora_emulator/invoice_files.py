"""The PDF of an invoice: one page of text, as small as a PDF can be."""

from __future__ import annotations

from zuora_emulator.ledger import Document
from zuora_emulator.records import Account


def pdf_of(invoice: Document, account: Account) -> bytes:
    """The invoice on one page; what its font cannot write is left out."""
    said = [f"Invoice {invoice.number}", account.name, f"{invoice.day}", ""]
    said += [f"{line.name}  {line.amount + line.tax} {invoice.currency}" for line in invoice.lines]
    said += ["", f"Total  {invoice.amount} {invoice.currency}", f"Balance  {invoice.balance} {invoice.currency}"]
    text = "".join(f"({_escaped(line)}) Tj T* " for line in said)
    page = f"BT /F1 11 Tf 14 TL 56 780 Td {text}ET".encode("latin-1", "ignore")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    return _file(objects)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _file(objects: list[bytes]) -> bytes:
    """The objects with the table that says where each begins."""
    body, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + head + tail
