"""The pages of subscriptions: the list with its export, and one subscription with its Sync button."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound, UnprocessableEntity
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.fate import Ticket, place
from sync_service.queue.requests import Cause, Kind, Priority, enqueue
from sync_service.queue.stream.page import whose
from sync_service.store.audit import record_action
from sync_service.subscription.keys import normalise_key, why_impossible
from sync_service.subscription.trigger import Trigger
from sync_service.web.admin.context import AdminPages, chosen
from sync_service.web.admin.detail import read_detail
from sync_service.web.admin.filters import read_shown
from sync_service.web.admin.finding import (
    LATELY_DAYS,
    MATTERS,
    MAX_CORRECTIONS,
    STATUSES,
    FoundSubscription,
    SubscriptionFilter,
    find_all,
    find_exact,
    find_page,
)
from sync_service.web.admin.guard import who
from sync_service.web.admin.progress import read_preview, read_progress
from sync_service.web.admin.sorting import NEWEST, read_turn
from sync_service.web.admin.spreadsheet import iso, send
from sync_service.web.answers import answer
from sync_service.web.page_parts import get, post, see_other, whole

_COLUMNS = (
    *("limio_id", "reference", "zuora_number", "status", "customer", "email"),
    *("term_start", "term_end", "auto_renew", "external", "sync", "checked_at"),
)


class SubscriptionPages(AdminPages):
    """The addresses under /admin/subscriptions."""

    @get("/subscriptions")
    def subscriptions(self) -> str:
        """The list."""
        question = self._question()
        with self._database.reading() as session:
            page = find_page(session, question, request.args.get("after"), before=request.args.get("before"))
        sort = question.sort.word
        kept = {"q": request.args.get("q"), "status": question.status, "matter": question.matter}
        kept = {name: value for name, value in {**kept, "sort": "" if sort == NEWEST.word else sort}.items() if value}
        return render_template(
            "admin/subscriptions.html",
            page=page,
            question=question,
            kept=kept,
            statuses=STATUSES,
            matters=MATTERS,
            lately=LATELY_DAYS,
            corrections=MAX_CORRECTIONS,
        )

    @post("/subscriptions", for_all=True)
    def search(self) -> AnyResponse:
        """The search form: straight to the one that a key names, else to a list whose address tells nothing."""
        text = request.form.get("text", "").strip()
        kept: dict[str, Any] = {name: request.form.get(name) or None for name in ("status", "matter", "sort")}
        if not text:
            return see_other("admin.subscriptions", **kept)
        with self._database.reading() as session:
            found = find_exact(session, text)
        if found is not None and not (kept["status"] or kept["matter"]):
            return see_other("admin.subscription", key=found)
        return see_other("admin.subscriptions", q=self._context.cipher.encrypt(text), **kept)

    @get("/subscriptions.csv")
    def export(self) -> AnyResponse:
        """The list as it is filtered, whole, as CSV."""
        question = self._question()
        self.record("export", "subscriptions")
        rows = (_values(found) for found in find_all(self._database, question))
        return send("subscriptions.csv", _COLUMNS, rows)

    @get("/subscriptions/<key>")
    def subscription(self, key: str) -> str | tuple[str, int]:
        """One of them, or what is known of a key that the store does not have."""
        key = normalise_key(key)
        if why_impossible(key):
            raise NotFound("That is no key of a subscription.")
        with self._database.reading() as session:
            all_payments = request.args.get("schedule") == "all"
            detail = read_detail(session, key, self._context.today(session), whole=all_payments)
            kind, _, asked = request.args.get("asked", "").partition(".")
            progress = None
            if kind in (Kind.SUBSCRIPTION, Kind.ALIAS) and (seq := whole(asked)) is not None:
                named = normalise_key(request.args.get("of") or detail.number)
                progress = read_progress(session, self._context.share, Ticket(Kind(kind), named, seq))
            preview = None
            if (ask_id := whole(request.args.get("preview", ""))) is not None:
                preview = read_preview(session, self._context.share, ask_id, detail.number, detail.key, key)
            stream = read_shown(self._context, session, whose=whose(session, [detail.number]))
            addresses = detail.documents
        page = render_template(
            "admin/subscription.html",
            detail=detail,
            progress=progress,
            preview=preview,
            zuora=self._context.zuora,
            stream=stream,
            addresses=addresses,
        )
        return (page, 404) if detail.is_unknown and progress is None and preview is None else page

    @post("/subscriptions/<key>/sync")
    def sync(self, key: str) -> AnyResponse:
        """Queue it as a person's wish, and show how it goes."""
        key = normalise_key(key)
        problem = why_impossible(key)
        if problem:
            raise UnprocessableEntity(problem)
        with self._database.transaction(lock_timeout_ms=5000) as session:
            kind, named = place(session, key)
            cause = Cause(Trigger.ADMIN, actor=who().email)
            seq = enqueue(session, kind, named, cause, priority=Priority.PERSON, full=True)
            record_action(session, who().email, "sync", named)
        address = url_for("admin.subscription", key=key, asked=f"{kind.value}.{seq}", of=named)
        return redirect(f"{address}#progress", 303)

    @get("/progress/<any(subscription,alias):kind>/<int:seq>/<key>")
    def progress(self, kind: str, seq: int, key: str) -> Response:
        """For the page's script."""
        with self._database.reading() as session:
            ticket = Ticket(Kind(kind), normalise_key(key), min(seq, 2**62))
            found = read_progress(session, self._context.share, ticket)
        if found is None:
            raise NotFound("There is no such request.")
        return answer(200, {"step": found.step, "text": found.text, "done": found.is_done})

    def _question(self) -> SubscriptionFilter:
        sealed = request.args.get("q", "")
        with self._database.reading() as session:
            today = self._context.today(session)
        return SubscriptionFilter(
            text=self._context.cipher.decrypt(sealed) if sealed else "",
            status=chosen("status", STATUSES),
            matter=chosen("matter", tuple(MATTERS)),
            sort=read_turn(request.args.get("sort", "")),
            today=today,
        )


def progress_address(ticket: Ticket) -> str:
    """Where the script asks how a request goes."""
    return url_for("admin.progress", kind=ticket.kind.value, seq=ticket.seq, key=ticket.key)


def _values(found: FoundSubscription) -> tuple[object, ...]:
    row, customer = found.subscription, found.customer
    return (
        row.id,
        row.reference,
        found.number,
        row.status,
        customer.name if customer else None,
        customer.email if customer else None,
        row.term_start,
        row.term_end,
        row.auto_renew,
        row.external,
        found.state,
        iso(found.request.checked_at if found.request else None),
    )
