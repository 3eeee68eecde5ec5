"""docs/journeys.md shows what the product takes and sends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sync_service.commerce.order import Order, OrderType
from sync_service.commerce.payload import read_order
from tests.unit.commerce.world import LONDON, example, with_ids

PAGE = (Path(__file__).parents[3] / "docs/journeys.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
REQUESTS = re.findall(r"^`(\w+) (\S+)` <!-- (\w+) -->\n\n```json\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_journey_has_its_section() -> None:
    """The 17 rows of "How Limio events update Zuora"; a cancellation with a refund is shown apart."""
    assert len(SECTIONS) == 18
    told = set(re.findall(r"`order_type: (\w+)`", PAGE))
    assert told | {"cancel_intent", "change_external_payment", "gift_refund"} == {each.value for each in OrderType}


@pytest.mark.parametrize("title", SECTIONS)
def test_the_order_of_a_section_is_one_that_is_taken(title: str) -> None:
    payload = re.search(r"```json\n(.*?)\n```", SECTIONS[title], re.DOTALL)
    kind = re.search(r"`order_type: (\w+)`", SECTIONS[title])
    assert payload is not None
    assert kind is not None

    order = read_order(with_ids(json.loads(payload[1])), LONDON)

    assert isinstance(order, Order), order
    assert order.type == kind[1]


@pytest.mark.parametrize(("method", "path", "name", "body"), REQUESTS, ids=[each[2] for each in REQUESTS])
def test_a_request_on_the_page_is_the_worked_one(method: str, path: str, name: str, body: str) -> None:
    wanted = example(name)

    assert (method, path, json.loads(body)) == (wanted["method"], wanted["path"], wanted["body"])
