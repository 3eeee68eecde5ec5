"""What people choose to be told, on the page of their account."""

from __future__ import annotations

import pytest

from sync_service.access.users import Role
from sync_service.store.engine import Database
from sync_service.store.tables import NotificationChoiceRow, NotificationRow
from tests.integration.web.admin import visit

PAGE = "/account/notifications"
HOOK = "https://hooks.slack.com/services/T0/B0/secretsecret"


def test_choices_are_kept_for_the_person_and_the_webhooks_address_is_not_shown_again(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)

    visitor.post(PAGE, {"kinds": ["held", "nonsense"], "by_mail": "yes", "webhook": HOOK, "form": "plain"}, page=PAGE)

    (row,) = visitor.web.rows(NotificationChoiceRow)
    assert (row.email, row.kinds, row.by_mail, row.webhook_form) == ("viewer@example.com", ["held"], True, "plain")
    assert "secretsecret" not in (row.webhook or "")
    shown = visitor.get(PAGE).text
    assert "One at <bdi>hooks.slack.com</bdi> is kept." in shown
    assert "secretsecret" not in shown
    visitor.post(PAGE, {"kinds": ["held"]}, page=PAGE)
    (kept,) = visitor.web.rows(NotificationChoiceRow)
    assert (kept.webhook, kept.by_mail) == (row.webhook, False)
    visitor.post(PAGE, {"remove": "yes"}, page=PAGE)
    (gone,) = visitor.web.rows(NotificationChoiceRow)
    assert (gone.webhook, gone.kinds) == (None, [])
    assert "is kept." not in visit(sqlite_database, Role.OPERATOR).get(PAGE).text


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ftp://x.example/y", "must be like https://example.com/webhooks"),
        ("https://u:p@x.example/", "may hold no user name"),
        ("nothing", "must be like"),
        ("https://\u200b.example", "must be like"),
    ],
)
def test_an_address_that_is_none_is_named_beside_its_field_and_kept_there(
    sqlite_database: Database, address: str, told: str
) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)

    refused = visitor.post(PAGE, {"webhook": address}, page=PAGE)

    assert refused.status_code == 422
    assert f"The address {told}" in refused.text
    assert f'value="{address}"' in refused.text
    assert visitor.web.rows(NotificationChoiceRow) == []


def test_a_trial_is_queued_in_each_way_that_was_chosen(sqlite_database: Database) -> None:
    visitor = visit(sqlite_database, Role.VIEWER)
    visitor.post(f"{PAGE}/try", page=PAGE)
    assert "Choose email or a webhook first." in visitor.get(PAGE).text
    visitor.post(PAGE, {"by_mail": "yes", "webhook": HOOK}, page=PAGE)

    visitor.post(f"{PAGE}/try", page=PAGE)

    rows = visitor.web.rows(NotificationRow)
    assert [(row.email, row.way, row.state) for row in rows] == [
        ("viewer@example.com", "mail", "pending"),
        ("viewer@example.com", "webhook", "pending"),
    ]
    assert "No mail server is set yet" in visitor.get(PAGE).text
    assert (
        "No mail server is set yet"
        not in visit(sqlite_database, Role.OPERATOR, smtp_host="mail.example", mail_from="a@example.com").get(PAGE).text
    )
