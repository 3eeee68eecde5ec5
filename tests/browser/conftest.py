"""The admin pages in a real browser, in front of the whole service and an emulated Zuora."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from sync_service.access.users import Role, put_user
from sync_service.cli.demo_setup import DemoSetup, set_up_demo

#: The longest that anything may take on a busy machine.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
EMAIL, PASSWORD = "ada.operator@example.com", "correct horse battery"
VIEWER = "vera.viewer@example.com"
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["a look each", "every look"])
def in_every_look(request: pytest.FixtureRequest) -> bool:
    """Whether each page is tried in all looks, or each look on some pages."""
    return bool(request.param)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; `make test` installs Debian's packages if they are missing and it may."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    driver = subprocess.run([sys.executable, "-m", "playwright", "--version"], capture_output=True, check=False)
    if found is None or driver.returncode:
        pytest.skip("THE ADMIN PAGES WERE NOT TRIED IN A BROWSER: chromium or libatomic1 is missing (see Makefile)")
    return found


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSetup]:
    """Everything running, Limio's objects loaded, and two people who may log in; one for all tests."""
    stage = set_up_demo(tmp_path_factory.mktemp("stage") / "s", {})
    try:
        stage.command("load", str(stage.folder / "limio-objects.jsonl"))
        database = stage.database
        for email, role in ((EMAIL, Role.OPERATOR), (VIEWER, Role.VIEWER)):
            put_user(database, email, role, PASSWORD, actor="test")
        database.engine.dispose()
        yield stage
    finally:
        stage.stop()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass
class Visitor:
    """A browser window, and all that it should not have met."""

    page: Page
    context: BrowserContext
    home: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.home + "/admin" + path)

    def looks(self, *widths: int, turn: int | None = None) -> Iterator[int]:
        """The page that is open, in windows of these widths, in the light and in the dark; yields the width.

        With the number of a page, its `turn`, one of these looks: another one on each page.
        """
        looks = [(scheme, width) for scheme in _SCHEMES for width in widths]
        for scheme, width in looks if turn is None else [looks[turn % len(looks)]]:
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.page.set_viewport_size({"width": width, "height": 820})
            yield width

    def log_in(self, email: str = EMAIL) -> None:
        self.open("")
        self.page.get_by_label("Email address").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="Now").wait_for()

    def sync_done(self) -> str:
        """Wait for the end of the sync that was asked for; what the page says then."""
        self.page.locator("#progress:not([data-progress])").wait_for()
        return self.page.locator(".progress-text").inner_text()


@pytest.fixture
def windows(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens windows on a service; at the end none may have met an error, or asked another host for anything."""
    opened: list[Visitor] = []

    def make(home: str, width: int = 1280, height: int = 820, *, dark: bool = False, script: bool = True) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            timezone_id="America/New_York",
            locale="en-US",
        )
        context.set_default_timeout(PATIENCE_MS)
        visitor = Visitor(context.new_page(), context, home)
        tell = visitor.complaints.append
        visitor.page.on("console", lambda said: tell(said.text) if said.type in ("error", "warning") else None)
        visitor.page.on("pageerror", lambda error: tell(str(error)))
        visitor.page.on("request", lambda sent: None if sent.url.startswith(home) else tell(sent.url))
        opened.append(visitor)
        return visitor

    yield make
    for visitor in opened:
        visitor.context.close()
        assert visitor.complaints == []


@pytest.fixture
def visit(windows: Callable[..., Visitor], stage: DemoSetup) -> Callable[..., Visitor]:
    """Opens windows on the stage's service."""
    return partial(windows, stage.service)
