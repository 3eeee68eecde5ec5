"""What a list shows against what was read: only a real difference is one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from sync_service.subscription.fingerprint import Fingerprint, hash_contact, take_fingerprint
from sync_service.subscription.listed import (
    LastSeen,
    ListDifference,
    ListedAccount,
    ListedContact,
    ListedSubscription,
    compare_subscription,
    is_account_changed,
    is_contact_changed,
)
from sync_service.subscription.zuora import Contact, ZuoraAccount, ZuoraSubscription

LONDON = ZoneInfo("Europe/London")
#: 2026-06-05T06:00:35+01:00 in a list is 2026-06-05 06:00:35 in a read, as in Zuora's recorded answers.
MOMENT = datetime.fromisoformat("2026-06-05T06:00:35+01:00")
BILL_TO = Contact(id="c1", first_name="Ada", city="London", country="United Kingdom", of_subscription=False)
SOLD_TO = Contact(id="c2", first_name="Bob", city="Leeds", state="CA", country="US", of_subscription=False)

READ = ZuoraSubscription(
    id="i3",
    number="A-S1",
    version=3,
    is_latest=True,
    status="Active",
    account_id="a1",
    account_number="A1",
    term_start=date(2026, 6, 5),
    term_end=date(2027, 6, 5),
    auto_renew=True,
    update_time="2026-06-05 06:00:35",
    bill_to=BILL_TO,
    sold_to=SOLD_TO,
)
LISTED = ListedSubscription(
    id="i3",
    number="A-S1",
    version=3,
    is_latest=True,
    status="Active",
    account_id="a1",
    term_start=date(2026, 6, 5),
    term_end=date(2027, 6, 5),
    auto_renew=True,
    updated=MOMENT,
)
ACCOUNT = ZuoraAccount(id="a1", number="A1", bill_to=BILL_TO, sold_to=SOLD_TO)


def last(subscription: ZuoraSubscription = READ, account: ZuoraAccount | None = ACCOUNT) -> LastSeen:
    fingerprint = take_fingerprint(subscription, preview_day=None, account=account)
    return LastSeen(subscription.version, subscription.id, subscription.account_id, fingerprint)


def test_what_was_read_is_no_difference() -> None:
    assert compare_subscription(LISTED, last(), LONDON) == ()


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (replace(LISTED, version=4, id="i4"), ListDifference.VERSION),
        (replace(LISTED, version=2, id="i2"), ListDifference.VERSION),
        (replace(LISTED, account_id="a2"), ListDifference.ACCOUNT),
        (replace(LISTED, status="Cancelled"), ListDifference.STATUS),
        (replace(LISTED, term_end=date(2028, 6, 5)), ListDifference.TERM),
        (replace(LISTED, term_end=None), ListDifference.TERM),
        (replace(LISTED, auto_renew=False), ListDifference.AUTO_RENEW),
        (replace(LISTED, updated=MOMENT.replace(hour=7)), ListDifference.UPDATE_TIME),
    ],
)
def test_each_difference_is_told_by_its_name(listed: ListedSubscription, expected: ListDifference) -> None:
    assert compare_subscription(listed, last(), LONDON) == (expected,)


def test_what_weighs_more_is_named_first() -> None:
    later = replace(LISTED, version=4, id="i4", auto_renew=False, updated=MOMENT.replace(hour=7))

    assert compare_subscription(later, last(), LONDON) == (
        ListDifference.VERSION,
        ListDifference.AUTO_RENEW,
        ListDifference.UPDATE_TIME,
    )


@pytest.mark.parametrize(
    ("listed", "zone"),
    [
        (MOMENT.astimezone(UTC), LONDON),  # the list in UTC, our setting right
        (MOMENT, ZoneInfo("Asia/Tokyo")),  # the list in the tenant's zone, our setting wrong
    ],
)
def test_one_moment_is_told_in_any_zone(listed: datetime, zone: ZoneInfo) -> None:
    assert compare_subscription(replace(LISTED, updated=listed), last(), zone) == ()


def test_without_a_fingerprint_a_number_counts_as_never_read() -> None:
    assert ListDifference.NEVER_READ in compare_subscription(LISTED, LastSeen(3, "i3", "a1", None), LONDON)


def test_a_superseded_version_says_nothing() -> None:
    """ZOQL lists all versions and does not say which is the latest."""
    old = replace(LISTED, id="i1", version=1, is_latest=None, status="Expired")

    assert compare_subscription(old, last(), LONDON) == ()


def test_facts_tell_a_sight_from_every_other() -> None:
    others = [
        replace(LISTED, version=4),
        replace(LISTED, status="Suspended"),
        replace(LISTED, auto_renew=None),
        replace(LISTED, updated=MOMENT.replace(second=36)),
    ]

    assert len({LISTED.facts, *(other.facts for other in others)}) == 5
    assert replace(LISTED, updated=MOMENT.astimezone(UTC)).facts == LISTED.facts


def test_an_accounts_balance_is_no_news_and_its_contacts_are() -> None:
    account = ListedAccount(id="a1", name="Ada", bill_to="c1", sold_to="c2", updated=MOMENT)

    assert replace(account, updated=MOMENT.replace(hour=9)).facts == account.facts
    assert replace(account, bill_cycle_day=2).facts != account.facts
    assert not is_account_changed(account, last().fingerprint)
    assert is_account_changed(replace(account, bill_to="c9"), last().fingerprint)


def contact(values: Contact, id: str = "c1") -> ListedContact:
    return ListedContact(id=id, account_id="a1", contact=values)


def test_a_contact_is_news_where_it_was_read_with_other_values() -> None:
    assert not is_contact_changed(contact(replace(BILL_TO, of_subscription=None)), last().fingerprint)
    assert is_contact_changed(contact(replace(BILL_TO, city="York")), last().fingerprint)


def test_a_contact_that_was_never_used_is_no_news() -> None:
    assert not is_contact_changed(contact(Contact(city="York"), id="c9"), last().fingerprint)


def test_a_contact_is_news_if_it_is_unknown_what_was_read() -> None:
    assert is_contact_changed(contact(BILL_TO), None)
    assert is_contact_changed(contact(BILL_TO), Fingerprint("i3", 3, None, "a1", "", None))


@pytest.mark.parametrize(
    "same",
    [
        replace(SOLD_TO, country="United States"),
        replace(SOLD_TO, state="California"),
        replace(SOLD_TO, address2=""),
        replace(SOLD_TO, of_subscription=True),
    ],
)
def test_a_contact_in_other_words_is_the_same_contact(same: Contact) -> None:
    assert hash_contact(same) == hash_contact(SOLD_TO)


def test_the_accounts_own_contacts_stay_known_where_the_account_was_not_read_again() -> None:
    own = replace(READ, bill_to=Contact(id="s1", of_subscription=True), sold_to=Contact(id="s2", of_subscription=True))
    first = take_fingerprint(own, preview_day=None, account=ACCOUNT)

    second = take_fingerprint(own, preview_day=None, account=None, last=first)

    assert (second.account_bill_to, second.account_sold_to) == ("c1", "c2")
    assert second.contact_hashes.keys() == {"s1", "s2", "c1", "c2"}


def test_the_contacts_of_the_account_before_are_forgotten_with_it() -> None:
    first = take_fingerprint(READ, preview_day=None, account=ACCOUNT)

    moved = take_fingerprint(
        replace(READ, account_id="a2", bill_to=None, sold_to=None), preview_day=None, account=None, last=first
    )

    assert (moved.account_bill_to, moved.contact_hashes) == (None, {})


def test_a_fingerprint_keeps_no_personal_value() -> None:
    assert "Ada" not in repr(last().fingerprint)


def test_a_fingerprint_survives_being_stored() -> None:
    fingerprint = last().fingerprint
    assert fingerprint is not None

    assert Fingerprint.from_json(fingerprint.as_json()) == fingerprint
