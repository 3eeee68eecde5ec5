"""The documentation inside the pages: every page opens, every link leads on, and every finding has its section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sync_service.access.users import Role
from sync_service.operations.check.everything import check_everything
from sync_service.queue.status.findings import Finding, Severity
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.admin.manual import anchors_of, section_of
from tests.integration.web.admin import make_run, put_failure, put_rows, visit

ASKED = ("credentials", "tenant", "permission: account", "calls to zuora", "callouts in zuora", "zuora's clock")
_HREF = re.compile(r'href="(/admin/manual[^"]*)"')


def test_every_page_opens_and_every_link_between_pages_leads_to_a_section(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    todo, pages = ["/admin/manual"], dict[str, str]()
    links = set[str]()
    while todo:
        path = todo.pop()
        answer = visitor.client.get(path)
        assert answer.status_code == 200, path
        pages[path] = answer.text
        assert answer.text.count("<h1") == 1, path
        found = {each.replace("&amp;", "&") for each in _HREF.findall(answer.text)}
        links |= found
        todo += {each.partition("#")[0] for each in found} - pages.keys() - set(todo)

    assert len(pages) > len(list(Path("docs").glob("*.md")))
    broken = [
        each for each in links if "#" in each and f'id="{each.partition("#")[2]}"' not in pages[each.partition("#")[0]]
    ]
    assert broken == []


@pytest.mark.parametrize(
    "name", ["../settings/__init__.py", "%2e%2e/%2e%2e/setup.cfg", "nothing.md", "screenshots/x.png"]
)
def test_nothing_but_the_documentation_is_given_out(sqlite_database: Database, name: str) -> None:
    assert visit(sqlite_database, Role.VIEWER).get(f"/manual/{name}").status_code == 404


def test_every_finding_leads_to_a_section_that_the_runbook_has(sqlite_database: Database) -> None:
    put_failure(sqlite_database, "A-S1")
    put_rows(sqlite_database, make_run("A-S2", "held"))
    visitor = visit(sqlite_database, Role.VIEWER)
    told = list(check_everything(sqlite_database, Settings(), None))
    told += [Finding(name, Severity.OK, "") for name in (*ASKED, "time zone", "files", "job sweep delta", "last check")]
    anchors = anchors_of("runbook.md")
    with visitor.client.application.test_request_context("/admin/"):
        sections = {each.name: section_of(each) for each in told}

    assert {name for name, section in sections.items() if (section or "").partition("#")[2] not in anchors} == set()
    shown = visitor.get("/settings").text
    assert shown.count(">Runbook<") == len(re.findall(r'<td class="nowrap" data-label="Result">', shown))
