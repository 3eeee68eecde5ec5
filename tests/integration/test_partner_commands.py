"""`partner`, and `client add --partner`: by command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sync_service.store.tables import CustomerRow, IdentityRow, SubscriptionRow
from tests.integration.test_operating import Console, installed


@pytest.fixture
def console(sqlite_url: str) -> Iterator[Console]:
    with installed(sqlite_url) as console:
        yield console


def make(console: Console, name: str, account: str) -> str:
    return str(console.json("partner", "add", name, "--account", account, "--pays")["id"])


def test_a_partner_from_its_beginning_to_its_end(console: Console) -> None:
    assert "partner add" in console.run("partner", "list").stdout
    north = make(console, "North", "A-N")

    user = console.json("partner", "user", "add", north, "ann@x.example", "--name", "Ann")
    assert user["partner_org"] == north
    [listed] = console.json("partner", "user", "list", north)
    assert (listed["name"], listed["status"]) == ("ann@x.example", "active")
    assert "ann@x.example" in console.run("partner", "user", "list", north).stdout
    for word, status in (("disable", "disabled"), ("enable", "active")):
        assert console.json("partner", "user", word, north, user["id"])["status"] == status
        assert console.json("partner", word, north)["status"] == status
        assert [each["status"] for each in console.json("partner", "list")] == [status]
    assert "the partner" in console.run("partner", "list").stdout


def test_a_client_of_a_partner_has_that_scope_alone(console: Console) -> None:
    north = make(console, "North", "A-N")

    console.json("client", "add", "shop", "--partner", north)

    [client] = console.json("client", "list")
    assert (client["scope"], client["partner_org"]) == ("partner", north)
    for words in (["--partner", north, "--scope", "api/objects:read"], ["--partner", north, "--callout"], []):
        assert "Give --scope, or --partner alone." in console.run("client", "add", "other", *words, status=2).output
    assert "no such partner" in console.run("client", "add", "other", "--partner", "none", status=1).output


def test_a_subscription_is_assigned_with_its_people(console: Console) -> None:
    north, coast = make(console, "North", "A-N"), make(console, "Coast", "A-C")
    with console.database.transaction() as session:
        session.add(IdentityRow(id="id-ada", document={}))
        session.add(CustomerRow(id="cus-ada", document={}))
        for number in (1, 2):
            session.add(
                SubscriptionRow(
                    id=f"sub-{number}", reference=f"A-S{number}", owner="id-ada", customer="cus-ada", document={}
                )
            )
    assert owners(console) == [None, None, None, None]

    assert console.json("partner", "assign", "A-S1", north)["partner_org"] == north
    console.run("partner", "assign", "sub-2", north)
    assert owners(console) == [north, north, north, north]
    console.run("partner", "assign", "A-S1", coast)
    assert owners(console) == [coast, north, north, north]  # she has another of North's still
    console.run("partner", "assign", "A-S2", coast)
    assert owners(console) == [coast, coast, coast, coast]
    console.run("partner", "assign", "A-S1", "--none")
    console.run("partner", "assign", "A-S2", "--none")
    assert owners(console) == [None, None, None, None]

    assert "no such partner" in console.run("partner", "assign", "A-S1", "none", status=1).output
    assert "no subscription" in console.run("partner", "assign", "A-S9", north, status=1).output
    assert "--none" in console.run("partner", "assign", "A-S1", status=2).output


def owners(console: Console) -> list[str | None]:
    """Whose the two subscriptions, the customer and the identity are."""
    with console.database.reading() as session:
        rows = [session.get(SubscriptionRow, "sub-1"), session.get(SubscriptionRow, "sub-2")]
        people = [session.get(CustomerRow, "cus-ada"), session.get(IdentityRow, "id-ada")]
    return [row.partner_org for row in (*rows, *people) if row is not None]
