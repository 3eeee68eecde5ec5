"""The control side from outside: an action over HTTP, for tests, the demo and the command line."""

from __future__ import annotations

from typing import Any

import requests

from zuora_emulator.actions import NAMES

#: Every action, for those who offer them.
ACTIONS = tuple(sorted(NAMES))


class ControlRefused(Exception):
    """The emulator did not do it; the message says why."""


def control(url: str, action: str, /, *, timeout: float = 60.0, **fields: Any) -> dict[str, Any]:
    """Do an action at the emulator at `url`, such as `control(url, "renew", key="A-S00000101")`.

    Raises ControlRefused, and what `requests` raises if the emulator does not answer.
    """
    return _call("POST", f"{url.rstrip('/')}/control/{action}", json=fields, timeout=timeout)


def show(url: str, what: str = "state", *, timeout: float = 60.0, **query: Any) -> dict[str, Any]:
    """What the emulator knows: `state`, `subscriptions`, `traffic`, `faults`, `callouts` or `actions`.

    `wait` waits until the callouts that are due have been sent.
    """
    return _call("GET", f"{url.rstrip('/')}/control/{what}", params=query, timeout=timeout)


def _call(method: str, address: str, **more: Any) -> dict[str, Any]:
    with requests.Session() as session:
        # A proxy of the machine's leads nowhere from here.
        session.trust_env = False
        response = session.request(method, address, **more)
        answer = response.json()
    if response.status_code != 200:
        raise ControlRefused(answer.get("message", f"status {response.status_code}"))
    return dict(answer)
