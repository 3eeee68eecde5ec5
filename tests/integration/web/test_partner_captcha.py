"""The captcha of a partner's shop: with a secret it is verified at its service, and closed where that cannot tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug import Request, Response
from werkzeug.serving import make_server

from sync_service.operations.check.everything import check_captcha
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.store.tables import BasketRow
from tests.integration.web.conftest import Web, build
from tests.integration.web.partner_shop import MMA, Shop, add
from tests.partner_world import open_partner_world, stop_clock

SECRET = "what the captcha's service and we know"


@dataclass
class Siteverify:
    """A captcha's service; `said` is its answer to the right secret."""

    url: str = ""
    secret: str = SECRET
    said: Any = field(default_factory=lambda: {"success": True})
    asked: list[dict[str, str]] = field(default_factory=list)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        form = Request(environ).form.to_dict()
        self.asked.append(form)
        wrong = {"success": False, "error-codes": ["invalid-input-secret"]}
        body = json.dumps(self.said if form["secret"] == self.secret else wrong)
        return Response(body, content_type="application/json")(environ, start_response)


@pytest.fixture
def service() -> Iterator[Siteverify]:
    made = Siteverify()
    server = make_server("127.0.0.1", 0, made, threaded=True)
    made.url = f"http://127.0.0.1:{server.port}/siteverify"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def open_shop(database: Database, patch: pytest.MonkeyPatch, **settings: Any) -> Shop:
    stop_clock(patch)
    web: Web = build(database, **settings)
    return Shop(web, open_partner_world(database, web.client).headers["N"])


def test_a_token_that_its_service_knows_lets_in_and_is_asked_with_the_persons_address(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, service: Siteverify
) -> None:
    shop = open_shop(sqlite_database, monkeypatch, captcha_secret=SECRET, captcha_verify_url=service.url)

    assert shop.ask("POST", {"order": OPENED}, xForwardedFor="203.0.113.9").status_code == 200

    assert service.asked == [{"secret": SECRET, "response": "a token", "remoteip": "203.0.113.9"}]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"success": True, "score": 0.9}, 200),
        ({"success": True, "score": 0.1}, 400),
        ({"success": False, "error-codes": ["timeout-or-duplicate"]}, 400),
        ({"success": "true"}, 400),
        ({}, 400),
        ({"success": False, "error-codes": ["invalid-input-secret"]}, 502),
        ([], 502),
    ],
    ids=str,
)
def test_only_a_clear_yes_of_its_service_lets_in(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, service: Siteverify, said: Any, status: int
) -> None:
    shop = open_shop(sqlite_database, monkeypatch, captcha_secret=SECRET, captcha_verify_url=service.url)
    service.said = said

    answer = shop.ask("POST", {"order": OPENED})

    assert answer.status_code == status, answer.text
    assert len(shop.web.rows(BasketRow)) == (status == 200)


def test_while_its_service_is_away_the_shop_is_closed_and_everything_else_open(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(
        sqlite_database, monkeypatch, captcha_secret=SECRET, captcha_verify_url="http://127.0.0.1:1/siteverify"
    )

    closed = shop.ask("POST", {"order": OPENED})

    assert (closed.status_code, "cannot be verified" in closed.json["message"]) == (502, True)
    mma = Shop(shop.web, shop.headers, MMA)
    assert mma.open().status_code == 200
    assert mma.put(add("Business", 5)).status_code == 200
    shop.cookie = mma.cookie
    assert shop.ask("GET").status_code == 200
    assert shop.put(add("Business", 4)).status_code == 502


def test_the_check_tries_the_service_and_says_where_nothing_is_verified(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, service: Siteverify
) -> None:
    def found(**settings: str) -> list[tuple[str, str]]:
        with sqlite_database.reading() as session:
            return [(str(each.verdict), each.says) for each in check_captcha(session, Settings(**settings))]

    assert found() == []
    open_shop(sqlite_database, monkeypatch)
    [(verdict, says)] = found()
    assert (verdict, "not verified" in says) == ("warning", True)
    service.said = {"success": False, "error-codes": ["invalid-input-response"]}
    assert found(captcha_secret=SECRET, captcha_verify_url=service.url)[0][0] == "ok"
    assert found(captcha_secret="another", captcha_verify_url=service.url)[0][0] == "failed"
    assert found(captcha_secret=SECRET, captcha_verify_url="http://127.0.0.1:1/")[0][0] == "failed"


def test_a_new_secret_reopens_the_shop_and_baskets_go_on_where_they_were(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, service: Siteverify
) -> None:
    new = "what both know after the change"
    shop = open_shop(sqlite_database, monkeypatch, captcha_secret=SECRET, captcha_verify_url=service.url)
    assert shop.open().status_code == 200
    chosen = shop.order(add("Business", 5))["order"]["orderItems"]

    service.secret = new
    assert [shop.put(add("Business", 6)).status_code, shop.open().status_code] == [502, 502]
    [basket] = shop.web.rows(BasketRow)

    restarted = build(sqlite_database, captcha_secret=new, captcha_verify_url=service.url)
    shop.client = restarted.client.application.test_client(use_cookies=False)
    assert shop.ask("GET").json["order"]["orderItems"] == chosen
    assert shop.put(add("Business", 6)).status_code == 200
    assert [each.id for each in shop.web.rows(BasketRow)] == [basket.id]


OPENED = {"forSubscription": {"id": "sub-1"}, "order_type": "update_subscription"}
