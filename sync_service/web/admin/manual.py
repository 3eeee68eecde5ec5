"""The documentation inside the pages, so that it is at hand where it is needed: the files of docs/, as HTML.

They come with the package (`sync_service/web/docs` leads to docs/), so no other host is asked for anything.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, render_template, url_for
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from sync_service.queue.status.findings import Finding

_FOLDER = Path(__file__).parent.parent / "docs"
_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?\.md")
_RUNBOOK = "runbook.md"
#: The section of the runbook about a finding, by the finding's name or how that begins.
_SECTIONS = {
    "worker": "syncservicenoworker",
    "scheduler": "syncservicenoscheduler",
    "zuora's clock": "clocks-and-time-zones",
    "zuora": "syncservicezuorapaused",
    "budget": "syncservicecallbudget",
    "queue": "syncservicerequestswait",
    "failed syncs": "syncservicerequestsfailed",
    "held plans": "syncserviceplansheld",
    "store": "nothing-is-loaded",
    "callouts arriving": "callouts-do-not-arrive",
    "callouts in zuora": "callouts-do-not-arrive",
    "callout credentials": "callouts-do-not-arrive",
    "callout secrets": "callouts-do-not-arrive",
    "callout": "callouts-do-not-arrive",
    "rejected callouts": "syncservicecalloutsrejected",
    "broken keys": "syncservicecalloutsbroken",
    "job ": "a-job-is-late-or-fails",
    "sweeps": "a-job-is-late-or-fails",
    "last check": "a-job-is-late-or-fails",
    "outbox": "webhooks-are-not-delivered",
    "webhooks": "webhooks-are-not-delivered",
    "orders": "orders",
    "sign": "locked-out-of-the-admin-pages",
    "single sign-on": "locked-out-of-the-admin-pages",
    "clock": "clocks-and-time-zones",
    "time zone": "clocks-and-time-zones",
    "credentials": "zuora-refuses-us",
    "tenant": "zuora-refuses-us",
    "permission": "zuora-refuses-us",
    "calls to zuora": "zuora-refuses-us",
    "database": "the-database-and-its-files",
    "migrations": "the-database-and-its-files",
    "files": "the-database-and-its-files",
    "secret key": "the-database-and-its-files",
}


def attach(blueprint: Blueprint) -> None:
    """The addresses under /admin/manual."""

    @blueprint.get("/manual")
    def manual() -> str:
        return render_template("admin/manual.html", pages=_list_pages(), title="Documentation")

    @blueprint.get("/manual/<path:name>")
    def manual_page(name: str) -> str:
        if not _NAME.fullmatch(name) or not (_FOLDER / name).is_file():
            raise NotFound("There is no such page in the documentation.")
        title, text = _render(name)
        return render_template("admin/manual.html", title=title, text=text, here="admin.manual")


def section_of(finding: Finding) -> str | None:
    """The address of the runbook's section about a finding; None where it has none."""
    anchor = next((anchor for begin, anchor in _SECTIONS.items() if finding.name.startswith(begin)), None)
    return url_for("admin.manual_page", name=_RUNBOOK, _anchor=anchor) if anchor else None


def anchors_of(name: str) -> set[str]:
    """The anchors of a page's sections."""
    tokens = MarkdownIt("commonmark").parse((_FOLDER / name).read_text("utf-8"))
    return {_slug(text) for text in _headings(tokens)}


@cache
def _list_pages() -> tuple[tuple[str, str], ...]:
    """Name and title of each page that stands by itself."""
    return tuple((path.name, _title(path)) for path in sorted(_FOLDER.glob("*.md")))


def _title(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].removeprefix("# ")


@cache
def _render(name: str) -> tuple[str, Markup]:
    """The title and the text of a page: sections with anchors, links between pages, no pictures, no HTML of its own."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule(
        "table_open", lambda *_: '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>'
    )
    markdown.add_render_rule("table_close", lambda *_: "</table></div>")
    markdown.add_render_rule("th_open", lambda *_: '<th scope="col">')
    markdown.add_render_rule("image", lambda *_: "")
    tokens = markdown.parse((_FOLDER / name).read_text("utf-8"))
    for opened, inside in pairwise(tokens):
        if opened.type == "heading_open":
            opened.attrSet("id", _slug(inside.content))
        for each in inside.children or ():
            if each.type == "link_open":
                each.attrSet("href", _lead(name, str(each.attrGet("href") or "")))
    html: Any = markdown.renderer.render(tokens, markdown.options, {})
    return _title(_FOLDER / name), Markup(html)  # noqa: S704 - our own files, and HTML in them is shown as text


def _lead(name: str, href: str) -> str:
    """Where a link of the page `name` leads from the admin pages."""
    parts = urlsplit(href)
    if parts.scheme or not parts.path:
        return href
    page = posixpath.normpath(posixpath.join(posixpath.dirname(name), parts.path))
    if not _NAME.fullmatch(page):
        return url_for("admin.manual")
    return url_for("admin.manual_page", name=page, _anchor=parts.fragment or None)


def _headings(tokens: Sequence[Token]) -> Iterator[str]:
    for opened, inside in pairwise(tokens):
        if opened.type == "heading_open":
            yield inside.content


def _slug(heading: str) -> str:
    """The anchor of a heading, as the hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
