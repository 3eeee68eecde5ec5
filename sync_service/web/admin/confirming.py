"""The page between a button and what cannot be taken back, or concerns many: it says what will happen and asks."""

from __future__ import annotations

from flask import render_template, request

_ANSWERED = "confirmed"


def ask_first(question: str, text: str, button: str, *, back: str) -> str | None:
    """The page that asks, with the form that was sent kept in it; None where the person has said yes.

    `button` says what pressing it does; `back` is the address of the page to return to.
    """
    if request.form.get(_ANSWERED):
        return None
    fields = [(name, value) for name, value in request.form.items(multi=True) if name != "form_token"]
    return render_template(
        "admin/confirm.html", question=question, text=text, button=button, back=back, fields=fields, answer=_ANSWERED
    )
