"""Orders that go all the way: what stands in the emulated Zuora and in Limio's store at their end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Thread
from typing import Any

import pytest

from sync_service.commerce.order import CannotBePlacedError, Order
from sync_service.commerce.payload import read_order
from sync_service.operations.scrub import scrub
from sync_service.ordering.previews import preview_order
from sync_service.queue.orders.erasing import OrderUnderWay
from sync_service.queue.orders.lanes import read_work
from sync_service.queue.runs.history import read_runs
from sync_service.queue.story_lease import hold_story_lease
from sync_service.store.engine import Database
from sync_service.store.object_rows import find_subscription
from sync_service.store.tables import (
    AddressRow,
    CustomerRow,
    GiftCodeRow,
    OrderStepRow,
    OrderWorkRow,
    PaymentMethodRow,
    SubscriptionOfferRow,
)
from sync_service.sync.forecast import compute_plan
from tests.shop_world import NUMBER, ShopWorld, new_order, of_subscription, open_shop_world
from tests.webhook_world import add_endpoint, deliveries
from zuora_emulator.shop import offer_ref


@pytest.fixture
def world(sqlite_database: Database) -> Iterator[ShopWorld]:
    with open_shop_world(sqlite_database) as world:
        yield world


def assert_in_step(world: ShopWorld, number: str) -> None:
    """A sync of the number would change nothing."""
    plan, _ = compute_plan(world.sync(), number, world.context.zuora.reading())
    assert plan.changes == ()


def test_a_new_order_makes_an_account_and_a_subscription_that_limio_shows_with_terms_and_schedule(
    world: ShopWorld,
) -> None:
    work = world.place(new_order(external_id="EXT-1"))

    assert (work.state, work.error) == ("complete", None)
    number = work.names["subscriptions"][0]["reference"]
    in_zuora = world.ask(f"/v1/subscriptions/{number}")
    assert (in_zuora["status"], in_zuora["orderNumber"]) == ("Active", work.number)
    with world.database.reading() as session:
        row = find_subscription(session, number)
    assert row is not None
    assert (row.status, row.owner, row.never_synced) == ("active", work.names["owner"], False)
    assert row.term_end == date.fromisoformat(in_zuora["termEndDate"])
    (customer,) = [each for each in world.rows(CustomerRow) if each.id == row.customer]
    assert customer.email == "ada@example.com"
    assert_in_step(world, number)


def test_a_preview_warns_of_a_date_that_the_order_would_move(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database) as world:
        context = world.context
        later = of_subscription("change_offer", offer=offer_ref("Digital Annual"), effectiveDate="2999-01-01")
        order = read_order(later, context.settings.tenant_time_zone)
        assert isinstance(order, Order)

        with hold_story_lease(world.database, "order preview", context.share) as lease:
            found = preview_order(context, order, lease.counting(context.zuora.reading()), lease)

        (warning,) = found["warnings"]
        assert warning.startswith("2999-01-01 is outside of the term")


def test_a_declined_card_leaves_nothing_in_zuora_the_subscription_initial_and_two_webhooks(
    sqlite_database: Database,
) -> None:
    add_endpoint(sqlite_database, "http://127.0.0.1:9/limio")
    with open_shop_world(sqlite_database, order_collect_payment=True) as world:
        tenant = world.zuora.emulator.tenant

        def there() -> list[int]:
            money = tenant.ledger
            held = (tenant.accounts, tenant.subscriptions, tenant.orders, money.documents, money.payments)
            return [len(each) for each in held]

        before = there()

        work = world.place(new_order(card="declined"))

        assert work.state == "failed"
        assert "Insufficient funds" in (work.error or "")
        assert there() == before
        told = [each for each in deliveries(sqlite_database) if each.object_id == work.order_id]
        assert [each.type for each in told] == ["Order Submitted", "Error"]
        assert json.loads(told[0].body)["reference"] == work.number
        error = json.loads(told[1].body)
        assert (error["order"]["status"], error["process_event"]["status"]) == ("failed", "failed")
        assert "Insufficient funds" in error["errors"][0]["message"]
        number = work.names["subscriptions"][0]["reference"]
        with world.database.reading() as session:
            row = find_subscription(session, number)
        assert row is not None
        assert row.status == "initial"


def test_the_account_of_who_bought_before_is_used_again_where_the_tenant_wants_it(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, order_account_model="1-N") as world:
        first = world.place(new_order())
        accounts = len(world.zuora.emulator.tenant.accounts)

        second = world.place(new_order("Digital Annual", owner=first.names["owner"]))

        assert (first.state, second.state) == ("complete", "complete")
        assert len(world.zuora.emulator.tenant.accounts) == accounts
        assert second.names["customer"] == first.names["customer"]


def test_a_switch_replaces_the_offer_in_both_systems(world: ShopWorld) -> None:
    work = world.place(
        of_subscription("change_offer", offer=offer_ref("Digital Annual"), effectiveDate=world.today.isoformat())
    )

    assert (work.state, work.error) == ("complete", None)
    with world.database.reading() as session:
        row = find_subscription(session, NUMBER)
    assert row is not None
    offers = [each for each in world.rows(SubscriptionOfferRow) if each.subscription_id == row.id]
    assert {each.document["data"]["name"]: bool(each.document["data"].get("end")) for each in offers} == {
        "Digital Monthly": True,
        "Digital Annual": False,
    }
    assert_in_step(world, NUMBER)


def test_two_switches_of_one_subscription_are_built_one_on_the_other(world: ShopWorld) -> None:
    today = world.today.isoformat()
    first = world.submit(of_subscription("change_offer", offer=offer_ref("Digital Annual"), effectiveDate=today))
    second = world.submit(of_subscription("change_offer", offer=offer_ref("Print"), effectiveDate=today))

    world.work()

    assert [world.order(each).state for each in (first, second)] == ["complete", "complete"]
    plans = world.ask(f"/v1/subscriptions/{NUMBER}")["ratePlans"]
    assert [plan["ratePlanName"] for plan in plans if plan["lastChangeType"] != "Remove"] == ["Print"]
    assert_in_step(world, NUMBER)


def test_an_order_for_a_subscription_that_is_still_to_be_made_waits_for_it(world: ShopWorld) -> None:
    first = world.order(world.submit(new_order()))
    number = first.names["subscriptions"][0]["reference"]
    address = {"firstName": "Grace", "lastName": "Hopper", "address1": "2 Low Road", "city": "Leeds", "country": "GB"}
    second = world.submit(of_subscription("change_address", number, type="delivery", address=address))

    world.work()

    assert (world.order(first.order_id).state, world.order(second).state) == ("complete", "complete")
    assert_in_step(world, number)


def test_a_cancellation_ends_the_term_in_both_systems(world: ShopWorld) -> None:
    on = (world.today + timedelta(days=10)).isoformat()

    work = world.place(of_subscription("cancel_subscription", cancelDate=on, data={"reason": {"id": "moving"}}))

    assert (work.state, work.error) == ("complete", None)
    with world.database.reading() as session:
        row = find_subscription(session, NUMBER)
    assert row is not None
    assert row.term_end == date.fromisoformat(on)
    assert row.auto_renew is False
    assert_in_step(world, NUMBER)


def test_a_new_delivery_address_is_a_new_contact_in_zuora_and_a_new_address_in_limio(world: ShopWorld) -> None:
    address = {"firstName": "Grace", "lastName": "Hopper", "address1": "2 Low Road", "city": "Leeds", "country": "GB"}

    work = world.place(of_subscription("change_address", type="delivery", address=address))

    assert (work.state, work.error) == ("complete", None)
    account = world.ask("/v1/accounts/A00000001")
    assert (account["soldToContact"]["city"], account["billToContact"]["city"] == "Leeds") == ("Leeds", False)
    (newest,) = [each for each in world.rows(AddressRow) if each.document["data"].get("city") == "Leeds"]
    assert newest.relationship_type == "delivery"
    assert_in_step(world, NUMBER)


def test_a_new_payment_method_pays_from_now_on(world: ShopWorld) -> None:
    payment = new_order()["payment"]

    work = world.place(of_subscription("change_payment", payment=payment))

    assert (work.state, work.error) == ("complete", None)
    account = world.ask("/v1/accounts/A00000001")
    assert account["billingAndPayment"]["defaultPaymentMethodId"] == payment["zuora"]["refId"]
    (method,) = [each for each in world.rows(PaymentMethodRow) if each.status == "active"]
    assert method.document["data"]["zuora"]["refId"] == payment["zuora"]["refId"]
    assert_in_step(world, NUMBER)


def test_a_rate_plan_that_the_store_does_not_know_yet_is_looked_for_in_zuora(world: ShopWorld) -> None:
    with world.database.transaction() as session:
        session.run("DELETE FROM zuora_rate_plan WHERE name = 'Print'")

    assert world.place(new_order("Print")).state == "complete"


def test_a_rate_plan_that_zuora_has_no_longer_fails_the_order_before_anything_is_sent(world: ShopWorld) -> None:
    with world.database.transaction() as session:
        session.run("UPDATE zuora_rate_plan SET name = 'Papers' WHERE name = 'Print'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sync_service.ordering.placing.refresh_rate_plans", lambda *_: 0)

        work = world.place(new_order("Print"))

    assert (work.state, work.error_code) == ("failed", "catalog")
    assert "Print" in (work.error or "")
    assert "The Gazette" in (work.error or "")
    assert world.rows(OrderStepRow) == []


def test_a_gift_is_bought_and_redeemed_once_by_another_person(world: ShopWorld) -> None:
    bought = world.place(new_order("Gift of a year", isGift=True))
    assert (bought.state, bought.error) == ("complete", None)
    (code,) = world.rows(GiftCodeRow)
    assert (code.status, code.code) == ("free", bought.names["gift_code"])
    with world.database.reading() as session:
        gift = find_subscription(session, bought.names["subscriptions"][0]["reference"])
    assert gift is not None
    assert gift.status == "initial"
    redemption = {
        **new_order("Gift of a year"),
        "isRedeem": True,
        "redeemCode": code.code,
        "customerDetails": {"firstName": "Grace", "lastName": "Hopper", "email": "grace@example.com"},
    }
    del redemption["payment"]

    redeemed = world.place(redemption)

    assert (redeemed.state, redeemed.error) == ("complete", None)
    assert [each.status for each in world.rows(GiftCodeRow)] == ["redeemed"]
    assert_in_step(world, redeemed.names["subscriptions"][0]["reference"])
    with pytest.raises(CannotBePlacedError, match="redeemed"):
        world.submit(redemption)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite one writes at a time
def test_a_gift_code_that_many_redeem_at_once_is_redeemed_by_one(database: Database) -> None:
    with open_shop_world(database) as world:
        world.place(new_order("Gift of a year", isGift=True))
        (code,) = world.rows(GiftCodeRow)
        redemption = {**new_order("Gift of a year"), "isRedeem": True, "redeemCode": code.code}
        del redemption["payment"]

        def redeem(place: int) -> bool:
            try:
                world.submit({**redemption, "external_id": f"EXT-{place}"})
            except CannotBePlacedError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            accepted = list(pool.map(redeem, range(8)))

        assert accepted.count(True) == 1
        assert len([row for row in world.rows(OrderWorkRow) if row.order_type == "new"]) == 2


def test_a_cancellation_that_lies_ahead_is_taken_back_by_a_switch(world: ShopWorld) -> None:
    on = (world.today + timedelta(days=20)).isoformat()
    world.place(of_subscription("cancel_subscription", cancelDate=on))

    work = world.place(of_subscription("change_offer", offer=offer_ref("Print"), effectiveDate=world.today.isoformat()))

    assert (work.state, work.error) == ("complete", None)
    history = world.ask(f"/v1/subscriptions/{NUMBER}")["statusHistory"]
    assert "Cancelled" not in {each["status"] for each in history}
    assert_in_step(world, NUMBER)


def test_a_cancellation_that_was_taken_back_for_nothing_stands_again(world: ShopWorld) -> None:
    on = (world.today + timedelta(days=20)).isoformat()
    world.place(of_subscription("cancel_subscription", cancelDate=on))
    world.do("fault", kind="error", path="POST /v1/orders$", count="1", status="400", code="40000020")

    work = world.place(of_subscription("change_offer", offer=offer_ref("Print"), effectiveDate=world.today.isoformat()))

    assert work.state == "failed"
    history = world.ask(f"/v1/subscriptions/{NUMBER}")["statusHistory"]
    assert (history[-1]["status"], history[-1]["startDate"]) == ("Cancelled", on)
    assert_in_step(world, NUMBER)


def card(world: ShopWorld) -> dict[str, Any]:
    """A card that Zuora's payment page has made and no payment has used."""
    method = world.do("payment_method")["id"]
    return {"payment": {"type": "zuora", "zuora": {"refId": method, "paymentGateway": "CreditCard_UK"}}}


def buy(world: ShopWorld) -> str:
    """The number of a new subscription."""
    work = world.place(new_order(**card(world)))
    assert work.state == "complete", work.error
    number: str = work.names["subscriptions"][0]["reference"]
    return number


def test_an_order_of_every_other_type_ends_complete_and_leaves_both_systems_in_step(world: ShopWorld) -> None:
    def own_card(number: str) -> dict[str, Any]:
        account = world.ask(f"/v1/subscriptions/{number}")["accountNumber"]
        method = world.ask(f"/v1/accounts/{account}")["billingAndPayment"]["defaultPaymentMethodId"]
        return {"payment": {"type": "zuora", "zuora": {"refId": method, "paymentGateway": "CreditCard_UK"}}}

    add_on = {"type": "add", "record_type": "add_on", **offer_ref("Audio"), "quantity": 1}
    made: dict[str, Callable[[str], dict[str, Any]]] = {
        "add_offer": lambda _: {"change_type": "cancel_save", "offer": offer_ref("Stay at half price")},
        "update_subscription": lambda _: {"updates": [add_on]},
        "cancel_intent": lambda _: {"cancelInformation": {"reason": "price"}},
        "renew": lambda _: {"orderItems": [{"offer": offer_ref("Digital Monthly"), "quantity": 1}]},
        "change_payment": lambda _: card(world),
        "change_default_payment": own_card,
        "update_customer_details": lambda _: {
            "customerDetails": {"full_name": "Ada King", "email": "ada.king@example.com"}
        },
        "refund": lambda _: {"offer": offer_ref("Goodwill"), "amount": 5},
        "credit_memo": lambda _: {"addOn": offer_ref("Goodwill"), "amount": 5},
    }
    for order_type, more in made.items():
        number = buy(world)

        work = world.place(of_subscription(order_type, number, **more(number)))

        assert (order_type, work.state, work.error) == (order_type, "complete", None)
        assert_in_step(world, number)


def test_an_invoice_is_paid_once(world: ShopWorld) -> None:
    world.do("bill_run", key=NUMBER, target=(world.today + timedelta(days=40)).isoformat())
    (invoice,) = [each for each in world.zuora.emulator.tenant.ledger.documents.values() if each.kind == "Invoice"][:1]

    work = world.place(
        {"order_type": "pay_invoice", "invoice": {"id": invoice.id}, "payment": {"amount": float(invoice.balance)}}
    )

    assert (work.state, work.error) == ("complete", None)
    assert world.ask(f"/v1/invoices/{invoice.id}")["balance"] == 0


def test_scrubbing_a_customer_erases_what_orders_say_of_the_person(world: ShopWorld) -> None:
    customer = {"firstName": "Ada", "lastName": "Lovelace", "email": "countess@example.com"}
    work = world.place(new_order(customerDetails=customer))
    telling = ("countess@example.com", "1 High Street", "SE1 3ER", "Ada Lovelace")
    assert all(word in everything(world) for word in telling)
    with world.database.transaction() as session:  # a step that was skipped, in Zuora's words
        read_work(session, work.order_id).notes = ["[50000020] No address 1 High Street."]

    report = scrub(world.database, work.names["subscriptions"][0]["reference"], actor="grace")

    assert report.orders == 1
    left = everything(world)
    assert [word for word in telling if word in left] == []
    assert scrub(world.database, work.names["subscriptions"][0]["reference"], actor="grace").orders == 0


def test_a_customer_whose_order_is_under_way_cannot_be_erased_yet(world: ShopWorld) -> None:
    world.submit(of_subscription("cancel_intent", cancelInformation={}))

    with pytest.raises(OrderUnderWay):
        scrub(world.database, NUMBER, actor="grace")


def everything(world: ShopWorld) -> str:
    """All rows of all tables but those of the catalog and of what Limio holds of others."""
    tables = ("order_work", "order_step", "ask", "limio_order", "limio_process", "limio_customer", "limio_address")
    with world.database.reading() as session:
        return "\n".join(repr(tuple(row)) for table in tables for row in session.run(f"SELECT * FROM {table}"))


@pytest.mark.parametrize("fault", ["lose_answer", "finish_later", "lock"])
def test_an_order_meets_one_fault_and_is_placed_once(world: ShopWorld, fault: str) -> None:
    more = {"seconds": "0.05", "up_to": "0.1"} if fault == "finish_later" else {}
    world.do("fault", kind=fault, path="POST /v1/orders$", count="1", **more)

    work = world.place(new_order())

    assert (work.state, work.error) == ("complete", None)
    number = work.names["subscriptions"][0]["reference"]
    assert world.ask(f"/v1/orders/{work.number}")["order"]["orderNumber"] == work.number
    named = [each for each in world.zuora.emulator.tenant.subscriptions if each == number]
    assert named == [number]
    assert_in_step(world, number)


def test_orders_leave_a_run_in_the_history_of_what_their_sync_changed(world: ShopWorld) -> None:
    work = world.place(new_order())

    with world.database.reading() as session:
        runs = read_runs(session, work.names["subscriptions"][0]["reference"], 5)
    assert [(run.trigger, run.actor) for run in runs] == [("order", work.number)]
    assert len(world.rows(OrderStepRow)) == 1


def test_orders_are_created_side_by_side_where_one_other_call_at_a_time_is_permitted(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, zuora_max_concurrency=1) as world:
        cards = [world.do("payment_method")["id"] for _ in range(4)]
        for card in cards:
            payment = {"type": "zuora", "zuora": {"refId": card, "paymentGateway": "CreditCard_UK"}}
            world.submit(new_order(payment=payment))
        world.do("fault", kind="latency", path="POST /v1/orders$", seconds="2")
        world.zuora.emulator.traffic.reset()
        worker = world.worker(threads=8)
        thread = Thread(target=worker.run)

        thread.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(work.ended_at for work in world.rows(OrderWorkRow)):
            time.sleep(0.05)
        worker.stop()
        thread.join(60)

        most = world.zuora.emulator.traffic.listed()["most_at_once"]
        assert {work.state for work in world.rows(OrderWorkRow)} == {"complete"}
        assert most["Default"] == 1
        assert most["High-volume transactions"] > 1
