"""The menu: which pages there are, in the order of a day's work."""

from __future__ import annotations

from dataclasses import dataclass


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
