"""Steps survive the database, and their bytes are exact."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sync_service.commerce.fields import read_json, write_json
from sync_service.commerce.steps import Evidence, Judge, Need, Silence, Step, StepKind, Take, read_step

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_stored_step_is_read_back_equal() -> None:
    undo = Step(
        name="restore_cancel", kind=StepKind.UNDO, method="POST", path="/v1/orders", body={"amount": Decimal("8.4")}
    )
    step = Step(
        name="delete_cancel",
        method="DELETE",
        path="/v1/orders/O-1",
        judge=Judge.PLAIN,
        silence=Silence(evidence=Evidence.GONE, path="/v1/orders/O-1", match={"a": Decimal("0.10")}),
        needs=(Need(step="preview", take=Take.CREDIT, into="processingOptions"),),
        undo=undo,
    )

    assert read_step(step.as_text()) == step


def test_only_posts_carry_a_key() -> None:
    assert Step(name="a", method="POST", path="/").keyed
    assert not Step(name="a", method="PUT", path="/").keyed
    assert not Step(name="a", method="DELETE", path="/").keyed


@given(_VALUES)
def test_json_is_written_as_everyone_reads_it(value: object) -> None:
    assert json.loads(write_json(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_an_amount_keeps_every_digit(amount: Decimal) -> None:
    assert Decimal(str(read_json(write_json({"amount": amount}))["amount"])) == amount


def test_an_amount_is_a_plain_number() -> None:
    assert write_json([Decimal("17.50"), Decimal("1E+2"), Decimal("0E-9"), Decimal(8)]) == "[17.5,100,0,8]"
