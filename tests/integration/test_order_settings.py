"""Each setting of how orders are placed, all the way: what stands in the emulated Zuora and in Limio's store."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from sync_service.store.engine import Database
from sync_service.store.tables import GiftCodeRow, OrderStepRow, SubscriptionOfferRow
from sync_service.sync.forecast import compute_plan
from tests.shop_world import NUMBER, ShopWorld, new_order, of_subscription, open_shop_world
from zuora_emulator.shop import CARDS, offer_ref


def in_step(world: ShopWorld, number: str) -> bool:
    """Whether a sync of the number would change nothing."""
    plan, _ = compute_plan(world.sync(), number, world.context.zuora.reading())
    return plan.changes == ()


def new_number(work: Any, index: int = 0) -> str:
    number: str = work.names["subscriptions"][index]["reference"]
    return number


def calls(world: ShopWorld) -> list[str]:
    """The names of the steps, in the order in which they were sent."""
    return [row.name for row in sorted(world.rows(OrderStepRow), key=lambda row: (row.sent_at, row.n))]


def test_a_card_that_is_new_to_the_owners_account_pays_by_its_profile_and_its_fields(
    sqlite_database: Database,
) -> None:
    settings = {
        "order_account_model": "1-N",
        "order_collect_payment": True,
        "order_payment_profiles": True,
        "order_advanced_payment_manager": True,
    }
    with open_shop_world(sqlite_database, **settings) as world:
        first = world.place(new_order())
        account = world.ask(f"/v1/subscriptions/{new_number(first)}")["accountNumber"]
        card = world.do("payment_method")["id"]
        payment = {"type": "zuora", "zuora": {"refId": card, "paymentGateway": "CreditCard_UK"}}

        second = world.place(new_order("Print", owner=first.names["owner"], payment=payment))

        subscription = world.ask(f"/v1/subscriptions/{new_number(second)}")
        assert (first.state, second.state, second.error) == ("complete", "complete", None)
        assert subscription["accountNumber"] == account
        assert subscription["PaymentMethodId__c"] == card
        assert calls(world) == ["order", "associate", "order"]
        assert world.ask(f"/v1/accounts/{account}")["billingAndPayment"]["defaultPaymentMethodId"] == CARDS["good"]
        assert in_step(world, new_number(second))


def test_several_offers_are_one_subscription_where_the_tenant_wants_it(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, order_one_subscription=True) as world:
        items = [{"offer": offer_ref(name), "quantity": 1} for name in ("Digital Monthly", "Print")]

        work = world.place(new_order(orderItems=items))

        assert (work.state, work.error, len(work.names["subscriptions"])) == ("complete", None, 1)
        plans = world.ask(f"/v1/subscriptions/{new_number(work)}")["ratePlans"]
        held = [each for each in world.rows(SubscriptionOfferRow) if each.owner == work.names["owner"]]
        assert {plan["ratePlanName"] for plan in plans} == {"Digital Monthly", "Print"}
        assert {each.document["data"]["name"] for each in held} == {"Digital Monthly", "Print"}
        assert in_step(world, new_number(work))


def test_what_was_paid_ahead_is_refunded_by_the_cancellation(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, order_collect_payment=True, order_refund_cancelled=True) as world:
        bought = world.place(new_order("Digital Annual"))
        number = new_number(bought)
        on = (world.today + timedelta(days=30)).isoformat()

        work = world.place(of_subscription("cancel_subscription", number, cancelDate=on))

        refunds = world.ask("/v1/refunds")["refunds"]
        credit = Decimal(str(sum(each["amount"] for each in refunds)))
        assert (work.state, work.error) == ("complete", None)
        assert calls(world) == ["order", "preview", "order"]
        assert Decimal(80) < credit < Decimal(99)
        assert in_step(world, number)


@pytest.mark.parametrize("fault", ["lose_answer", "finish_later"])
@pytest.mark.parametrize("refund_fails", [True, False])
def test_what_became_of_a_refund_is_known_also_where_zuoras_answer_to_its_cancellation_was_lost(
    sqlite_database: Database, fault: str, refund_fails: bool
) -> None:
    with open_shop_world(sqlite_database, order_collect_payment=True, order_refund_cancelled=True) as world:
        number = new_number(world.place(new_order("Digital Annual")))
        more = {"seconds": "0.05", "up_to": "0.1"} if fault == "finish_later" else {}
        world.do("fault", kind=fault, path="POST /v1/orders$", count="1", **more)
        if refund_fails:
            world.do("fault", kind="refund_error", path="POST /v1/orders$", count="1")

        work = world.place(of_subscription("cancel_subscription", number, cancelDate=world.today.isoformat()))

        assert [each["status"] for each in world.ask("/v1/refunds")["refunds"]] == [
            "Error" if refund_fails else "Processed"
        ]
        assert (work.state, work.error) == ("complete", None)
        assert work.notes == (["The order was placed, but its refund failed in Zuora."] if refund_fails else [])


def test_a_switch_at_once_is_billed_and_collected(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, order_collect_payment=True) as world:
        number = new_number(world.place(new_order()))
        paid = len(world.ask("/v1/payments")["payments"])

        work = world.place(
            of_subscription("change_offer", number, offer=offer_ref("Print"), effectiveDate=world.today.isoformat())
        )

        assert (work.state, work.error) == ("complete", None)
        assert len(world.ask("/v1/payments")["payments"]) == paid + 1
        assert in_step(world, number)


def test_a_gift_whose_card_is_declined_leaves_nothing_to_pay_and_no_code(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, order_collect_payment=True) as world:
        work = world.place(new_order("Gift of a year", card="declined", isGift=True))

        memo = world.ask(f"/v1/debit-memos/DM-{work.number}")
        assert work.state == "failed"
        assert memo["balance"] == 0
        assert [each.status for each in world.rows(GiftCodeRow)] == ["void"]


def test_a_gift_is_paid_and_paid_back_while_it_is_not_redeemed(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database, order_collect_payment=True) as world:
        bought = world.place(new_order("Gift of a year", isGift=True))
        assert world.ask(f"/v1/debit-memos/DM-{bought.number}")["balance"] == 0

        work = world.place(of_subscription("gift_refund", new_number(bought)))

        memo = world.ask(f"/v1/credit-memos/CM-{work.number}")
        assert (work.state, work.error) == ("complete", None)
        assert memo["refundAmount"] == 90
        assert [each.status for each in world.rows(GiftCodeRow)] == ["void"]


def test_more_seats_are_the_same_product(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database) as world:
        number = new_number(world.place(new_order(orderItems=[{"offer": offer_ref("Seats"), "quantity": 5}])))
        today = world.today.isoformat()
        seats = {"record_type": "offer", "effective_date": today}
        updates = [
            {"type": "remove", "id": offer_ref("Seats")["id"], "quantity": 5, **seats},
            {"type": "add", **offer_ref("Seats"), "quantity": 8, **seats},
        ]

        work = world.place(of_subscription("update_subscription", number, updates=updates))

        [plan] = world.ask(f"/v1/subscriptions/{number}")["ratePlans"]
        assert (work.state, work.error) == ("complete", None)
        assert plan["ratePlanCharges"][0]["quantity"] == 8
        assert in_step(world, number)


def test_a_subscription_that_ended_gets_a_successor_on_its_account(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database) as world:
        number = new_number(world.place(new_order()))
        today = world.today.isoformat()
        assert world.place(of_subscription("cancel_subscription", number, cancelDate=today)).state == "complete"

        work = world.place(
            of_subscription("renew", number, orderItems=[{"offer": offer_ref("Digital Annual"), "quantity": 1}])
        )

        before, after = world.ask(f"/v1/subscriptions/{number}"), world.ask(f"/v1/subscriptions/{new_number(work)}")
        assert (work.state, work.error) == ("complete", None)
        assert after["accountNumber"] == before["accountNumber"]
        assert after["subscriptionStartDate"] == world.today.isoformat()
        assert in_step(world, new_number(work))


def test_a_plan_that_was_removed_in_zuora_meanwhile_is_read_anew(sqlite_database: Database) -> None:
    with open_shop_world(sqlite_database) as world:
        world.do("fault", kind="error", path="POST /v1/orders$", count="1", status="404", code="40000040")

        work = world.place(of_subscription("change_offer", offer=offer_ref("Print")))

        assert (work.state, work.error, work.replanned) == ("complete", None, True)
        assert in_step(world, NUMBER)
