"""A support agent and an operator at work, as they see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from sync_service.cli.demo_setup import DemoSetup
from tests.browser.conftest import VIEWER, Visitor
from zuora_emulator.control import control

PAGES = (
    "",
    "/subscriptions",
    "/history",
    "/inbox",
    "/inbox/failed",
    "/jobs",
    "/orders",
    "/partners",
    "/webhooks",
    "/clients",
    "/users",
    "/account",
    "/account/notifications",
    "/settings",
    "/manual",
    "/manual/runbook.md",
)
#: A page asks for news after so long, by its own clock.
_FRESH_MS = 5_000
Visit = Callable[..., Visitor]


def test_an_operator_finds_a_subscription_by_keyboard_and_syncs_it(visit: Visit, stage: DemoSetup) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions")

    page.keyboard.press("/")
    page.keyboard.type("alan@")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Alan Turing").wait_for()  # the only hit opens at once
    assert "alan" not in page.url
    page.get_by_role("heading", level=3).get_by_role("link").click()
    control(stage.zuora, "callouts", url="-")  # nothing but the button tells of it
    control(stage.zuora, "renew", key="D6S1F5RA3H8N")
    page.get_by_role("button", name="Sync").click()

    assert re.fullmatch(r"\d+ changes were written to Limio\.", visitor.sync_done())
    changed = page.locator("#progress .diff").inner_text()
    # The term ends a year later: the day depends on today.
    days = re.findall(r"\d{1,2} [A-Z][a-z]{2} \d{4}", changed.partition("Term end")[2])[:2]
    ended, ends = (datetime.strptime(day, "%d %b %Y").replace(tzinfo=UTC) for day in days)
    assert ends == ended.replace(year=ended.year + 1)
    page.get_by_role("button", name="Sync").click()
    page.get_by_text("Already up to date: Zuora and Limio agree").wait_for()


def test_each_step_of_a_sync_is_shown_while_it_goes(visit: Visit, stage: DemoSetup) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions/4F7K2M9QH0B1")
    control(stage.zuora, "fault", kind="latency", path="4F7K2M9QH0B1", seconds=1.5, count=1)

    page.get_by_role("button", name="Sync", exact=True).click()

    steps = page.locator("#progress .steps")
    steps.locator("[aria-current=step]", has_text="Reading Zuora").wait_for()
    assert steps.locator(".past").all_inner_texts() == ["Waiting for a worker"]
    visitor.sync_done()
    done = ["Waiting for a worker", "Reading Zuora", "Comparing", "Done"]
    assert steps.locator(".past").all_inner_texts() == done


def test_a_preview_shows_what_a_sync_would_change_and_writes_nothing(visit: Visit, stage: DemoSetup) -> None:
    visitor = visit()
    visitor.log_in(VIEWER)
    page = visitor.page
    visitor.open("/subscriptions/A1M8S4GU7F3D")
    control(stage.zuora, "callouts", url="-")
    control(stage.zuora, "renew", key="A1M8S4GU7F3D")

    page.get_by_role("button", name="Preview").click()

    page.locator("#preview:not([data-progress])").wait_for()
    assert "Nothing was written." in page.locator("#preview .progress-text").inner_text()
    assert "Term end" in page.locator("#preview .diff").inner_text()
    assert page.locator("#preview .sign").count() > 1
    visitor.open("/history?outcome=changed")
    assert page.get_by_role("link", name="A1M8S4GU7F3D").count() == 0


def test_an_operator_looks_what_a_list_would_change_and_backfills_it(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    visitor.open("/jobs")
    page.get_by_label("Keys").fill("4F7K2M9QH0B1\nUNKNOWN")
    assert page.locator("input[value=list]").is_checked()

    page.get_by_role("button", name="Dry run first").click()
    page.get_by_text("2 looked at: 1 would be imported, 1 cannot be told. Nothing was written.").or_(
        page.get_by_text("2 looked at: 1 cannot be told. Nothing was written.")
    ).wait_for(timeout=60_000)
    page.get_by_role("button", name="Start this backfill").click()

    page.get_by_text("Done, with failures").wait_for(timeout=60_000)
    assert re.search(r"2 of 2 done, \d changed, 1 failed\.", page.locator("main").inner_text())
    assert page.get_by_role("link", name=re.compile("^What it changed ?: Backfill list")).count() == 1
    failed = page.get_by_role("region", name=re.compile("^Failed of Backfill"))
    assert failed.get_by_role("link").all_inner_texts() == ["UNKNOWN"]


def test_all_of_a_customers_are_synced_from_the_customers_page(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions/B5J3T8HC6K2L")
    page.get_by_label("Where you are").get_by_role("link", name="Konrad Zuse").click()

    page.get_by_role("button", name="Sync").click()

    assert re.fullmatch(r"(All \d+ done|Done): .*(changed|up to date)\.", visitor.sync_done())


def test_the_list_is_sorted_by_pressing_its_headings(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions")
    numbers = page.locator("tbody th a")

    page.get_by_role("link", name="Number").click()
    rising = numbers.all_inner_texts()
    page.get_by_role("link", name="Number").press("Enter")
    page.locator("th[aria-sort=descending]").wait_for()

    assert rising == sorted(rising)
    assert numbers.all_inner_texts() == rising[::-1]


def test_without_scripts_the_page_reloads_until_the_sync_is_done(visit: Visit) -> None:
    visitor = visit(script=False)
    visitor.log_in()
    visitor.open("/subscriptions/A1M8S4GU7F3D")

    visitor.page.get_by_role("button", name="Sync").click()

    assert visitor.sync_done()


def test_a_failed_sync_says_what_is_wrong_and_is_found_among_the_failed(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions")
    page.get_by_role("searchbox", name="Search", exact=True).fill("A-S99999999")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Ask Zuora for A-S99999999").click()

    assert "Neither Limio nor Zuora knows this key" in visitor.sync_done()
    page.get_by_text("Check the key").first.wait_for()
    visitor.open("/inbox")
    group = page.get_by_role("region", name="Neither Limio nor Zuora knows the key")
    group.get_by_label("Choose A-S99999999").check()
    group.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_text("1 request is queued for another try.").wait_for()
    visitor.complaints[:] = [said for said in visitor.complaints if "404" not in said]  # the page of an unknown key


def test_a_viewer_finds_no_button_that_changes(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in(VIEWER)

    for path, harmless in (
        ("/subscriptions/A1M8S4GU7F3D", ["Preview", "Compare two moments", "Show"]),
        ("/inbox", []),
        ("/clients", []),
        ("/jobs", []),
    ):
        visitor.open(path)
        around = ["Log out", "Search", "UTC", "Tenant", "Mine"]
        shown = [name for name in visitor.page.get_by_role("button").all_inner_texts() if name != "Copy"]
        assert shown == [*around, *harmless]


def test_an_ended_session_leads_to_the_login_and_back(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    visitor.context.clear_cookies(name="sync_admin")

    visitor.open("/history?outcome=changed")

    visitor.page.get_by_role("heading", name="Subscription sync").wait_for()
    assert visitor.page.locator("input[name=next]").input_value() == "/admin/history?outcome=changed"


def test_times_are_ages_that_grow_and_in_the_zone_that_was_chosen(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    visitor.open("/history?show=people")
    time = visitor.page.locator("main time").first
    assert re.fullmatch(r"\d+ (s|min|h) ago", time.inner_text())
    assert re.fullmatch(r"\d\d \w+ \d{4}, \d\d:\d\d:\d\d UTC", time.get_attribute("title") or "")
    before = time.inner_text()
    visitor.page.wait_for_function("before => document.querySelector('main time').textContent !== before", arg=before)

    visitor.page.get_by_role("button", name="Mine").click()  # New York

    assert visitor.page.url.endswith("/history?show=people")
    assert re.search(r" E[DS]T$", visitor.page.locator("main time").first.get_attribute("title") or "")
    assert visitor.page.get_by_role("button", name="Mine").get_attribute("aria-pressed") == "true"


def test_the_lights_the_counts_and_the_connection_are_kept_fresh(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    page.clock.install()
    visitor.open("/settings")
    page.evaluate("document.querySelector('#lights .age').textContent = 'stale'")
    page.clock.fast_forward(_FRESH_MS)
    page.get_by_text("stale").wait_for(state="detached")
    assert page.locator("nav [aria-current]").inner_text() == "Settings"

    visitor.context.set_offline(True)
    for _ in range(2):  # one failure alone is no lost connection
        with page.expect_event("requestfailed"):
            page.clock.fast_forward(_FRESH_MS)
    page.locator("#lost").get_by_text("The connection is lost").wait_for()
    visitor.context.set_offline(False)
    page.clock.fast_forward(_FRESH_MS)
    page.locator("#lost").wait_for(state="hidden")

    visitor.context.clear_cookies(name="sync_admin")
    page.clock.fast_forward(_FRESH_MS)
    page.locator("#lost").get_by_role("link", name="Log in").wait_for()
    visitor.complaints[:] = [said for said in visitor.complaints if not re.search("INTERNET_DISCONNECTED|401", said)]


def test_the_search_box_is_reached_by_keys_and_opens_what_it_finds(visit: Visit) -> None:
    visitor = visit()
    visitor.log_in()
    page = visitor.page
    for keys in ("/", "Control+k"):
        visitor.open("/settings")
        page.keyboard.press(keys)
        page.keyboard.type("turing")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Alan Turing").wait_for()
        assert "turing" not in page.url


def test_an_id_is_copied_whole_though_it_is_shown_short(visit: Visit) -> None:
    visitor = visit()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.log_in()
    page = visitor.page
    visitor.open("/subscriptions/D6S1F5RA3H8N")
    page.get_by_text("Ids", exact=True).click()

    page.locator("[data-copy^='sub-']:visible").first.click()

    page.get_by_role("button", name=re.compile("^Copy sub-")).get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"sub-[0-9a-f]{32}", copied)
    assert copied not in page.locator("main").inner_text()


def test_every_page_fits_its_window_and_has_its_landmarks(visit: Visit, in_every_look: bool) -> None:
    visitor = visit()
    visitor.log_in()
    for turn, path in enumerate((*PAGES, "/subscriptions/D6S1F5RA3H8N")):
        visitor.open(path)
        for width in visitor.looks(320, 390, 1280, turn=None if in_every_look else turn):
            assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert visitor.page.evaluate(_PROBLEMS) == [], path


#: What WCAG asks of every page and a script can see: one main and heading, named controls, contrast of plain texts.
_PROBLEMS = """() => {
  const found = [];
  if (document.querySelectorAll('main').length !== 1) found.push('main');
  if (document.querySelectorAll('h1').length !== 1) found.push('h1');
  if (!document.documentElement.lang || !document.title) found.push('lang or title');
  for (const field of document.querySelectorAll('input:not([type=hidden]), select'))
    if (!field.labels.length || !field.labels[0].textContent.trim()) found.push('unlabelled ' + field.name);
  for (const each of document.querySelectorAll('button, a'))
    if (!(each.textContent.trim() || each.getAttribute('aria-label'))) found.push('unnamed ' + each.outerHTML);
  for (const table of document.querySelectorAll('table'))
    if (!table.querySelector('thead th[scope=col]')) found.push('table without headers');
  const ids = [...document.querySelectorAll('[id]')].map((each) => each.id);
  if (new Set(ids).size !== ids.length) found.push('an id twice');
  const numbers = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  for (const each of document.querySelectorAll('main *, header *')) {
    if (each.closest('svg') || ![...each.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    let back = each, colour = [0, 0, 0, 0];
    while (back && (colour.length === 4 && colour[3] === 0)) {
      colour = numbers(getComputedStyle(back).backgroundColor); back = back.parentElement;
    }
    const pair = [light(numbers(getComputedStyle(each).color)), light(colour)].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) found.push('contrast ' + ratio.toFixed(1) + ' ' + each.outerHTML.slice(0, 80));
  }
  return found;
}"""
