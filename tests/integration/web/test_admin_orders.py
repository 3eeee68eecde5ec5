"""The pages of orders, webhooks and partners in the frame, and forms that keep what was typed."""

import re

import pytest

from sync_service.access.users import Role
from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import Database
from sync_service.store.tables import (
    AdminActionRow,
    OauthClientRow,
    OrderStepRow,
    OrderWorkRow,
    PartnerOrgRow,
    PartnerUserRow,
    SyncRequestRow,
    WebhookDeliveryRow,
    WebhookEndpointRow,
)
from tests.integration.web.admin import visit

pytestmark = pytest.mark.either_database


def put_order(database: Database, number: str, state: str, **values: object) -> str:
    ended = 2 if state in ("held", "complete", "failed") else None
    with database.transaction() as session:
        session.add(
            OrderWorkRow(
                order_id=f"order-{number}",
                number=number,
                order_type="change_offer",
                names={},
                payload="{}",
                lane="A-S1",
                seq=len(session.run("SELECT 1 FROM order_work").all()) + 1,
                subscription_number="A-S1",
                client="shop",
                state=state,
                submitted_at=1_790_000_000_000,
                ended_at=ended,
                **values,
            )
        )
        session.add(
            OrderStepRow(
                order_id=f"order-{number}",
                n=1,
                name="create order",
                method="POST",
                path="/v1/orders",
                body='{"orderNumber": "' + number + '"}',
                state="refused" if state in ("held", "failed") else "sent",
                sent_at=1_790_000_000_100,
                error="Zuora says no." if state in ("held", "failed") else None,
            )
        )
    return f"order-{number}"


def test_the_list_of_orders_is_narrowed_by_state(database: Database) -> None:
    for state in ("held", "complete", "waiting"):
        put_order(database, f"O-{state}", state)
    visitor = visit(database, Role.VIEWER)

    def listed(path: str) -> set[str]:
        return set(re.findall(r'href="/admin/orders/order-[^"]+"><bdi>([^<]+)', visitor.get(path).text))

    assert listed("/orders") == {"O-held", "O-complete", "O-waiting"}
    assert listed("/orders?state=held") == {"O-held"}
    assert listed("/orders?before=9") == set()


def test_an_order_shows_its_calls_why_it_is_held_and_the_choices_to_operators_alone(sqlite_database: Database) -> None:
    put_order(sqlite_database, "O-1", "held", error="Zuora did not answer.", choices=["count_as_done", "fail"])

    viewer, operator = visit(sqlite_database, Role.VIEWER), visit(sqlite_database, Role.OPERATOR)

    shown = operator.get("/orders/O-1").text
    assert "Zuora did not answer." in shown
    assert "Zuora says no." in shown
    assert "&#34;orderNumber&#34;: &#34;O-1&#34;" in shown
    assert re.findall(r'name="choice" value="(\w+)"', shown) == ["count_as_done", "fail"]
    assert 'name="choice"' not in viewer.get("/orders/O-1").text
    assert operator.get("/orders/none").status_code == 404


def test_what_an_operator_chooses_is_done_once_and_noted(sqlite_database: Database) -> None:
    place = put_order(sqlite_database, "O-1", "held", choices=["fail"])
    operator = visit(sqlite_database, Role.OPERATOR)

    for choice, state in (("retry", "held"), ("rubbish", "held"), ("fail", "submitted"), ("fail", "submitted")):
        operator.decide(f"/orders/{place}/decide", {"choice": choice}, page="/orders")
        (row,) = operator.web.rows(OrderWorkRow)
        assert row.state == state, choice
    assert row.given_up_by == "operator@example.com"
    assert [each.action for each in operator.web.rows(AdminActionRow)].count("order fail") == 1
    (lane,) = operator.web.rows(SyncRequestRow)
    assert (lane.kind, lane.key) == ("order", "A-S1")


def test_an_order_is_found_by_its_number(sqlite_database: Database) -> None:
    put_order(sqlite_database, "O-1", "waiting")

    answer = visit(sqlite_database, Role.VIEWER).post("/search", {"text": "O-1"}, page="/orders")

    assert answer.headers["Location"] == "/admin/orders/order-O-1"


def put_deliveries(database: Database) -> None:
    with database.transaction() as session:
        now = session.now()
        session.add(WebhookEndpointRow(id="ep_1", url="https://hooks.example.com/a", created_at=1, failures=9))
        for n, state in enumerate(("delivered", "dead", "dead"), start=1):
            session.add(
                WebhookDeliveryRow(
                    message_id=f"msg_{n}",
                    endpoint_id="ep_1",
                    type="order",
                    object_id="order-1",
                    body="{}",
                    made_at=now,
                    state=state,
                    ended_at=now + n,
                    attempts=n,
                    last_error="It answered 500." if state == "dead" else None,
                )
            )


@pytest.mark.parametrize(("form", "pending"), [({"message": "msg_2"}, {"msg_2"}), ({"all": "yes"}, {"msg_2", "msg_3"})])
def test_what_was_given_up_is_sent_again(database: Database, form: dict[str, str], pending: set[str]) -> None:
    put_deliveries(database)
    operator = visit(database, Role.OPERATOR)
    dead = operator.get("/webhooks?state=dead").text
    assert set(re.findall(r'name="message" value="(\w+)"', dead)) == {"msg_2", "msg_3"}
    assert "It answered 500." in dead

    operator.decide("/webhooks/replay", form, page="/webhooks")

    rows = operator.web.rows(WebhookDeliveryRow)
    assert {row.message_id for row in rows if row.state == "pending"} == pending


def test_a_partner_is_made_with_its_people_and_disabled(sqlite_database: Database) -> None:
    operator = visit(sqlite_database, Role.OPERATOR)
    form = {"name": "Reseller <Ltd>", "account": "A00000042", "pays": "yes"}
    place = operator.post("/partners", form, page="/partners").headers["Location"].removeprefix("/admin")
    operator.post(f"{place}/users", {"email": "pat@reseller.example", "name": "Pat"}, page=place)
    (user,) = operator.web.rows(PartnerUserRow)

    operator.post(f"{place}/users/{user.id}/disable", page=place)
    operator.decide(f"{place}/disable", page=place)

    (org,) = operator.web.rows(PartnerOrgRow)
    assert (org.name, org.zuora_account_id, org.is_invoice_owner) == ("Reseller <Ltd>", "A00000042", True)
    assert org.disabled_at is not None
    assert operator.web.rows(PartnerUserRow)[0].disabled_at is not None
    shown = operator.get(place).text
    assert "Reseller &lt;Ltd&gt;" in shown
    assert shown.count('<span class="dot bad">Disabled</span>') == 2


def test_a_refused_partner_keeps_what_was_typed(sqlite_database: Database) -> None:
    known = Organisation(name="First", zuora_account_id="A00000042", is_invoice_owner=False)
    org = Partners(sqlite_database, "test").add(known)
    operator = visit(sqlite_database, Role.OPERATOR)

    refused = operator.post("/partners", {"name": "Second", "account": "A00000042"}, page="/partners")
    person = operator.post(f"/partners/{org.id}/users", {"email": "not-an-email", "name": "Pat"}, page="/partners")

    assert refused.status_code == person.status_code == 422
    assert 'value="Second"' in refused.text
    assert "another organisation has this account" in refused.text
    assert 'value="not-an-email"' in person.text
    assert 'value="Pat"' in person.text


def test_a_refused_client_keeps_what_was_typed_and_says_beside_the_field_what_is_missing(
    sqlite_database: Database,
) -> None:
    operator = visit(sqlite_database, Role.OPERATOR)
    scope = "api/objects:read"

    unscoped = operator.post("/clients", {"name": "Reader", "callout": "1"})
    unnamed = operator.post("/clients", {"name": "", "scope": scope})

    assert unscoped.status_code == unnamed.status_code == 422
    assert 'value="Reader"' in unscoped.text
    assert '<p id="scope-problem" class="wrong" role="alert">' in unscoped.text
    assert 'id="name-problem"' not in unscoped.text
    assert f'value="{scope}" checked' in unnamed.text
    assert 'id="name-problem"' in unnamed.text
    assert operator.web.rows(OauthClientRow) == []


def test_a_refused_user_keeps_what_was_typed(sqlite_database: Database) -> None:
    operator = visit(sqlite_database, Role.OPERATOR)

    form = {"email": "operator@example.com", "role": "operator"}
    refused = operator.post("/users", form, page="/users")

    assert refused.status_code == 422
    assert 'id="email-problem"' in refused.text
    assert re.search(r'name="email"[^>]+value="operator@example.com" aria-invalid', refused.text)
