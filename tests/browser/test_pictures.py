"""The pictures of the documentation: `make screenshots` takes them anew; nothing is tried here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sync_service.cli.demo_setup import DemoSetup
from tests.browser.conftest import Visitor
from tests.browser.portal_stage import open_portal_stage
from zuora_emulator.control import control

FOLDER = os.environ.get("SCREENSHOTS", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="pictures are taken by make screenshots")
_ONE = "/subscriptions/D6S1F5RA3H8N"
#: Pages by the name of their picture.
_DESKTOP = {"overview": "", "subscriptions": "/subscriptions", "subscription": _ONE, "inbox": "/inbox"}
_DARK = {"overview-dark": "", "subscription-dark": _ONE}
_PHONE = {"overview-phone": "", "subscriptions-phone": "/subscriptions", "subscription-phone": _ONE}


#: The portal's.
_PORTAL = {
    "subscription": "/subscriptions/sub-1",
    "locked": "/subscriptions/sub-4",
    "new": "/new",
    "invoices": "/invoices",
}


@pytest.mark.timeout(400)
def test_pictures_of_the_main_pages(visit: Callable[..., Visitor], stage: DemoSetup) -> None:
    operator = visit()
    operator.log_in()
    _let_something_happen(operator, stage)
    _take(operator, "sync", 640)
    for name, path in _DESKTOP.items():
        operator.open(path)
        _take(operator, name)
    for looks, pages in ((visit(dark=True), _DARK), (visit(390, 844, dark=True), _PHONE)):
        looks.log_in()
        for name, path in pages.items():
            looks.open(path)
            _take(looks, name)
    operator.complaints[:] = [said for said in operator.complaints if "404" not in said]  # the page of an unknown key


def _let_something_happen(operator: Visitor, stage: DemoSetup) -> None:
    """Some syncs by callouts, one that fails, and last of all one by the button, which is left on the page."""
    page = operator.page
    for key in ("4F7K2M9QH0B1", "A1M8S4GU7F3D"):
        operator.open(f"/subscriptions/{key}")
        page.get_by_role("button", name="Sync", exact=True).click()
        operator.sync_done()
    operator.open("/subscriptions/A-S99999999")
    page.get_by_role("button", name="Sync", exact=True).click()
    operator.sync_done()
    operator.open(_ONE)
    control(stage.zuora, "callouts", url="-")
    control(stage.zuora, "renew", key="D6S1F5RA3H8N")
    page.get_by_role("button", name="Sync", exact=True).click()
    assert "written to Limio" in operator.sync_done()


def _take(visitor: Visitor, name: str, height: int | None = None) -> None:
    size = visitor.page.viewport_size or {"width": 1280, "height": 820}
    top = {"x": 0, "y": 0, "width": size["width"], "height": min(height or size["height"], size["height"])}
    visitor.page.screenshot(path=str(Path(FOLDER) / f"{name}.png"), clip=top)


@pytest.mark.timeout(400)
def test_pictures_of_the_portal(windows: Callable[..., Visitor], tmp_path: Path) -> None:
    with open_portal_stage(tmp_path) as portal:
        desktop, phone = windows(portal.home), windows(portal.home, 390, 844, dark=True)
        desktop.page.goto(f"{portal.home}/partner/login")
        _take(desktop, "portal-login")
        portal.log_in(desktop.page)
        _take(desktop, "portal-customers")
        for name, path in _PORTAL.items():
            desktop.page.goto(f"{portal.home}/partner{path}")
            _take(desktop, f"portal-{name}")
        portal.log_in(phone.page)
        phone.page.goto(f"{portal.home}/partner/subscriptions/sub-1")
        _take(phone, "portal-subscription-phone")
        for looks, name in ((desktop, "portal-basket"), (phone, "portal-basket-phone")):
            page = looks.page
            page.goto(f"{portal.home}/partner/subscriptions/sub-1")
            page.get_by_role("button", name="Change plan or add-ons").click()
            page.get_by_role("radio", name="Business").check()
            _take(looks, name.replace("basket", "change"))
            page.get_by_role("button", name="Show what it costs").click()
            page.get_by_role("heading", name="Your order").wait_for()
            _take(looks, name)
