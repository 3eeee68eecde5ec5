"""The steps of placing an order, what was heard after one, and what comes next: values that JSON holds exactly.

A step is committed before its bytes go, its answer before the next step is completed. To resume after a crash it takes
the order, the stored steps with their answers, and nothing else: bodies are decided once, from one read of Zuora.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sync_service.commerce.fields import read_json, write_json
from sync_service.commerce.order import Problem


class StepKind(StrEnum):
    """What a step is for."""

    #: Changes Zuora, or asks it something that the order needs (a preview).
    SEND = "send"
    #: Asks Zuora whether a step that got no answer has happened.
    LOOK_UP = "look_up"
    #: Takes back what an earlier step did, because a later one was refused for good.
    UNDO = "undo"


class CallClass(StrEnum):
    """Which of Zuora's limits of calls at the same time a step counts in ("Rate limits")."""

    #: The tenant's 200: creating and previewing orders, creating accounts.
    ORDERS = "orders"
    #: The tenant's 40.
    DEFAULT = "default"


class Evidence(StrEnum):
    """How the answer to a look-up tells whether the step has happened."""

    #: Found under our own number means happened; its answer is taken in place of the one that never came.
    EXISTS = "exists"
    #: Not found means happened: a deletion.
    GONE = "gone"
    #: The memo's `balance` is 0: it was paid.
    PAID = "paid"
    #: The memo's `refundAmount` is above 0: it was refunded.
    REFUNDED = "refunded"
    #: One entry of the answer's list has all values of `match`.
    LISTED = "listed"


@dataclass(frozen=True, kw_only=True)
class Silence:
    """How to find out whether a step without an answer has happened. None in a step: repeat it freely (a PUT)."""

    evidence: Evidence
    #: What to GET.
    path: str
    #: For LISTED: the name of the list in the answer, and the values that our entry has.
    listed_in: str | None = None
    match: Mapping[str, Any] | None = None
    #: For LISTED: the entry's field that says when it was made; an entry from before the step was sent is not ours.
    made_at: str | None = None
    #: Of an order that refunds: the list of the account's refunds, because an order that is found says nothing of its
    #: own.
    refunds: str | None = None


class Judge(StrEnum):
    """How a good answer to a step is judged."""

    #: Good as it is.
    PLAIN = "plain"
    #: An order: refunds and write-offs inside it may have failed although it succeeded ("Cancel with refunds").
    ORDER = "order"
    #: A preview of a cancellation whose credit will be refunded.
    PREVIEW = "preview"
    #: The same by a caller who may not refund: a credit refuses the order.
    PREVIEW_WITHOUT_REFUND = "preview_without_refund"
    #: A payment, or a collection with its `processedPayment`: the `status` is Processed or Error.
    PAYMENT = "payment"
    #: Something new whose id a later step needs; an answer without it is as good as none.
    MADE = "made"


class Take(StrEnum):
    """Which value of an earlier answer a step needs."""

    #: `id`.
    ID = "id"
    #: The credit of a preview: makes the cancellation refund it, if there is any.
    CREDIT = "credit"


@dataclass(frozen=True, kw_only=True)
class Need:
    """One value that an earlier step's answer tells."""

    step: str
    take: Take
    #: The dotted path in the body, or the name between braces in `path`.
    into: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of Zuora. `name` is unique in its plan and stable, for people and for `Need`."""

    name: str
    kind: StepKind = StepKind.SEND
    method: str
    path: str
    #: A JSON value with exact numbers (Decimal); None: no body.
    body: Mapping[str, Any] | None = None
    call_class: CallClass = CallClass.DEFAULT
    silence: Silence | None = None
    judge: Judge = Judge.PLAIN
    needs: tuple[Need, ...] = ()
    #: Whether a refusal fails the order; else it is noted and the order goes on.
    critical: bool = True
    #: Run when this step was answered and a later one is refused for good.
    undo: Step | None = None
    #: Nothing was changed before it: where Zuora misses something that its body names, a fresh read may help.
    may_replan: bool = False

    @property
    def keyed(self) -> bool:
        """Whether an Idempotency-Key goes with it: Zuora takes one on POST and PATCH only ("Idempotent requests")."""
        return self.method in ("POST", "PATCH")

    @property
    def body_text(self) -> str | None:
        """The bytes to send, as text; the same for every try."""
        return None if self.body is None else write_json(self.body)

    def as_text(self) -> str:
        """The step as JSON, to store; `read_step` reads it back equal."""
        return write_json(asdict(self))


def read_step(text: str) -> Step:
    """The step that `Step.as_text` wrote."""
    return _read_step(read_json(text))


def _read_step(value: Mapping[str, Any]) -> Step:
    silence, undo = value["silence"], value["undo"]
    return Step(
        **{
            **value,
            "kind": StepKind(value["kind"]),
            "call_class": CallClass(value["call_class"]),
            "judge": Judge(value["judge"]),
            "silence": silence and Silence(**{**silence, "evidence": Evidence(silence["evidence"])}),
            "needs": tuple(Need(**{**need, "take": Take(need["take"])}) for need in value["needs"]),
            "undo": undo and _read_step(undo),
        }
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All steps of an order, in the order in which they run. No step: the order ends in the store."""

    steps: tuple[Step, ...]
    #: What the caller should know: an effective date that was moved, an add-on that ends.
    warnings: tuple[Problem, ...] = ()


class Heard(StrEnum):
    """What came back from Zuora, decided by the code's category before the HTTP status ("Error handling")."""

    #: A good answer, also one that a repeated key brought again.
    ANSWER = "answer"
    #: A definite no (categories 20 to 30, 45, 90, 99).
    REFUSED = "refused"
    #: 404, category 40.
    NOT_FOUND = "not_found"
    #: 409, category 50: something else holds what we need.
    LOCKED = "locked"
    #: 409 to our own key: the first call with it is still running.
    RUNNING = "running"
    #: 422: the key was used for something else.
    KEY_REUSED = "key_reused"
    #: Rate limit, token, permission, maintenance: no order is at fault.
    TENANT = "tenant"
    #: No answer, a server error (categories 60, 61), or one that cannot be read: it may have happened.
    SILENCE = "silence"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was heard after a step."""

    heard: Heard
    body: Mapping[str, Any] | None = None
    #: Zuora's code and words, where it refused.
    code: str | None = None
    message: str | None = None
    #: Seconds that Zuora asks us to wait.
    retry_after: float | None = None


class Choice(StrEnum):
    """What a person may decide about an order that is held."""

    #: Run the step again.
    RETRY = "retry"
    #: It has happened: go on as if Zuora had answered.
    COUNT_AS_DONE = "count_as_done"
    #: Give the order up.
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Done:
    """The step has happened; `answer` is Zuora's, also where it was looked up. Go on with the next step or finish."""

    answer: Mapping[str, Any]
    #: What went wrong beside it without failing the order: a refund inside a successful cancel.
    notes: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """It may have happened: send this look-up and give its answer to `adopt`."""

    look_up: Step
    #: Zuora refused: that is the end only if our number is not there either. Zuora would refuse as a duplicate, too,
    #: what an earlier call did whose answer never came.
    refusal: Problem | None = None


@dataclass(frozen=True, kw_only=True)
class Again:
    """Send the same body again, after a wait."""

    new_key: bool
    #: Seconds at least; the queue's backoff and jitter come on top.
    after: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Replan:
    """The body no longer fits what Zuora holds: read everything anew and plan again, once. Nothing was changed yet."""

    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Final: run the undo steps of those answered before, last first, then fail the order."""

    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A step that is not critical was refused: noted, go on."""

    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Held:
    """Only a person can decide."""

    problem: Problem
    choices: tuple[Choice, ...]


Next = Done | Ask | Again | Replan | Refused | Skipped | Held
