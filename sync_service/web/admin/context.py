"""What the admin pages work with, how their lists turn pages, where Zuora shows the same, and asking before an act."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from urllib.parse import quote, urlsplit

from flask import render_template, request

from sync_service.access.cipher import TextCipher
from sync_service.queue.limit import Share
from sync_service.settings import Settings
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.web.admin.guard import Handover, operators_only, who
from sync_service.web.page_parts import Pages, View, whole
from sync_service.web.waiting import Questions

#: The host of the pages by the host of the API (Zuora's page "Zuora data centers").
_APP_HOSTS = {
    "rest.na.zuora.com": "na.zuora.com",
    "rest.sandbox.na.zuora.com": "sandbox.na.zuora.com",
    "rest.zuora.com": "www.zuora.com",
    "rest.apisandbox.zuora.com": "apisandbox.zuora.com",
    "rest.test.zuora.com": "test.zuora.com",
    "rest.pt1.zuora.com": "pt1.zuora.com",
    "rest.eu.zuora.com": "eu.zuora.com",
    "rest.sandbox.eu.zuora.com": "sandbox.eu.zuora.com",
    "rest.test.eu.zuora.com": "test.eu.zuora.com",
    "rest.ap.zuora.com": "ap.zuora.com",
    "rest.test.ap.zuora.com": "test.ap.zuora.com",
    # Before there was `rest.`.
    "api.zuora.com": "www.zuora.com",
    "apisandbox-api.zuora.com": "apisandbox.zuora.com",
}


class ZuoraLinks:
    """Addresses in the pages of the tenant at `base_url`; `app_url` says where those are, where we cannot know."""

    def __init__(self, base_url: str, app_url: str = "") -> None:
        host = _APP_HOSTS.get((urlsplit(base_url).hostname or "").lower())
        self._home = app_url.rstrip("/") or (f"https://{host}" if host else "")

    def subscription(self, zuora_id: str | None) -> str | None:
        """The page of one version of a subscription, which leads to the others."""
        return self._address("Subscription", zuora_id)

    def account(self, account_id: str | None) -> str | None:
        """The page of an account."""
        return self._address("CustomerAccount", account_id)

    def _address(self, page: str, zuora_id: str | None) -> str | None:
        if not (self._home and zuora_id):
            return None
        return f"{self._home}/apps/{page}.do?method=view&id={quote(zuora_id, safe='')}"


#: Rows of a list.
PAGE = 50
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """The store and the settings. There is no way to Zuora from here but by questions."""

    settings: Settings
    database: Database
    cipher: TextCipher
    questions: Questions
    handover: Handover
    #: What the identity provider is called; empty where there is none.
    provider: str

    @property
    def zuora(self) -> ZuoraLinks:
        """Where people find the same objects in Zuora."""
        return ZuoraLinks(self.settings.zuora_base_url, self.settings.zuora_app_url)

    @property
    def share(self) -> Share:
        """How much of the tenant we may use."""
        return Share.of(self.settings)

    def today(self, session: Session) -> date:
        """The tenant's calendar day."""
        return self.settings.day_at(session.now())


class AdminPages(Pages):
    """Views of the admin pages; what a form changes is for operators, unless it says that it is for all."""

    def __init__(self, context: PageContext) -> None:
        self._context, self._database = context, context.database

    def guard(self, view: View) -> View:
        """`view` for operators alone."""
        return operators_only(view)

    def record(self, action: str, target: str) -> None:
        """Note what the person did."""
        with self._database.transaction() as session:
            record_action(session, who().email, action, target)


def before_id() -> int | None:
    """The id that the page at hand begins below; None for the first page."""
    return whole(request.args.get("before", ""))


def one_page(rows: Sequence[Row], limit: int = PAGE) -> tuple[Sequence[Row], bool]:
    """The rows to show of `limit` + 1 that were read, and whether there are more."""
    return rows[:limit], len(rows) > limit


def chosen(name: str, words: Sequence[str]) -> str:
    """The query's `name` where it is one of `words`, else empty."""
    word = request.args.get(name, "")
    return word if word in words else ""


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
