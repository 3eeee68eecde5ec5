"""Orders at the emulator: whole or not at all, once, and told of."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date
from threading import Thread
from typing import Any

import pytest

from tests.order_bodies.bodies import fill, read_examples
from tests.order_bodies.world import NUMBER, World
from zuora_emulator.messages import Answer

EXAMPLES = {each.id: each for each in read_examples()}


def body_of(world: World, example: str, **changed: Any) -> dict[str, Any]:
    """The body of an example in a world, some of its outer fields changed."""
    return {**deepcopy(fill(EXAMPLES[example], world.ids).body), **changed}


def code_of(answer: Answer) -> int:
    code: int = json.loads(answer.encode())["reasons"][0]["code"]
    return code


def everything(world: World) -> dict[str, Any]:
    """All that an order may leave behind."""
    tenant = world.tenant
    return {
        "accounts": dict(tenant.accounts),
        "contacts": dict(tenant.contacts),
        "subscriptions": {number: list(each.versions) for number, each in tenant.subscriptions.items()},
        "orders": dict(tenant.orders),
        "methods": dict(tenant.payment_methods.methods),
        "documents": dict(tenant.ledger.documents),
        "payments": dict(tenant.ledger.payments),
        "callouts": len(world.emulator.callouts.listed()),
    }


@pytest.mark.parametrize("reason", ["declined card", "tax", "another account's card", "duplicate subscription"])
def test_a_refused_sale_leaves_nothing_behind(reason: str) -> None:
    world = World(subscribed=reason in ("another account's card", "duplicate subscription"))
    match reason:
        case "declined card":
            world.do("payment_method", id=world.ids["pm"], declines="Insufficient funds")
        case "tax":
            world.do("fault", kind="tax_error", path="POST /v1/orders$")
        case "duplicate subscription":
            world.do("payment_method", id=world.ids["pm"], account="-")
    world.do("callouts", url="http://127.0.0.1:9")
    before = everything(world)

    answer = world.request("POST", "/v1/orders", body_of(world, "E1"))

    assert answer.status in (400, 500)
    assert everything(world) == before
    world.emulator.stop()


def test_a_declined_card_is_said_in_the_banks_words() -> None:
    world = World(subscribed=False)
    world.do("payment_method", id=world.ids["pm"], declines="Insufficient funds")

    answer = world.request("POST", "/v1/orders", body_of(world, "E1"))

    assert code_of(answer) == 40000099
    assert "Insufficient funds" in str(answer.body)


def test_the_number_of_a_refused_order_is_free() -> None:
    world = World(subscribed=False)
    world.do("fault", kind="decline", path="POST /v1/orders$", count=1)
    refused = world.request("POST", "/v1/orders", body_of(world, "E1"))

    world.ask("POST", "/v1/orders", body_of(world, "E1"))

    assert refused.status == 500


@pytest.mark.parametrize("number", ["with#hash", "with?mark", "with/slash", "x" * 101])
def test_a_number_that_no_address_can_hold_is_refused(number: str) -> None:
    world = World(subscribed=False)

    assert world.request("POST", "/v1/orders", body_of(world, "E1", orderNumber=number)).status == 400


def test_an_order_number_is_used_once() -> None:
    world = World()
    world.ask("POST", "/v1/orders", body_of(world, "E12"))

    again = world.request("POST", "/v1/orders", body_of(world, "E12"))

    assert code_of(again) == 40000020
    assert len(world.tenant.subscriptions[NUMBER].versions) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"collectPayment": True},
        {"runBilling": True, "collectPayment": True, "refund": True, "refundAmount": 1},
        {"runBilling": True, "refund": True},
        {"refund": True, "refundAmount": 1},
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, Any]) -> None:
    world = World()

    assert world.request("POST", "/v1/orders", body_of(world, "E13", processingOptions=options)).status == 400


def test_an_order_of_another_account_than_the_payer_is_refused() -> None:
    world = World()
    world.do("create_account", number="A9", currency="GBP", first_name="Grace", last_name="Hopper")

    answer = world.request("POST", "/v1/orders", body_of(world, "E13", existingAccountNumber="A9"))

    assert code_of(answer) == 58730020


def test_a_field_that_the_tenant_does_not_have_is_refused() -> None:
    world = World()

    answer = world.request("POST", "/v1/orders", body_of(world, "E13", customFields={"Nothing__c": "x"}))

    assert code_of(answer) == 40000021


def test_a_plan_that_is_not_sold_on_the_day_is_refused_in_zuoras_words() -> None:
    world = World(subscribed=False)
    world.do("product", product="Digital", plan="Monthly", price="12", sold_until="2026-12-01")

    answer = world.request("POST", "/v1/orders", body_of(world, "E1"))

    assert code_of(answer) == 40000020
    assert "is not effective on the contract effective date of 12/01/2026" in str(answer.body)


def test_every_action_of_an_order_is_told_with_its_number_and_source() -> None:
    world = World()
    world.do("callouts", url="http://127.0.0.1:9")

    world.ask("POST", "/v1/orders", body_of(world, "E8"))

    told = [json.loads(each["body"]) for each in world.emulator.callouts.listed()]
    assert [each["OrderActionType"] for each in told] == ["TermsAndConditions", "RemoveProduct", "AddProduct"]
    assert {(each["OrderNumber"], each["OrderSource__c"]) for each in told} == {("2C50V1J7K3C0", "shop")}
    world.emulator.stop()


def test_a_refund_that_the_gateway_refuses_lets_the_cancellation_stand() -> None:
    world = World()
    world.do("fault", kind="refund_error", path="POST /v1/orders$")

    answer = world.ask("POST", "/v1/orders", body_of(world, "E14b"))

    assert answer["refunds"] == [{"status": "Error"}]
    assert world.tenant.subscriptions[NUMBER].latest.cancelled_on == date(2026, 12, 1)
    assert world.tenant.ledger.sums().get("Refund GBP") is None


def test_a_deleted_order_takes_its_version_along() -> None:
    world = World()
    world.ask("POST", "/v1/orders", body_of(world, "E13"))

    world.ask("DELETE", "/v1/orders/2G20V1J7K3C0")

    assert world.request("GET", "/v1/orders/2G20V1J7K3C0").status == 404
    assert world.ask("GET", f"/v1/subscriptions/{NUMBER}")["termEndDate"] == "2027-03-01"


def test_a_billed_order_is_not_deleted() -> None:
    world = World()
    world.ask("POST", "/v1/orders", body_of(world, "E8"))

    assert world.request("DELETE", "/v1/orders/2C50V1J7K3C0").status == 400


def test_only_the_last_order_of_a_subscription_is_deleted() -> None:
    world = World()
    world.ask("POST", "/v1/orders", body_of(world, "E11"))
    world.ask("POST", "/v1/orders", body_of(world, "E13"))

    assert world.request("DELETE", "/v1/orders/2E80V1J7K3C0").status == 400


def test_deleting_the_order_that_created_a_subscription_removes_it() -> None:
    world = World(subscribed=False)
    world.ask("POST", "/v1/orders", body_of(world, "E2"))

    world.ask("DELETE", "/v1/orders/232POEEK2ABG")

    assert world.request("GET", f"/v1/subscriptions/{NUMBER}").status == 404


def test_a_preview_changes_nothing() -> None:
    world = World()
    before = everything(world)

    world.ask("POST", "/v1/orders/preview", body_of(world, "E14a"))

    assert everything(world) == before


# --- idempotency keys


def test_a_repeated_key_gets_the_first_answer_and_no_second_order() -> None:
    world = World()
    first = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    again = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    assert (again.status, json.loads(again.encode())) == (200, json.loads(first.encode()))
    assert len(world.tenant.orders) == 4


def test_a_failure_is_repeated_too_until_the_key_is_another() -> None:
    world = World()
    world.do("fault", kind="lock", path="POST /v1/orders$", count=1)
    first = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    again = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")
    other = world.request("POST", "/v1/orders", body_of(world, "E12"), key="two")

    assert [code_of(first), code_of(again)] == [40000050, 40000050]
    assert [first.status, again.status, other.status] == [409, 409, 200]


def test_what_never_reached_the_tenant_is_not_kept() -> None:
    world = World()
    world.do("fault", kind="rate_limit", path="POST /v1/orders$", count=1)
    first = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    again = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    assert [first.status, again.status] == [429, 200]


def test_a_key_stands_for_one_address_and_one_body() -> None:
    world = World()
    world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    other_body = world.request("POST", "/v1/orders", body_of(world, "E13"), key="one")
    other_address = world.request("POST", "/v1/orders/preview", body_of(world, "E12"), key="one")

    assert [other_body.status, other_address.status] == [422, 422]


def test_a_key_is_free_after_a_day() -> None:
    world = World()
    world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")
    world.do("advance", days=1)

    answer = world.request("POST", "/v1/orders", body_of(world, "E13"), key="one")

    assert answer.status == 200


def test_a_repetition_may_be_a_conflict_with_the_first_answer() -> None:
    world = World()
    world.do("settings", replays_as_conflict=True)
    world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    again = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    assert (again.status, json.loads(again.encode())["orderNumber"]) == (409, "2F50V1J7K3C0")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods_than_post_take_no_key(method: str) -> None:
    world = World()

    assert world.request(method, "/v1/accounts/A00000007", {"name": "x"}, key="one").status == 400


def test_an_order_whose_answer_is_lost_was_done() -> None:
    world = World()
    world.do("fault", kind="lose_answer", path="POST /v1/orders$", count=1)

    lost = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")
    again = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")

    assert (lost.manner, again.status) == ("none", 200)
    assert len(world.tenant.orders) == 4


def test_an_order_that_took_too_long_is_done_later_and_its_key_is_taken_meanwhile() -> None:
    world = World()
    world.do("fault", kind="finish_later", path="POST /v1/orders$", count=1, seconds=0, up_to=1)

    given_up = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")
    meanwhile = world.request("POST", "/v1/orders", body_of(world, "E12"), key="one")
    not_yet = world.request("GET", "/v1/orders/2F50V1J7K3C0").status
    while world.emulator.keys.listed()["one"] == "running":
        world.emulator.stopping.wait(0.01)

    assert (given_up.manner, meanwhile.status, not_yet) == ("none", 409, 404)
    assert world.request("POST", "/v1/orders", body_of(world, "E12"), key="one").status == 200
    assert len(world.tenant.orders) == 4


def test_of_one_key_twice_at_once_one_order_comes() -> None:
    world = World()
    world.do("fault", kind="latency", path="POST /v1/orders$", seconds=0.05)
    answers: list[Answer] = []

    def send() -> None:
        answers.append(world.request("POST", "/v1/orders", body_of(world, "E12"), key="one"))

    threads = [Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {each.status for each in answers} <= {200, 409}
    assert len(world.tenant.orders) == 4
