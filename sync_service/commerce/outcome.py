"""What a step's answer means for the order: the rules of Zuora's idempotency, of silence and of refusals.

Sources, in Zuora's documentation: "Create an order", "Idempotent requests", "Error handling" and "Subscriptions
cancelation with different refunds".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sync_service.commerce.order import Problem, ProblemCode
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
    Next,
    Refused,
    Replan,
    Skipped,
    Step,
    StepKind,
    Take,
)
from sync_service.subscription.schedule.money import parse_amount

#: Zuora forgets a key after a day: then the same key would do it twice ("Idempotent requests").
KEY_LIFE = timedelta(hours=24)
#: How far Zuora's clock and ours may be apart.
CLOCKS_DIFFER = timedelta(minutes=5)
#: Seconds before a step without an answer is asked for: Zuora ends a request after 120, but not always the work.
_ASK_AGAIN = 5.0


def outcome(step: Step, answer: Answer, *, key_age: timedelta = timedelta(0)) -> Next:
    """What follows from the answer to `step`; `key_age` is how long ago its Idempotency-Key was made."""
    match answer.heard:
        case Heard.ANSWER:
            return _judge(step, answer.body or {})
        case Heard.TENANT:
            return Again(new_key=key_age >= KEY_LIFE, after=answer.retry_after or 0.0)
        case Heard.LOCKED:
            # Zuora keeps refusals under the key and would repeat this one.
            return Again(new_key=True, after=answer.retry_after or 1.0)
        case Heard.RUNNING:
            return Again(new_key=False, after=answer.retry_after or _ASK_AGAIN)
        case Heard.SILENCE | Heard.KEY_REUSED:
            return _ask(step, new_key=answer.heard is Heard.KEY_REUSED or key_age >= KEY_LIFE)
        case Heard.NOT_FOUND if step.silence and step.silence.evidence is Evidence.GONE:
            return Done(answer={})
        case Heard.NOT_FOUND if step.may_replan:
            return Replan(problem=_problem_of(answer))
        case Heard.REFUSED | Heard.NOT_FOUND:
            if step.silence and step.silence.evidence is Evidence.EXISTS:
                return Ask(look_up=look_up_of(step), refusal=_problem_of(answer))
            return refuse(step, _problem_of(answer))


def adopt(
    step: Step,
    answer: Answer,
    *,
    sent_at: datetime,
    key_age: timedelta = timedelta(0),
    refusal: Problem | None = None,
    new_key: bool = False,
) -> Next:
    """What follows for `step`, whose own answer never came or was `refusal`, from the answer to its look-up.

    `sent_at` is when it was first sent. `new_key`: its Idempotency-Key is another call's.
    """
    assert step.silence is not None  # noqa: S101 - only such a step is looked up
    happened = _happened(step, answer, sent_at)
    if happened is None:
        return Ask(look_up=look_up_of(step), refusal=refusal)
    if happened:
        return _judge(step, _found(step, answer.body or {}, sent_at))
    if refusal:
        return refuse(step, refusal)
    # The first call may still be at work: under the same key it cannot be done twice.
    return Again(new_key=new_key or key_age >= KEY_LIFE, after=_ASK_AGAIN)


def complete(step: Step, answers: Mapping[str, Mapping[str, Any]]) -> Step | None:
    """The step with everything in its path and body that the answers of earlier steps, by name, tell.

    None where such a step was skipped: then this one is, too.
    """
    for need in step.needs:
        answered = answers.get(need.step)
        if answered is None:
            return None
        match need.take:
            case Take.ID:
                step = _put(step, need.into, str(answered["id"]))
            case Take.CREDIT:
                step = _with_refund(step, credit_of(answered))
    return replace(step, needs=())


def done(step: Step, answer: Mapping[str, Any]) -> Done:
    """What follows from a good answer, also where it was stored before: with what went wrong inside it."""
    return Done(answer=answer, notes=tuple(_failed_inside(answer)) if step.judge is Judge.ORDER else ())


def refuse(step: Step, problem: Problem) -> Next:
    """What follows where Zuora refused the step for good."""
    if step.kind is StepKind.UNDO:
        return Held(problem=problem, choices=(Choice.RETRY, Choice.COUNT_AS_DONE))
    return Refused(problem=problem) if step.critical else Skipped(problem=problem)


def look_up_of(step: Step) -> Step:
    """The call that finds out whether `step` has happened."""
    assert step.silence is not None  # noqa: S101 - only such a step is looked up
    return Step(name=step.name, kind=StepKind.LOOK_UP, method="GET", path=step.silence.path)


def refund_look_up_of(step: Step, following: Next) -> Step | None:
    """The call that finds out what became of the refund inside an order that was found; None where there is none."""
    if not isinstance(following, Done) or step.silence is None or step.silence.refunds is None:
        return None
    asked = ((step.body or {}).get("processingOptions") or {}).get("refund")
    known = following.answer.get("refunds")
    return (
        Step(name=step.name, kind=StepKind.LOOK_UP, method="GET", path=step.silence.refunds)
        if asked and not known
        else None
    )


def adopt_refund(step: Step, following: Done, answer: Answer, *, sent_at: datetime) -> Next:
    """The order that was found, with what its own answer would have said of the refund: the account's list tells it.

    It is ours by its amount, made since the order was sent; none at all is one that failed.
    """
    if answer.heard is not Heard.ANSWER:
        return Ask(look_up=look_up_of(step))
    amount = parse_amount(step.body["processingOptions"]["refundAmount"]) if step.body else None
    found = [
        each
        for each in (answer.body or {}).get("refunds") or ()
        if parse_amount(each.get("amount")) == amount and _is_made_since(each.get("createdDate"), sent_at)
    ]
    refunds = [{"number": each.get("number"), "status": each.get("status")} for each in found]
    return done(step, {**following.answer, "refunds": refunds[:1] or [{"status": "Error"}]})


def credit_of(preview: Mapping[str, Any]) -> Decimal:
    """What a preview of an order gives back to the customer, tax included; 0 where it charges something."""
    result = preview.get("previewResult") or {}
    charged = sum((_amount(each) for each in result.get("invoices") or ()), Decimal(0))
    # A credit memo's own amount is what it gives, whatever its sign.
    given = sum((abs(_amount(each)) for each in result.get("creditMemos") or ()), Decimal(0))
    return max(given - charged, Decimal(0))


def _amount(document: Mapping[str, Any]) -> Decimal:
    return parse_amount(document.get("amount")) or Decimal(0)


def _judge(step: Step, body: Mapping[str, Any]) -> Next:
    if step.judge is Judge.PREVIEW_WITHOUT_REFUND and credit_of(body) > 0:
        return Refused(
            problem=Problem(
                field="",
                code=ProblemCode.NOT_PERMITTED,
                message=f"It would refund {credit_of(body)}: that needs the scope api/order:update_refund.",
            )
        )
    if step.judge is Judge.MADE and not body.get("id"):
        return _ask(step, new_key=False)
    payment = body.get("processedPayment") or body
    if step.judge is Judge.PAYMENT and payment.get("status") == "Error":
        message = str(payment.get("gatewayResponse") or "The gateway declined the payment.")
        return refuse(step, Problem(field="payment", code=ProblemCode.ZUORA, message=message))
    return done(step, body)


def _failed_inside(body: Mapping[str, Any]) -> Iterator[Problem]:
    """A cancel succeeds although its refund or write-off failed: then only these lists tell."""
    for name, words in (("refunds", "refund"), ("writeOff", "write-off")):
        for each in body.get(name) or ():
            if each.get("status") == "Error" or each.get("success") is False:
                message = f"The order was placed, but its {words} failed in Zuora."
                yield Problem(field="", code=ProblemCode.ZUORA, message=message)


def _ask(step: Step, *, new_key: bool) -> Next:
    if step.silence is None:
        return Again(new_key=new_key, after=_ASK_AGAIN)
    return Ask(look_up=look_up_of(step))


def _problem_of(answer: Answer) -> Problem:
    message = answer.message or "Zuora refused without a reason."
    text = f"[{answer.code}] {message}" if answer.code else message
    return Problem(field="", code=ProblemCode.ZUORA, message=text)


def _happened(step: Step, answer: Answer, sent_at: datetime) -> bool | None:
    """None: the look-up itself got no answer."""
    assert step.silence is not None  # noqa: S101 - only such a step is looked up
    if answer.heard is Heard.NOT_FOUND:
        return step.silence.evidence is Evidence.GONE
    if answer.heard is not Heard.ANSWER:
        return None
    found = answer.body or {}
    match step.silence.evidence:
        case Evidence.EXISTS:
            return True
        case Evidence.GONE:
            return False
        case Evidence.PAID:
            return parse_amount(found.get("balance")) == 0
        case Evidence.REFUNDED:
            return (parse_amount(found.get("refundAmount")) or Decimal(0)) > 0
        case Evidence.LISTED:
            return bool(_entry(step, found, sent_at))


def _found(step: Step, body: Mapping[str, Any], sent_at: datetime) -> Mapping[str, Any]:
    """What the look-up found, as the step itself would have been answered."""
    if step.silence and step.silence.evidence is Evidence.LISTED:
        return _entry(step, body, sent_at)
    order = body.get("order")  # "Retrieve an order" answers with the order inside
    return order if step.judge is Judge.ORDER and isinstance(order, Mapping) else body


def _entry(step: Step, found: Mapping[str, Any], sent_at: datetime) -> Mapping[str, Any]:
    silence = step.silence
    assert silence is not None  # noqa: S101 - only such a step is looked up
    wanted = silence.match or {}
    for entry in found.get(silence.listed_in or "") or ():
        is_new = silence.made_at is None or _is_made_since(entry.get(silence.made_at), sent_at)
        if is_new and all(entry.get(key) == value for key, value in wanted.items()):
            return dict(entry)
    return {}


def _is_made_since(text: Any, sent_at: datetime) -> bool:
    """Whether Zuora made it after we sent a call; True where it does not say. A time without zone tells nothing."""
    try:
        made = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return True
    return made.tzinfo is None or made >= sent_at - CLOCKS_DIFFER


def _put(step: Step, into: str, value: str) -> Step:
    if f"{{{into}}}" in step.path:
        return replace(step, path=step.path.replace(f"{{{into}}}", value))
    return replace(step, body={**(step.body or {}), into: value})


def _with_refund(step: Step, credit: Decimal) -> Step:
    if not credit:
        return step
    body = dict(step.body or {})
    # The credit is made by billing up to the cancellation, which may lie ahead.
    action = body["subscriptions"][0]["orderActions"][0]["cancelSubscription"]
    target = max(body["orderDate"], action["cancellationEffectiveDate"])
    body["processingOptions"] = {
        "runBilling": True,
        "collectPayment": False,
        "refund": True,
        "refundAmount": credit,
        "billingOptions": {"targetDate": target},
    }
    return replace(step, body=body)
