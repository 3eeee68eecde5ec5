"""Where each worked example of an order is played.

E1 to E24 are bodies, compared in `test_examples.py`. E25 to E37 are behaviour:

E25 a worker that is killed after its bytes went · E26 Zuora finishes after the caller gave up · E27 two locks · E28 a
declined card · E29 one Idempotency-Key at once, later, and with another body · E30 two switches · E31 callouts of our
own order and of an agent's · E32 a sync after a sale · E33 an unknown version, a renamed rate plan · E34 loaded orders
· E35 card secrets · E36 silence and a day of outage · E37 a subscription that was imported
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.unit.commerce import world

_TESTS = Path(__file__).parents[2]
_CALLS = "integration/test_order_calls.py"
_WHOLE = "integration/test_orders_in_zuora.py"
_DOOR = "integration/web/test_orders.py"
PLAYED_IN: dict[str, tuple[str, ...]] = {
    "E25": (
        f"{_CALLS}::test_a_worker_that_died_before_its_bytes_went_is_taken_for_one_whose_answer_was_lost",
        f"{_CALLS}::test_after_silence_our_own_number_is_asked_for_and_what_is_there_is_taken",
        # With real processes, at every step of every journey: the part `steps` of make soak.
        "acceptance/test_order_kills.py::test_wherever_a_worker_is_killed_zuora_has_each_order_payment_and_refund_once",
    ),
    "E26": (
        f"{_CALLS}::test_a_first_call_that_still_runs_is_waited_for",
        f"{_WHOLE}::test_an_order_meets_one_fault_and_is_placed_once",
    ),
    "E27": (f"{_CALLS}::test_after_a_lock_the_step_goes_again_under_a_new_key",),
    "E28": (f"{_WHOLE}::test_a_declined_card_leaves_nothing_in_zuora_the_subscription_initial_and_two_webhooks",),
    "E29": (
        f"{_DOOR}::test_twenty_at_once_with_one_key_are_one_order",
        f"{_DOOR}::test_a_key_whose_order_is_still_being_placed_is_409",
        f"{_DOOR}::test_the_same_key_and_body_are_the_same_order",
        f"{_DOOR}::test_the_same_key_with_another_body_is_422",
    ),
    "E30": (f"{_WHOLE}::test_two_switches_of_one_subscription_are_built_one_on_the_other",),
    "E31": (
        "integration/web/test_callouts.py::test_an_order_that_we_placed_is_known_by_its_number_though_no_source_tells",
    ),
    "E32": (
        f"{_WHOLE}::test_a_new_order_makes_an_account_and_a_subscription_that_limio_shows_with_terms_and_schedule",
    ),
    "E33": (
        f"{_DOOR}::test_an_offers_version_that_the_catalog_does_not_know_is_404_and_leaves_nothing",
        f"{_WHOLE}::test_a_rate_plan_that_zuora_has_no_longer_fails_the_order_before_anything_is_sent",
    ),
    "E34": ("integration/test_load.py::test_limios_own_orders_are_kept_and_neither_placed_again_nor_told",),
    "E35": (f"{_DOOR}::test_card_secrets_are_in_no_table_no_log_and_no_webhook",),
    "E36": (f"{_CALLS}::test_what_was_done_before_an_outage_of_a_day_is_found_and_not_done_again",),
    "E37": (f"{_DOOR}::test_a_subscription_that_was_imported_takes_no_orders",),
}


def test_every_worked_example_is_a_body_that_is_compared_or_behaviour_that_is_played() -> None:
    bodies = {each["id"].rstrip("abcd") for each in world.EXAMPLES}

    assert bodies | PLAYED_IN.keys() == {f"E{number}" for number in range(1, 38)}


@pytest.mark.parametrize("name", PLAYED_IN)
def test_the_tests_that_play_it_are_there(name: str) -> None:
    for place in PLAYED_IN[name]:
        path, _, function = place.partition("::")
        tree = ast.parse((_TESTS / path).read_text(encoding="utf-8"))
        assert function in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}, place
