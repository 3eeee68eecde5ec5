"""How long a token is used, and what threads that need one at once do."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from sync_service.errors import TokenRefused, ZuoraUnavailable
from sync_service.zuora.token import TokenKeeper
from sync_service.zuora.transport import AnswerCut, Deadline, RawAnswer


class Zuora:
    """Gives token-1, token-2, … for as long as it is told, and keeps the time."""

    def __init__(self, expires_in: Any = 3599) -> None:
        self.now = 0.0
        self.given = 0
        self.expires_in = expires_in

    def ask(self, _: Deadline) -> RawAnswer:
        self.given += 1
        content = {"access_token": f"token-{self.given}", "expires_in": self.expires_in, "scope": "tenant.19"}
        return RawAnswer(200, {}, json.dumps(content).encode())


def keeper_of(zuora: Zuora) -> TokenKeeper:
    return TokenKeeper(zuora.ask, clock=lambda: zuora.now)


@pytest.mark.parametrize(
    ("expires_in", "used_for"),
    [(3599, 3299), ("3599", 3299), (400, 200), (0, 0), (None, 600), (True, 600), ([], 600), ("soon", 600)],
)
def test_a_token_is_used_until_300_seconds_before_its_end(expires_in: Any, used_for: float) -> None:
    """As in the sample of "Create an OAuth token"; one that lives shorter than that is used for half of its life."""
    zuora = Zuora(expires_in)
    keeper = keeper_of(zuora)
    keeper.get(Deadline(1))

    if used_for:
        zuora.now = used_for - 1
        assert keeper.get(Deadline(1)).value == "token-1"
    zuora.now = used_for
    assert keeper.get(Deadline(1)).value == "token-2"


def test_a_refused_token_is_forgotten_unless_it_was_replaced_already() -> None:
    zuora = Zuora()
    keeper = keeper_of(zuora)
    first = keeper.get(Deadline(1))

    keeper.drop(first)
    second = keeper.get(Deadline(1))
    keeper.drop(first)

    assert keeper.get(Deadline(1)) is second
    assert zuora.given == 2


def test_waiting_for_anothers_token_ends_with_ones_own_deadline() -> None:
    zuora = Zuora()
    asked, go_on = threading.Event(), threading.Event()

    def ask(deadline: Deadline) -> RawAnswer:
        asked.set()
        assert go_on.wait(60)
        return zuora.ask(deadline)

    keeper = TokenKeeper(ask)
    holder = threading.Thread(target=keeper.get, args=(Deadline(10),))
    holder.start()
    assert asked.wait(60)
    with pytest.raises(ZuoraUnavailable, match="token did not come in time"):
        keeper.get(Deadline(0.05))
    go_on.set()
    holder.join()

    assert keeper.get(Deadline(1)).value == "token-1"


def test_a_failure_is_not_kept() -> None:
    zuora = Zuora()
    answers = [RawAnswer(401, {}, b"{}")]
    keeper = TokenKeeper(lambda deadline: answers.pop() if answers else zuora.ask(deadline))
    with pytest.raises(TokenRefused):
        keeper.get(Deadline(1))

    assert keeper.get(Deadline(1)).value == "token-1"


def test_a_connection_closed_while_idle_is_tried_once_more() -> None:
    zuora = Zuora()
    cuts = [AnswerCut("cut")]

    def ask(deadline: Deadline) -> RawAnswer:
        if cuts:
            raise cuts.pop()
        return zuora.ask(deadline)

    assert TokenKeeper(ask).get(Deadline(1)).value == "token-1"


def test_a_token_prints_without_its_value() -> None:
    assert "token-1" not in repr(keeper_of(Zuora()).get(Deadline(1)))
