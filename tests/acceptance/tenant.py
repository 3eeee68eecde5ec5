"""The emulated Zuora tenant of a test, in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import requests

from tests.acceptance.processes import PATIENCE, ROOT, Child, wait_until
from zuora_emulator.control import control, show
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

#: Who sends callouts.
USERNAME, PASSWORD = "zuora", "a password of this test"


def bare_environ() -> dict[str, str]:
    """What a process needs to run: nothing of a developer's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


class Tenant:
    """A running emulator: what to do to it, and what it knows."""

    def __init__(self, folder: Path, *, subscriptions: int = 0, accounts: int = 0, seed: int = 0) -> None:
        words = ["serve", "--port", "0", "--seeds", "none", "--bulk", str(subscriptions)]
        words += ["--bulk-accounts", str(accounts), "--seed", str(seed)]
        command = [sys.executable, "-m", "zuora_emulator", *words]
        self.child = Child("emulator", command, bare_environ(), folder)
        self.url = self.child.wait_for(r"http://").split()[-1]
        #: The bulk's numbers and accounts: subscription i lies on account i mod accounts.
        self.numbers = [f"A-S9{place:07d}" for place in range(subscriptions)]
        self.accounts = [f"A9{place:07d}" for place in range(accounts or subscriptions)]
        self._http = requests.Session()
        self._http.trust_env = False

    def do(self, action: str, /, **fields: Any) -> dict[str, Any]:
        """Run an action of the control side. Raises ControlRefused."""
        return control(self.url, action, **fields)

    def show(self, what: str, **query: Any) -> dict[str, Any]:
        """What the control side knows."""
        return show(self.url, what, **query)

    def send_callouts_to(self, url: str, **other: Any) -> None:
        """From now on changes are told to `url`, and told again soon until they are taken."""
        again = {"interval_seconds": 0.3, "max_attempts": 10_000}
        self.do("callouts", url=url, username=USERNAME, password=PASSWORD, account_events=True, **{**again, **other})

    def wait_until_told(self, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """Wait until every callout was answered with success; the callouts."""

        def told() -> bool:
            return bool(self.show("wait", seconds=1, retries="true")["idle"])

        wait_until(told, "every callout is delivered", seconds)
        callouts: list[dict[str, Any]] = self.show("callouts", limit=100_000)["callouts"]
        return callouts

    @property
    def most_at_once(self) -> int:
        """The most requests that were served at the same time since the counts were reset."""
        return int(self.show("traffic")["most_at_once"].get("Default", 0))

    @property
    def calls(self) -> dict[str, int]:
        """How often each address was asked."""
        return dict(self.show("traffic")["calls"])

    # --- asked as anybody would ask Zuora ---

    def fetch_subscription(self, key: str) -> dict[str, Any]:
        """The subscription as Zuora answers."""
        return self._get(f"/v1/subscriptions/{key}?charge-detail=all-segments")

    def fetch_account(self, key: str) -> dict[str, Any]:
        """The account as Zuora answers."""
        return self._get(f"/v1/accounts/{key}")

    def fetch_preview(self, account_id: str, target: str) -> list[dict[str, Any]]:
        """The lines of the billing preview up to a date."""
        question = {
            "accountId": account_id,
            "targetDate": target,
            "assumeRenewal": "None",
            "includingEvergreenSubscription": True,
        }
        answer = self._http.post(f"{self.url}/v1/operations/billing-preview", json=question, headers=self._bearer())
        assert answer.status_code == 200, answer.text
        lines: list[dict[str, Any]] = answer.json()["invoiceItems"]
        return lines

    def list_orders(self) -> list[dict[str, Any]]:
        """Every order, the newest first."""
        found: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = self._get(f"/v1/orders?pageSize=40&page={page}")
            found += answer["orders"]
            if "nextPage" not in answer:
                return found
            page += 1

    def fetch_all(self, numbers: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Subscriptions by number."""
        return {number: self.fetch_subscription(number) for number in numbers}

    def change_callout_templates(self, change: Callable[[str], str]) -> None:
        """Let the addresses of all callout templates be what `change` makes of them, as if changed in Zuora."""
        place = "/notifications/callout-templates"
        for template in self._get(f"{place}?limit=100")["data"]:
            changed = {
                **template,
                "calloutBaseurl": change(template["calloutBaseurl"]),
                "calloutAuth": {**(template.get("calloutAuth") or {}), "password": PASSWORD},  # it is not shown
            }
            answer = self._http.put(f"{self.url}{place}/{template['id']}", json=changed, headers=self._bearer())
            assert answer.status_code == 200, answer.text

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._http.get(f"{self.url}{path}", headers=self._bearer())
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _bearer(self) -> dict[str, str]:
        if "Authorization" not in self._http.headers:
            words = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "grant_type": "client_credentials"}
            token = self._http.post(f"{self.url}/oauth/token", data=words).json()["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"
        return {}

    def stop(self) -> None:
        """End it."""
        self._http.close()
        self.child.kill()
