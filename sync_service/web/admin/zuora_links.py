"""Where a person finds the same objects in Zuora's own pages. Nothing is asked of Zuora here."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

#: The host of the pages by the host of the API (Zuora's page "Zuora data centers").
_APP_HOSTS = {
    "rest.na.zuora.com": "na.zuora.com",
    "rest.sandbox.na.zuora.com": "sandbox.na.zuora.com",
    "rest.zuora.com": "www.zuora.com",
    "rest.apisandbox.zuora.com": "apisandbox.zuora.com",
    "rest.test.zuora.com": "test.zuora.com",
    "rest.pt1.zuora.com": "pt1.zuora.com",
    "rest.eu.zuora.com": "eu.zuora.com",
    "rest.sandbox.eu.zuora.com": "sandbox.eu.zuora.com",
    "rest.test.eu.zuora.com": "test.eu.zuora.com",
    "rest.ap.zuora.com": "ap.zuora.com",
    "rest.test.ap.zuora.com": "test.ap.zuora.com",
    # Before there was `rest.`.
    "api.zuora.com": "www.zuora.com",
    "apisandbox-api.zuora.com": "apisandbox.zuora.com",
}


class ZuoraLinks:
    """Addresses in the pages of the tenant at `base_url`; `app_url` says where those are, where we cannot know."""

    def __init__(self, base_url: str, app_url: str = "") -> None:
        host = _APP_HOSTS.get((urlsplit(base_url).hostname or "").lower())
        self._home = app_url.rstrip("/") or (f"https://{host}" if host else "")

    def subscription(self, zuora_id: str | None) -> str | None:
        """The page of one version of a subscription, which leads to the others."""
        return self._address("Subscription", zuora_id)

    def account(self, account_id: str | None) -> str | None:
        """The page of an account."""
        return self._address("CustomerAccount", account_id)

    def _address(self, page: str, zuora_id: str | None) -> str | None:
        if not (self._home and zuora_id):
            return None
        return f"{self._home}/apps/{page}.do?method=view&id={quote(zuora_id, safe='')}"
