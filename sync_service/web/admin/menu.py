"""The menu: which pages there are, in the order of a day's work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A page of the menu."""

    endpoint: str
    name: str
    #: Which of the frame's counts stands beside it; empty for none.
    count: str = ""
    for_operators: bool = False


#: Groups with their entries. The name of an endpoint is also what a page below it calls `here`.
MENU: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Work",
        (
            Entry("admin.overview", "Now"),
            Entry("admin.inbox", "Inbox", "inbox"),
            Entry("admin.subscriptions", "Subscriptions"),
            Entry("admin.orders", "Orders"),
        ),
    ),
    ("Look back", (Entry("admin.history", "History"),)),
    ("Run", (Entry("admin.jobs", "Jobs", "jobs"),)),
    (
        "Manage",
        (
            Entry("admin.partners", "Partners"),
            Entry("admin.clients", "API clients"),
            Entry("admin.webhooks", "Webhooks"),
            Entry("admin.users", "People", for_operators=True),
            Entry("admin.settings", "Settings"),
        ),
    ),
)
