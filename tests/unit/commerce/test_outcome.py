"""What follows from an answer. Rules: Zuora's "Idempotent requests", "Create an order", "Error handling"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from sync_service.commerce import outcome as outcomes
from sync_service.commerce.order import Problem, ProblemCode
from sync_service.commerce.outcome import (
    adopt_refund,
    complete,
    credit_of,
    look_up_of,
    outcome,
    refund_look_up_of,
)
from sync_service.commerce.steps import (
    Again,
    Answer,
    Ask,
    Choice,
    Done,
    Evidence,
    Heard,
    Held,
    Judge,
    Need,
    Refused,
    Replan,
    Silence,
    Skipped,
    Step,
    StepKind,
    Take,
)

ORDER = Step(
    name="order",
    method="POST",
    path="/v1/orders",
    body={"orderNumber": "232POEEK2ABG", "orderDate": "2026-12-01"},
    judge=Judge.ORDER,
    silence=Silence(evidence=Evidence.EXISTS, path="/v1/orders/232POEEK2ABG"),
)
DELETION = Step(
    name="delete_cancel",
    method="DELETE",
    path="/v1/orders/O-00000012",
    silence=Silence(evidence=Evidence.GONE, path="/v1/orders/O-00000012"),
)
ACCOUNT = Step(name="account", method="PUT", path="/v1/accounts/A00000007", body={"autoPay": True})
_CANCELLED = {"type": "CancelSubscription", "cancelSubscription": {"cancellationEffectiveDate": "2026-12-01"}}
CANCEL = replace(ORDER, body={**(ORDER.body or {}), "subscriptions": [{"orderActions": [_CANCELLED]}]})
DAY_AND_MORE = timedelta(hours=25)
SENT_AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
#: What follows for a step that was sent at noon.
adopt = partial(outcomes.adopt, sent_at=SENT_AT)
REFUSAL = Answer(heard=Heard.REFUSED, code="40000020", message="Rate plan is not effective.")


def heard(body: dict[str, Any]) -> Answer:
    return Answer(heard=Heard.ANSWER, body=body)


def test_a_good_answer_is_done() -> None:
    assert outcome(ORDER, heard({"orderNumber": "232POEEK2ABG"})) == Done(answer={"orderNumber": "232POEEK2ABG"})


def test_after_silence_we_ask_for_our_own_number() -> None:
    next_ = outcome(ORDER, Answer(heard=Heard.SILENCE))

    assert isinstance(next_, Ask)
    assert (next_.look_up.kind, next_.look_up.method, next_.look_up.path) == (
        StepKind.LOOK_UP,
        "GET",
        "/v1/orders/232POEEK2ABG",
    )


def test_what_is_found_under_our_number_is_adopted() -> None:
    assert adopt(ORDER, heard({"status": "Completed"})) == Done(answer={"status": "Completed"})


def test_what_is_not_found_yet_is_sent_again_under_the_same_key_while_zuora_keeps_it() -> None:
    next_ = adopt(ORDER, Answer(heard=Heard.NOT_FOUND), key_age=timedelta(hours=1))

    assert isinstance(next_, Again)
    assert not next_.new_key


def test_what_is_not_found_after_a_day_is_sent_under_a_new_key() -> None:
    next_ = adopt(ORDER, Answer(heard=Heard.NOT_FOUND), key_age=DAY_AND_MORE)

    assert isinstance(next_, Again)
    assert next_.new_key


@pytest.mark.parametrize("heard_", [Heard.SILENCE, Heard.TENANT, Heard.LOCKED])
def test_a_look_up_without_an_answer_is_made_again(heard_: Heard) -> None:
    assert adopt(ORDER, Answer(heard=heard_)) == Ask(look_up=look_up_of(ORDER))


def test_a_lock_is_waited_for_and_needs_a_new_key_because_zuora_repeats_refusals() -> None:
    next_ = outcome(ORDER, Answer(heard=Heard.LOCKED))

    assert isinstance(next_, Again)
    assert next_.new_key


def test_a_call_that_still_runs_is_waited_for_under_its_own_key() -> None:
    next_ = outcome(ORDER, Answer(heard=Heard.RUNNING))

    assert isinstance(next_, Again)
    assert not next_.new_key


def test_the_tenants_trouble_is_waited_out_under_the_same_key() -> None:
    next_ = outcome(ORDER, Answer(heard=Heard.TENANT, retry_after=120))

    assert next_ == Again(new_key=False, after=120)


def test_a_put_without_an_answer_is_repeated() -> None:
    assert isinstance(outcome(ACCOUNT, Answer(heard=Heard.SILENCE)), Again)


NOT_THERE = Answer(heard=Heard.NOT_FOUND)


def test_a_refusal_is_final_in_zuoras_words_once_our_number_is_not_there_either() -> None:
    asked = outcome(ORDER, REFUSAL)

    assert isinstance(asked, Ask)
    assert asked.look_up == look_up_of(ORDER)
    next_ = adopt(ORDER, NOT_THERE, refusal=asked.refusal)
    assert isinstance(next_, Refused)
    assert (next_.problem.code, next_.problem.message) == (
        ProblemCode.ZUORA,
        "[40000020] Rate plan is not effective.",
    )


def test_a_duplicate_of_an_order_whose_answer_never_came_is_adopted() -> None:
    asked = outcome(ORDER, Answer(heard=Heard.REFUSED, code="40000030", message="The number is in use."))

    assert isinstance(asked, Ask)
    assert adopt(ORDER, heard({"status": "Completed"}), refusal=asked.refusal) == Done(answer={"status": "Completed"})
    assert adopt(ORDER, Answer(heard=Heard.SILENCE), refusal=asked.refusal) == asked


def test_what_zuora_misses_is_read_anew_where_nothing_was_changed_before() -> None:
    gone = Answer(heard=Heard.NOT_FOUND, code="40000040", message="There is no such rate plan.")

    assert isinstance(outcome(replace(ORDER, may_replan=True), gone), Replan)
    assert isinstance(outcome(replace(ORDER, may_replan=True), REFUSAL), Ask)
    assert isinstance(outcome(ORDER, gone), Ask)


def test_the_refusal_of_a_step_that_is_not_critical_is_noted() -> None:
    assert isinstance(outcome(replace(ACCOUNT, critical=False), REFUSAL), Skipped)
    assert isinstance(outcome(ACCOUNT, REFUSAL), Refused)


def test_an_undo_that_is_refused_is_held_for_a_person() -> None:
    next_ = adopt(
        replace(ORDER, kind=StepKind.UNDO), NOT_THERE, refusal=Problem(field="", code=ProblemCode.ZUORA, message="No.")
    )

    assert isinstance(next_, Held)
    assert next_.choices == (Choice.RETRY, Choice.COUNT_AS_DONE)


def test_a_deletion_of_what_is_gone_is_done() -> None:
    assert outcome(DELETION, Answer(heard=Heard.NOT_FOUND)) == Done(answer={})
    assert adopt(DELETION, Answer(heard=Heard.NOT_FOUND)) == Done(answer={})


def test_a_deletion_of_what_is_still_there_is_sent_again() -> None:
    assert isinstance(adopt(DELETION, heard({"orderNumber": "O-00000012"})), Again)


def test_a_refund_that_failed_inside_a_successful_cancel_is_noted() -> None:
    """`refunds[].status` is the only sign ("Subscriptions cancelation with different refunds")."""
    next_ = outcome(ORDER, heard({"success": True, "refunds": [{"status": "Error"}]}))

    assert isinstance(next_, Done)
    assert len(next_.notes) == 1


@pytest.mark.parametrize(("balance", "kind"), [(Decimal("0E-9"), Done), (Decimal("120.00"), Again)])
def test_a_memo_is_collected_once(balance: Decimal, kind: type) -> None:
    collect = Step(
        name="collect",
        method="POST",
        path="/v1/debit-memos/DM-1/collect",
        silence=Silence(evidence=Evidence.PAID, path="/v1/debit-memos/DM-1"),
    )

    assert isinstance(adopt(collect, heard({"balance": balance})), kind)


PAYMENT = Step(
    name="payment",
    method="POST",
    path="/v1/payments",
    judge=Judge.PAYMENT,
    silence=Silence(
        evidence=Evidence.LISTED,
        path="/v1/payments?accountNumber=A00000007",
        listed_in="payments",
        match={"gatewayOrderId": "2L80V1J7K3C0"},
    ),
)


def test_a_payment_is_found_by_our_own_gateway_order_number() -> None:
    ours = {"gatewayOrderId": "2L80V1J7K3C0", "status": "Processed"}

    assert adopt(PAYMENT, heard({"payments": [{"gatewayOrderId": "X"}, ours]})) == Done(answer=ours)
    assert isinstance(adopt(PAYMENT, heard({"payments": [{"gatewayOrderId": "X"}]})), Again)


def test_a_declined_payment_is_a_refusal_in_the_gateways_words() -> None:
    next_ = outcome(PAYMENT, heard({"status": "Error", "gatewayResponse": "Do not honor"}))

    assert isinstance(next_, Refused)
    assert next_.problem.message == "Do not honor"


def a_preview(amount: str) -> dict[str, Any]:
    return {"success": True, "previewResult": {"invoices": [{"amount": Decimal(amount)}]}}


PREVIEW = replace(ORDER, name="preview", path="/v1/orders/preview", silence=None)


def test_a_credit_without_the_scope_to_refund_refuses_the_order_before_anything_is_cancelled() -> None:
    judged = replace(PREVIEW, judge=Judge.PREVIEW_WITHOUT_REFUND)

    next_ = outcome(judged, heard(a_preview("-8.47")))

    assert isinstance(next_, Refused)
    assert next_.problem.code is ProblemCode.NOT_PERMITTED
    assert isinstance(outcome(judged, heard(a_preview("0"))), Done)


def test_the_credit_of_the_preview_is_refunded_by_the_cancel() -> None:
    cancel = replace(CANCEL, needs=(Need(step="preview", take=Take.CREDIT, into="processingOptions"),))

    completed = complete(cancel, {"preview": a_preview("-8.47")})

    assert completed is not None
    assert (completed.body or {})["processingOptions"] == {
        "runBilling": True,
        "collectPayment": False,
        "refund": True,
        "refundAmount": Decimal("8.47"),
        "billingOptions": {"targetDate": "2026-12-01"},
    }
    assert complete(cancel, {"preview": a_preview("0")}) == CANCEL
    assert complete(cancel, {"preview": a_preview("3.10")}) == CANCEL


def test_the_id_of_a_new_contact_goes_into_the_next_body_and_path() -> None:
    need = Need(step="contact", take=Take.ID, into="soldToContactId")

    told = complete(replace(ACCOUNT, needs=(need,)), {"contact": {"id": "c1"}})
    named = replace(ACCOUNT, path="/v1/contacts/{contactId}", needs=(replace(need, into="contactId"),))
    put = complete(named, {"contact": {"id": "c1"}})

    assert told is not None
    assert put is not None
    assert told.body == {"autoPay": True, "soldToContactId": "c1"}
    assert put.path == "/v1/contacts/c1"


def test_what_needs_a_step_that_was_skipped_is_skipped_too() -> None:
    need = Need(step="contact", take=Take.ID, into="soldToContactId")

    assert complete(replace(ACCOUNT, needs=(need,)), {}) is None


def test_an_answer_without_the_id_that_is_needed_is_looked_up() -> None:
    contact = replace(
        PAYMENT, judge=Judge.MADE, silence=Silence(evidence=Evidence.LISTED, path="/c", listed_in="data", match={})
    )

    assert isinstance(outcome(contact, heard({"success": True})), Ask)
    assert adopt(contact, heard({"data": [{"id": "c1"}]})) == Done(answer={"id": "c1"})


@pytest.mark.parametrize(
    ("made", "is_ours"),
    [
        ("2026-12-01T12:00:07Z", True),
        ("2026-12-01T13:00:07+01:00", True),
        ("2026-12-01T11:58:00Z", True),  # Zuora's clock may be late
        ("2026-12-01T11:00:00Z", False),
        ("2026-11-01T12:00:00+00:00", False),
        (None, True),
    ],
)
def test_an_entry_that_is_older_than_our_call_is_not_what_it_made(made: str | None, is_ours: bool) -> None:
    silence = Silence(
        evidence=Evidence.LISTED, path="/c", listed_in="data", match={"city": "Leeds"}, made_at="createdDate"
    )
    contact = replace(PAYMENT, judge=Judge.MADE, silence=silence)
    entry = {"id": "c1", "city": "Leeds", "createdDate": made}

    following = adopt(contact, heard({"data": [entry]}))

    assert following == Done(answer=entry) if is_ours else isinstance(following, Again)


REFUNDING = replace(
    CANCEL,
    body={**(CANCEL.body or {}), "processingOptions": {"refund": True, "refundAmount": Decimal("8.47")}},
    silence=Silence(evidence=Evidence.EXISTS, path="/v1/orders/232POEEK2ABG", refunds="/v1/refunds?accountId=a"),
)


@pytest.mark.parametrize(
    ("refund", "notes"),
    [
        ({"status": "Processed", "amount": Decimal("8.47"), "createdDate": "2026-12-01T12:00:03Z"}, 0),
        ({"status": "Error", "amount": Decimal("8.47"), "createdDate": "2026-12-01T12:00:03Z"}, 1),
        # Another's, and one from before.
        ({"status": "Processed", "amount": Decimal("8.00"), "createdDate": "2026-12-01T12:00:03Z"}, 1),
        ({"status": "Processed", "amount": Decimal("8.47"), "createdDate": "2026-11-01T12:00:03Z"}, 1),
    ],
)
def test_the_refund_inside_an_order_that_is_found_is_looked_for_among_those_of_the_account(
    refund: dict[str, Any], notes: int
) -> None:
    found = adopt(REFUNDING, heard({"status": "Completed"}))
    look_up = refund_look_up_of(REFUNDING, found)

    assert isinstance(found, Done)
    assert look_up is not None
    assert (look_up.method, look_up.path) == ("GET", "/v1/refunds?accountId=a")
    told = adopt_refund(REFUNDING, found, heard({"refunds": [refund]}), sent_at=SENT_AT)
    assert isinstance(told, Done)
    assert len(told.notes) == notes
    assert isinstance(adopt_refund(REFUNDING, found, Answer(heard=Heard.SILENCE), sent_at=SENT_AT), Ask)


def test_no_refund_is_looked_for_where_none_was_asked_for_or_its_outcome_is_known() -> None:
    found = Done(answer={"status": "Completed"})

    assert refund_look_up_of(ORDER, found) is None
    assert refund_look_up_of(replace(REFUNDING, body=CANCEL.body), found) is None
    assert refund_look_up_of(REFUNDING, Done(answer={"refunds": [{"status": "Processed"}]})) is None


@pytest.mark.parametrize("amount", ["8.47", "-8.47"])
def test_what_a_credit_memo_of_the_preview_gives_counts_less_what_is_charged(amount: str) -> None:
    memos = {"creditMemos": [{"amount": Decimal(amount)}]}

    assert credit_of({"previewResult": memos}) == Decimal("8.47")
    assert credit_of({"previewResult": {**memos, "invoices": [{"amount": Decimal(3)}]}}) == Decimal("5.47")


def test_a_preview_that_charges_gives_no_credit() -> None:
    assert credit_of(a_preview("12.00")) == 0
    assert credit_of({}) == 0
