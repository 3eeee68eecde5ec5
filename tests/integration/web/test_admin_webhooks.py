"""Webhook endpoints made, changed, tested, disabled and removed by page."""

from __future__ import annotations

import re

import pytest

from sync_service.access.users import Role
from sync_service.store.engine import Database
from sync_service.store.tables import AdminActionRow, WebhookDeliveryRow, WebhookEndpointRow
from sync_service.webhooks.endpoints import Endpoints
from tests.integration.web.admin import Visitor, visit
from tests.integration.web.conftest import SETTINGS
from tests.integration.web.test_admin_orders import put_deliveries

URL = "https://hooks.example.com/a"


def endpoints(visitor: Visitor) -> list[WebhookEndpointRow]:
    return visitor.web.rows(WebhookEndpointRow)


def test_an_endpoint_is_made_with_a_secret_shown_once_and_tested_at_once(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.OPERATOR)

    made = visitor.post("/webhooks", {"url": URL, "type": ["Error", "no type"]}, page="/webhooks")

    (row,) = endpoints(visitor)
    assert (made.status_code, made.location) == (303, "/admin/webhooks")
    assert (row.url, row.types) == (URL, ["Error"])
    assert row.test_wanted_at is not None
    shown = visitor.get("/webhooks").text
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", shown)
    assert secret
    assert "A test goes out when a scheduler runs" in shown
    assert secret[0] not in visitor.get("/webhooks").text
    kept = Endpoints(sqlite_database, SETTINGS).read(row.id)
    assert kept.valid_secrets == (secret[0],)


@pytest.mark.parametrize("url", ["", "ftp://example.com", "https://u:p@example.com/", "https://example.com/#x", URL])
def test_an_address_that_cannot_be_is_kept_in_the_form_with_the_reason(sqlite_database: Database, url: str) -> None:
    put_deliveries(sqlite_database)  # its endpoint has the address
    visitor = visit(sqlite_database, Role.OPERATOR)

    refused = visitor.post("/webhooks", {"url": url, "type": "Error"}, page="/webhooks")
    changed = visitor.post("/webhooks/ep_1", {"url": url, "type": "Error"}, page="/webhooks")

    assert refused.status_code == 422
    assert 'id="url-problem"' in refused.text
    assert f'value="{url}" aria-invalid' in refused.text
    assert 'value="Error" checked' in refused.text
    assert changed.status_code == (303 if url == URL else 422)
    assert len(endpoints(visitor)) == 1


def test_an_endpoint_is_changed_tested_disabled_enabled_and_removed(sqlite_database: Database) -> None:
    put_deliveries(sqlite_database)
    visitor = visit(sqlite_database, Role.OPERATOR)
    here = "/webhooks/ep_1"

    visitor.post(here, {"url": "https://example.com/b", "type": ["Error", "Order Submitted"]}, page=here)
    visitor.post(f"{here}/test", page=here)
    visitor.decide(f"{here}/disable", page=here)
    (row,) = endpoints(visitor)
    assert (row.url, row.types) == ("https://example.com/b", ["Error", "Order Submitted"])
    assert row.test_wanted_at is not None
    assert row.disabled_at is not None
    assert "Disabled" in visitor.get(here).text

    visitor.post(f"{here}/enable", page=here)
    visitor.decide(f"{here}/rotate", page=here)
    assert endpoints(visitor)[0].disabled_at is None
    assert endpoints(visitor)[0].secret is not None
    assert "whsec_" in visitor.get("/webhooks").text
    visitor.decide(f"{here}/remove", page=here)
    assert endpoints(visitor) == []
    assert visitor.web.rows(WebhookDeliveryRow) == []
    assert visitor.get(here).status_code == visitor.post(f"{here}/test").status_code == 404
    acts = [row.action for row in visitor.web.rows(AdminActionRow) if row.action.startswith("webhook")]
    assert acts == [
        f"webhook {word}" for word in ("changed", "tested", "disabled", "enabled", "secret rotated", "removed")
    ]


def test_an_endpoint_of_the_settings_is_tested_and_nothing_else(sqlite_database: Database) -> None:
    put_deliveries(sqlite_database)
    with sqlite_database.transaction() as session:
        session.run("UPDATE webhook_endpoint SET by_setting = :yes", {"yes": True})
    visitor = visit(sqlite_database, Role.OPERATOR)
    shown = visitor.get("/webhooks/ep_1").text
    assert "Send a test" in shown
    assert not re.findall(r">(Remove|Disable|New secret|Save)</button>", shown)

    for what in ("disable", "remove", "rotate"):
        visitor.decide(f"/webhooks/ep_1/{what}", page="/webhooks")
    visitor.post("/webhooks/ep_1/test", page="/webhooks")

    (row,) = endpoints(visitor)
    assert row.disabled_at is None
    assert row.test_wanted_at is not None


def test_a_viewer_sees_endpoints_and_changes_none(sqlite_database: Database) -> None:
    put_deliveries(sqlite_database)
    visitor = visit(sqlite_database, Role.VIEWER)

    assert "<form" not in visitor.get("/webhooks/ep_1").text.split("<main")[1]
    for path in ("/webhooks", "/webhooks/ep_1", "/webhooks/ep_1/test", "/webhooks/ep_1/remove"):
        assert visitor.decide(path, {"url": URL}, page="/webhooks").status_code == 403
