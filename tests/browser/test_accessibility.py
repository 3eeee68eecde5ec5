"""The pages for everybody: what axe-core finds, the keyboard alone, and hostile values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from tests.browser.axe import find_violations
from tests.browser.conftest import EMAIL, PASSWORD, Visitor
from tests.browser.hostile import TEXTS, serve_hostile
from tests.browser.test_admin_pages import PAGES

Windows = Callable[..., Visitor]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The service on a hostile store, and the pages that show it."""
    with serve_hostile(tmp_path_factory.mktemp("hostile"), EMAIL, PASSWORD) as served:
        yield served


@pytest.fixture
def home(hostile: tuple[str, list[str]]) -> str:
    return hostile[0]


@pytest.mark.timeout(600)
def test_axe_finds_nothing_on_any_page(windows: Windows, home: str, in_every_look: bool) -> None:
    visitor = windows(home)
    page, found = visitor.page, []
    pages = ("/login", *PAGES, "/subscriptions/sub-html", "/customers/cus-html", "/history/run/1", "/nowhere")
    for turn, path in enumerate(pages):
        if path == PAGES[0]:
            visitor.log_in()
        visitor.open(path)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        for look, width in enumerate(visitor.looks(1280, 390, turn=None if in_every_look else turn)):
            found += [f"{path} at {width}: {line}" for line in find_violations(page, again=look > 0)]
            if path.endswith(".md"):
                break  # long, and in each look as the other pages are
    visitor.complaints[:] = [said for said in visitor.complaints if "404" not in said]  # nowhere
    assert not found, "\n".join(found)


def test_the_menu_of_a_phone_opens_and_closes_by_keys_and_axe_finds_nothing_in_it(windows: Windows, home: str) -> None:
    visitor = windows(home, 390, 820)
    visitor.log_in()
    page = visitor.page
    menu, button = page.get_by_role("navigation", name="Pages"), page.locator("button.menu")
    for closing in ("Escape", "Enter"):
        button.press("Enter")
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Close the menu"
        for look, _ in enumerate(visitor.looks(390)):
            assert find_violations(page, again=look > 0 or closing == "Enter") == []
        page.keyboard.press(closing)
        menu.wait_for(state="hidden")
        assert page.locator(":focus").get_attribute("class") == "menu"


@pytest.mark.timeout(300)
def test_hostile_values_stay_text_and_break_no_page(windows: Windows, hostile: tuple[str, list[str]]) -> None:
    home, paths = hostile
    visitor = windows(home)
    visitor.page.on("dialog", lambda dialog: visitor.complaints.append(dialog.message))
    visitor.log_in()
    wide = []
    for path in (*PAGES, *paths):
        visitor.open(path)
        visitor.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert visitor.page.locator("h1").count() == 1, path
        assert visitor.page.locator("main img, main script, main svg[onload]").count() == 0, path
        for width in (390, 1280):
            visitor.page.set_viewport_size({"width": width, "height": 820})
            if visitor.page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((path, width))
    assert not wide, wide


def test_hostile_values_are_shown_as_they_are(windows: Windows, home: str) -> None:
    visitor = windows(home)
    visitor.log_in()
    visitor.open("/customers/cus-html")
    assert visitor.page.locator("h1").inner_text() == TEXTS["html"]
    visitor.open("/customers/cus-right-to-left")
    assert visitor.page.locator("h1 bdi").inner_text() == TEXTS["right-to-left"]


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(windows: Windows, home: str) -> None:
    visitor = windows(home)
    visitor.log_in()
    page = visitor.page
    for path in (
        "/subscriptions",
        "/inbox",
        "/users",
        "/jobs",
        "/clients",
        "/webhooks",
        "/webhooks/ep-html",
        "/settings",
    ):
        visitor.open(path)
        reachable = page.evaluate(_REACHABLE)
        places: dict[int, bool] = {}
        for _ in range(reachable + _INSIDE):
            page.keyboard.press("Tab")
            index, shows_focus = page.evaluate(_FOCUSED)
            places[index] = shows_focus or places.get(index, False)
            if len(places) == reachable:
                break
        assert list(places) == sorted(places), path
        assert len(places) == reachable, path
        assert all(places.values()), path


@pytest.mark.parametrize("script", [True, False])
def test_the_first_key_leads_past_the_menu_and_a_question_is_answered_by_keys(
    windows: Windows, home: str, script: bool
) -> None:
    visitor = windows(home, script=script)
    visitor.log_in()
    page = visitor.page
    visitor.open("/webhooks/ep-emoji")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")

    for answer, state in (("Go back", "Disable"), ("Disable", "Enable")):
        page.get_by_role("button", name="Disable").focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Disable this endpoint?").wait_for()
        role: Literal["link", "button"] = "link" if answer == "Go back" else "button"
        page.get_by_role(role, name=answer).focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name=state).wait_for()
    page.get_by_role("button", name="Enable").press("Enter")
    page.get_by_role("button", name="Disable").wait_for()


#: Stops of the Tab key inside of one field: a date has several.
_INSIDE = 8
_REACHABLE = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden], [type=radio]:not(:checked)), select, textarea, summary, [tabindex="0"]')]
  .filter((each) => each.checkVisibility() && !each.closest('details:not([open]) > :not(summary)')).length"""
_FOCUSED = """() => {
  const here = document.activeElement, style = getComputedStyle(here);
  const shows = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return [[...document.querySelectorAll('*')].indexOf(here), shows];
}"""
