"""A partner's subscriptions over the API: its own, in pages, as Limio describes the answers."""

from __future__ import annotations

from typing import Any

import pytest

from sync_service.partner.organisations import Partners
from tests.integration.web.conftest import Web
from tests.partner_openapi.validating import check_answer, documented_statuses
from tests.partner_world import PartnerWorld, log_in, open_partner_world

LIST = "/api/partner/mma/subscriptions"
#: What Limio calls them.
LIST_PATH, ONE_PATH = "/partner/mma/subscriptions", "/partner/mma/subscriptions/{id}"


@pytest.fixture
def world(sqlite_web: Web) -> PartnerWorld:
    return open_partner_world(sqlite_web.database, sqlite_web.client)


def ask(web: Web, world: PartnerWorld, who: str, place: str = "", status: int = 200) -> Any:
    answer = web.client.get(LIST + place, headers=world.headers[who])
    assert answer.status_code == status, answer.text
    assert answer.headers["Cache-Control"] == "private, no-store"
    path = ONE_PATH if place.startswith("/") else LIST_PATH
    if status in documented_statuses("GET", path):
        check_answer("GET", path, status, answer.json)
    return answer.json


def ids(page: Any) -> list[str]:
    return [each["id"] for each in page["items"]]


def test_example_1_a_partner_sees_its_own_and_nothing_else(web: Web) -> None:
    world = open_partner_world(web.database, web.client)

    assert ids(ask(web, world, "N")) == ["sub-1", "sub-2", "sub-4", "sub-6"]
    assert ids(ask(web, world, "C")) == ["sub-3"]
    assert set(ask(web, world, "N")) == {"items"}


def test_example_2_an_owner_narrows_and_never_widens(sqlite_web: Web, world: PartnerWorld) -> None:
    assert ids(ask(sqlite_web, world, "N", "?ownerId=id-ada")) == ["sub-1"]
    assert ids(ask(sqlite_web, world, "N", "?ownerId=id-bea")) == ["sub-2", "sub-4"]
    for owner in ("id-bob", "id-dan", "id-none", "", "%25", "a%00b", "x" * 65):
        assert ask(sqlite_web, world, "N", f"?ownerId={owner}") == {"items": []}


def test_example_3_pages_hold_each_once_and_their_cursor_is_good_for_their_own_list_only(web: Web) -> None:
    world = open_partner_world(web.database, web.client)

    first = ask(web, world, "N", "?limit=2")
    second = ask(web, world, "N", f"?limit=2&queryMore={first['queryMore']}")

    assert (ids(first), ids(second)) == (["sub-1", "sub-2"], ["sub-4", "sub-6"])
    assert "queryMore" not in second
    assert "items" not in ask(web, world, "C", f"?queryMore={first['queryMore']}", status=400)
    ask(web, world, "N", f"?ownerId=id-bea&queryMore={first['queryMore']}", status=400)
    ask(web, world, "N", "?queryMore=nonsense", status=400)


@pytest.mark.parametrize("limit", ["0", "101", "-1", "two", "1.5", "", "²"])
def test_a_limit_of_no_use_is_refused(sqlite_web: Web, world: PartnerWorld, limit: str) -> None:
    answer = sqlite_web.client.get(f"{LIST}?limit={limit}", headers=world.headers["N"])

    assert answer.status_code == 400
    assert answer.json == {"message": "limit must be a number from 1 to 100."}


def test_example_5_one_subscription_comes_with_what_hangs_on_it_and_no_payment_method(web: Web) -> None:
    world = open_partner_world(web.database, web.client)

    found = ask(web, world, "N", "/sub-1")

    assert set(found) == {"subscription", "schedule", "offers", "addOns"}
    assert found["subscription"]["id"] == "sub-1"
    kinds = {name: [each["id"] for each in found[name]] for name in ("schedule", "offers", "addOns")}
    assert kinds == {"schedule": ["schedule-1"], "offers": ["subscription_offer-team-1"], "addOns": ["add_on-pr-1"]}


def test_example_4_another_partners_or_a_direct_customers_is_403_and_an_unknown_one_404(web: Web) -> None:
    world = open_partner_world(web.database, web.client)

    refused = {"message": "Partner does not have access to this subscription."}
    assert ask(web, world, "N", "/sub-3", status=403) == refused
    assert ask(web, world, "N", "/sub-5", status=403) == refused
    assert ask(web, world, "C", "/sub-1", status=403) == refused
    for unknown in ("sub-none", "sub-1%20", "cus-ada", "s" * 65, "a%00b"):
        assert ask(web, world, "N", f"/{unknown}", status=404) == {"message": "Subscription not found."}


def test_example_6_without_a_good_token_no_caller_comes_in(sqlite_web: Web) -> None:
    client = sqlite_web.client

    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic bm86bm8="}):
        answer = client.get(LIST, headers=headers)
        check_answer("GET", LIST_PATH, 401, answer.json)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    operator = client.get(LIST, headers=sqlite_web.token())
    assert operator.status_code == 403
    assert 'error="insufficient_scope"' in operator.headers["WWW-Authenticate"]


def test_example_7_no_organisation_is_ever_taken_from_the_request(sqlite_web: Web, world: PartnerWorld) -> None:
    theirs = world.orgs["C"]
    headers = {**world.headers["N"], "partner_org": theirs, "X-Partner-Org": theirs, "Cookie": f"partner_org={theirs}"}

    answer = sqlite_web.client.get(
        f"{LIST}?partner_org={theirs}&lmo:partner_org={theirs}", headers=headers, json={"partner_org": theirs}
    )

    assert ids(answer.json) == ["sub-1", "sub-2", "sub-4", "sub-6"]


def test_a_partners_token_opens_nothing_else(sqlite_web: Web, world: PartnerWorld) -> None:
    client, headers = sqlite_web.client, world.headers["N"]

    assert client.get("/api/objects/limio/subscriptions", headers=headers).status_code == 403
    assert client.post("/api/plugins/zuora/sync/subscription/A-S1", headers=headers).status_code == 403
    assert client.get("/api/partner-organisations", headers=headers).status_code == 403


def test_example_6_a_disabled_organisation_gets_no_token_and_its_tokens_end(
    sqlite_web: Web, world: PartnerWorld
) -> None:
    Partners(sqlite_web.database, "olga").set_disabled(world.orgs["N"], disabled=True)

    # No process has used this token yet, so none trusts it from before; the half minute itself: test_oauth.py.
    assert sqlite_web.client.get(LIST, headers=world.headers["N"]).status_code == 401
    assert ids(ask(sqlite_web, world, "C")) == ["sub-3"]
    with pytest.raises(AssertionError, match="invalid_client"):
        log_in(sqlite_web.database, sqlite_web.client, world.orgs["N"], "N again")

    Partners(sqlite_web.database, "olga").set_disabled(world.orgs["N"], disabled=False)
    world.headers["N"] = log_in(sqlite_web.database, sqlite_web.client, world.orgs["N"], "N enabled")
    assert len(ids(ask(sqlite_web, world, "N"))) == 4


def test_a_token_is_good_for_the_organisation_that_it_was_given_for_and_no_other(
    sqlite_web: Web, world: PartnerWorld
) -> None:
    with sqlite_web.database.transaction() as session:
        session.run("UPDATE oauth_client SET partner_org = :other", {"other": world.orgs["C"]})

    assert sqlite_web.client.get(LIST, headers=world.headers["N"]).status_code == 401
    assert ids(ask(sqlite_web, world, "C")) == ["sub-3"]
