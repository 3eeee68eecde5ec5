"""What stands around every page: the environment, five lights, the menu and its counts, the search box and the zone.

It is read for a person who is logged in, at most once in FRESH_SECONDS by each process, and by few bounded reads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from sync_service.queue.status.findings import Finding, Severity, worst
from sync_service.queue.status.health import DAY_MS, MAX_COUNTED, CalloutsReceived, read_findings, read_lights
from sync_service.queue.status.inbox import count_failing
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.web.admin.guard import AdminGuard
from sync_service.web.admin.words import TENANT, ZONE_COOKIE, Clock, chosen_zone, find_zone


@dataclass(frozen=True)
class MenuEntry:
    """A page of the menu."""

    endpoint: str
    name: str
    #: Which of the frame's counts stands beside it; empty for none.
    count: str = ""
    for_operators: bool = False


#: Groups with their entries. The name of an endpoint is also what a page below it calls `here`.
MENU: tuple[tuple[str, tuple[MenuEntry, ...]], ...] = (
    (
        "Work",
        (
            MenuEntry("admin.overview", "Now"),
            MenuEntry("admin.inbox", "Inbox", "inbox"),
            MenuEntry("admin.subscriptions", "Subscriptions"),
            MenuEntry("admin.orders", "Orders"),
        ),
    ),
    ("Look back", (MenuEntry("admin.history", "History"),)),
    ("Run", (MenuEntry("admin.jobs", "Jobs", "jobs"),)),
    (
        "Manage",
        (
            MenuEntry("admin.partners", "Partners"),
            MenuEntry("admin.clients", "API clients"),
            MenuEntry("admin.webhooks", "Webhooks"),
            MenuEntry("admin.users", "People", for_operators=True),
            MenuEntry("admin.settings", "Settings"),
            MenuEntry("admin.manual", "Documentation"),
        ),
    ),
)


FRESH_SECONDS = 1.0
#: How old the count of what does not work may be, and that of a day's callouts.
CHECKS_SECONDS = 15.0
_A_YEAR = 365 * 86_400
# What waits for a person, as the inbox lists it, and the jobs that run; no table is counted far.
_COUNTS = """
SELECT
  (SELECT count(*) FROM (SELECT 1 FROM sync_request WHERE failed_seq = requested_seq LIMIT :most) AS found) AS failed,
  (SELECT count(*) FROM (SELECT 1 FROM sync_run WHERE outcome = 'held' LIMIT :most) AS found) AS held,
  (SELECT count(*) FROM (SELECT 1 FROM order_work WHERE state = 'held' LIMIT :most) AS found) AS orders,
  (SELECT count(*) FROM (SELECT 1 FROM webhook_delivery WHERE state = 'dead' LIMIT :most) AS found) AS webhooks,
  (SELECT count(*) FROM job WHERE lease_until > {now}) AS jobs
"""
#: What of that waits for people, and how it is called.
WAITING = {
    "checks": "not working",
    "failed": "failed",
    "held": "held",
    "orders": "orders",
    "webhooks": "webhooks given up",
}
#: The page that a light leads to.
_PAGES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "callouts": ("admin.history", {"show": "callouts"}),
    "queue": ("admin.overview", {}),
    "workers": ("admin.overview", {}),
    "zuora": ("admin.settings", {}),
    "sweeps": ("admin.jobs", {}),
}
_TITLES = {"zuora": "Zuora"}
TONES = {Severity.OK: "good", Severity.NOT_CHECKED: "calm", Severity.WARNING: "warn", Severity.FAILED: "bad"}
_TONE_WORDS = {"good": "well", "calm": "not known", "warn": "needs a look", "bad": "wrong"}


@dataclass(frozen=True)
class Light:
    """One light as a page shows it."""

    finding: Finding

    @property
    def title(self) -> str:
        """What it is about."""
        return _TITLES.get(self.finding.name, self.finding.name.capitalize())

    @property
    def address(self) -> str:
        """The page that says more."""
        endpoint, asked = _PAGES[self.finding.name]
        return url_for(endpoint, **asked)

    @property
    def tone(self) -> str:
        """good, calm, warn or bad."""
        return TONES[self.finding.verdict]

    @property
    def tone_word(self) -> str:
        """The same for people who see no colours."""
        return _TONE_WORDS[self.tone]

    @property
    def without_age(self) -> str:
        """What stands in the place of the age where there is none."""
        return "empty" if self.finding.name == "queue" else "not seen"


@dataclass(frozen=True)
class Frame:
    """As it was read at `read_at`, in ms by the database's clock."""

    read_at: int
    lights: tuple[Light, ...]
    counts: Mapping[str, int]
    #: The last day's, counted at most once in CHECKS_SECONDS.
    callouts: CalloutsReceived

    @property
    def tone(self) -> str:
        """That of the worst light."""
        return TONES[worst(light.finding for light in self.lights).verdict]

    @property
    def waiting(self) -> str:
        """What waits for people, by kind; the same as the inbox's count."""
        found = [f"{self.counts[each]:,} {words}" for each, words in WAITING.items() if self.counts[each]]
        return ", ".join(found) or "Nothing waits for a decision"

    def count(self, name: str) -> str:
        """A count as the menu shows it; empty for nothing."""
        count = sum(self.counts[each] for each in WAITING) if name == "inbox" else self.counts.get(name, 0)
        return f"{MAX_COUNTED:,}+" if count >= MAX_COUNTED else f"{count:,}" if count else ""


class FrameReader:
    """The frame of one process."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._reading = threading.Lock()
        self._last: Frame | None = None
        self._read_at = 0.0
        self._callouts: CalloutsReceived | None = None
        self._failing, self._counted_at = 0, float("-inf")

    def read(self) -> tuple[Frame, int]:
        """The frame, and the time by the database's clock."""
        with self._reading:
            if self._last is None or time.monotonic() - self._read_at > FRESH_SECONDS:
                self._last = self._look()
                self._read_at = time.monotonic()
            return self._last, self._last.read_at + int((time.monotonic() - self._read_at) * 1000)

    def forget(self) -> None:
        """Read anew next time: a person has just changed something."""
        with self._reading:
            self._last = None

    def _look(self) -> Frame:
        with self._database.reading() as session:
            lights = tuple(Light(finding) for finding in read_lights(session, self._settings))
            counts: dict[str, int] = session.run(_COUNTS, {"most": MAX_COUNTED}).one()._asdict()
            now = session.now()
            if self._callouts is None or time.monotonic() - self._counted_at > CHECKS_SECONDS:
                self._callouts, self._counted_at = CalloutsReceived(session, now - DAY_MS), time.monotonic()
                self._failing = count_failing(read_findings(session, self._settings, self._callouts))
            counts["checks"] = self._failing
            return Frame(now, lights, counts, self._callouts)


def attach(blueprint: Blueprint, settings: Settings, database: Database, guard: AdminGuard) -> None:
    """Put the frame around every page of `blueprint`; after the guard, which says who it is for."""
    reader = FrameReader(database, settings)

    @blueprint.before_request
    def read_frame() -> None:
        if g.get("person") is None:
            return
        g.zone, zone = chosen_zone(settings.tenant_time_zone)
        g.frame, now = reader.read()
        g.clock = Clock(now, zone)

    @blueprint.after_request
    def forget_frame(answer: Response) -> Response:
        if request.method == "POST":
            reader.forget()
        return answer

    @blueprint.context_processor
    def surroundings() -> dict[str, object]:
        return {
            "frame": g.get("frame"),
            "clock": g.get("clock"),
            "zone": g.get("zone"),
            "tenant_zone": settings.tenant_time_zone.key,
            "menu": MENU,
            "environment": settings.environment,
            "environment_colour": settings.environment_colour,
        }

    @blueprint.get("/frame")
    def frame() -> str:
        """The frame alone, for the script that keeps it fresh."""
        return render_template("admin/frame.html")

    @blueprint.post("/zone")
    def choose_zone() -> AnyResponse:
        """Times in UTC, in the tenant's zone, or in that of the browser."""
        zone = request.form.get("zone", "")
        wanted = {"utc": "UTC", "tenant": TENANT, "mine": request.form.get("mine", "")}.get(zone, "")
        if wanted != TENANT and find_zone(wanted) is None:
            raise BadRequest("Choose UTC, the tenant's zone or yours.")
        answer = redirect(guard.next_page(request.form.get("next")), 303)
        guard.set_cookie(answer, ZONE_COOKIE, wanted, seconds=_A_YEAR)
        return answer
