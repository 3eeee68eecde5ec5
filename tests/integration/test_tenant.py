"""What we may use of the tenant: one limit over all hosts, pauses after its errors, and one tenant per store."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sync_service.errors import (
    BusyError,
    LeaseLost,
    NotServed,
    PermissionRefused,
    RateLimited,
    ServerFailed,
    SyncServiceError,
    Unserved,
    WrongTenant,
    ZuoraUnavailable,
)
from sync_service.queue.limit import (
    QUIET_RUNS,
    UNTIL_REPORTED,
    Limit,
    Share,
    check_tenant,
    lock_limit,
    note_reported,
    note_success,
    note_tenant_error,
    read_limit,
    read_tenant,
    remember_tenant,
)
from sync_service.queue.requests import Cause, Kind, Priority, enqueue_many
from sync_service.queue.retry import count_doubt, find_whose
from sync_service.queue.story_lease import hold_story_lease
from sync_service.store.engine import Database
from sync_service.subscription.trigger import Trigger
from tests.queue_world import at_once, execute, expire_leases, finish, rows, take, take_one, want

SHARE = Share(max_concurrency=8)


def limit(database: Database, share: Share = SHARE) -> Limit:
    with database.reading() as session:
        return read_limit(session, share)


def queue_ten(database: Database) -> None:
    enqueue_many(
        database, Kind.SUBSCRIPTION, [f"N-{n}" for n in range(10)], Cause(Trigger.SWEEP), priority=Priority.JOB
    )


def end_pause(database: Database) -> None:
    execute(database, "UPDATE zuora_limit SET open_until = {now} - 1")


def test_before_the_first_claim_the_whole_share_is_open(database: Database) -> None:
    fresh = limit(database)

    assert (fresh.room, fresh.is_paused, fresh.calls_today, fresh.row.permitted) == (8, False, 0, 8)


def test_an_error_of_the_tenant_pauses_all_claims(database: Database) -> None:
    queue_ten(database)

    paused_for = note_tenant_error(database, ZuoraUnavailable("No connection."), SHARE)

    assert paused_for == 5_000
    assert take(database, 8, SHARE) == []
    assert limit(database).is_paused
    assert (limit(database).row.trouble_code, limit(database).row.trouble_text) == (
        "zuora unavailable",
        "No connection.",
    )


def test_after_the_pause_one_run_at_a_time_probes(database: Database) -> None:
    queue_ten(database)
    note_tenant_error(database, ZuoraUnavailable(), SHARE)
    end_pause(database)

    claims = [claim for result in at_once([lambda: take(database, 8, SHARE)] * 4) for claim in result]

    assert len(claims) == 1
    assert take(database, 8, SHARE) == []


def test_a_probe_that_ends_well_opens_everything(database: Database) -> None:
    queue_ten(database)
    note_tenant_error(database, ZuoraUnavailable(), SHARE)
    end_pause(database)
    finish(database, take_one(database, SHARE))
    note_success(database, SHARE)

    assert len(take(database, 20, SHARE)) == 8
    after = limit(database).row
    assert (after.trouble, after.open_until, after.trouble_text, after.trouble_code) == (0, None, None, None)


def test_failing_probes_make_the_pauses_longer_up_to_five_minutes(database: Database) -> None:
    pauses = []
    for _ in range(9):
        pauses.append(note_tenant_error(database, ZuoraUnavailable(), SHARE))
        end_pause(database)

    assert pauses == [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]


def test_runs_that_were_under_way_when_the_pause_began_do_not_prolong_it(database: Database) -> None:
    at_once([lambda: note_tenant_error(database, ZuoraUnavailable(), SHARE)] * 8)

    after = limit(database)

    assert after.row.trouble == 1
    assert after.row.open_until is not None
    assert after.row.open_until - after.now <= 5_000


def test_a_success_from_before_the_pause_does_not_end_it(database: Database) -> None:
    note_tenant_error(database, RateLimited(retry_after=60), SHARE)

    note_success(database, SHARE)

    assert limit(database).is_paused


def test_the_wait_that_zuora_asks_for_is_kept(database: Database) -> None:
    assert note_tenant_error(database, RateLimited(retry_after=42), SHARE) == 42_000


def test_zuora_cannot_stop_us_for_more_than_an_hour(database: Database) -> None:
    assert note_tenant_error(database, RateLimited(retry_after=86_400), SHARE) == 3_600_000


def test_a_longer_wait_asked_for_during_a_pause_prolongs_it(database: Database) -> None:
    note_tenant_error(database, ZuoraUnavailable(), SHARE)

    assert note_tenant_error(database, RateLimited(retry_after=90), SHARE) > 85_000
    assert note_tenant_error(database, ZuoraUnavailable(), SHARE) > 85_000


def test_a_burst_of_429_halves_what_is_permitted_once(database: Database) -> None:
    at_once([lambda: note_tenant_error(database, RateLimited(), SHARE)] * 6)

    assert limit(database).row.permitted == 4


def test_429_after_429_leaves_one(database: Database) -> None:
    permitted = []
    for _ in range(5):
        note_tenant_error(database, RateLimited(), SHARE)
        end_pause(database)
        permitted.append(limit(database).row.permitted)

    assert permitted == [4, 2, 1, 1, 1]


def test_other_errors_of_the_tenant_leave_what_is_permitted(database: Database) -> None:
    note_tenant_error(database, PermissionRefused(), SHARE)

    assert limit(database).row.permitted == 8


def test_quiet_success_permits_one_more_at_a_time_up_to_the_share(database: Database) -> None:
    note_tenant_error(database, RateLimited(), SHARE)
    end_pause(database)
    permitted = []
    for _ in range(6):
        for _ in range(QUIET_RUNS):
            note_success(database, SHARE)
        permitted.append(limit(database).row.permitted)

    assert permitted == [5, 6, 7, 8, 8, 8]


def test_successes_while_all_is_well_note_that_zuora_answers_and_nothing_more(database: Database) -> None:
    want(database, "A")
    finish(database, take_one(database, SHARE))
    note_success(database, SHARE)
    before = rows(database, "SELECT * FROM zuora_limit")

    for _ in range(QUIET_RUNS + 1):
        note_success(database, SHARE)

    assert rows(database, "SELECT * FROM zuora_limit") == before
    execute(database, "UPDATE zuora_limit SET answered_at = answered_at - 31000")
    note_success(database, SHARE)
    assert rows(database, "SELECT answered_at > {now} - 30000 FROM zuora_limit") == [(True,)]


def test_many_numbers_that_are_gone_in_a_row_are_the_tenants_trouble(database: Database) -> None:
    assert [count_doubt(database, SHARE, f"N-{n}") for n in range(11)] == [False] * 9 + [True, True]


def test_one_number_in_doubt_stays_one_however_often_it_fails(database: Database) -> None:
    assert not any(count_doubt(database, SHARE, "N-1", most=2) for _ in range(20))
    assert count_doubt(database, SHARE, "N-2", most=2)


def test_a_run_that_ends_well_ends_the_doubts(database: Database) -> None:
    for n in range(9):
        count_doubt(database, SHARE, f"N-{n}")
    note_success(database, SHARE)

    assert not count_doubt(database, SHARE, "N-9")


@pytest.mark.parametrize("error", [NotServed("took too long"), PermissionRefused("403"), ServerFailed("code 61")])
def test_what_one_number_alone_gets_is_its_own_and_what_several_get_is_the_tenants(
    database: Database, error: SyncServiceError
) -> None:
    found = [find_whose(database, error, SHARE, f"N-{n}", answered=False) for n in (1, 1, 2, 3, 4, 5)]

    assert [type(each) for each in found] == [Unserved] * 5 + [ZuoraUnavailable]


def test_what_follows_a_good_answer_in_the_same_run_is_the_numbers_own(database: Database) -> None:
    found = [find_whose(database, NotServed(), SHARE, f"N-{n}", answered=True) for n in range(20)]

    assert {type(each) for each in found} == {Unserved}


def test_a_number_that_pauses_all_again_after_others_were_served_is_alone_with_its_trouble(database: Database) -> None:
    page = ZuoraUnavailable("Zuora answered HTTP 503 with something that is no JSON.")
    assert find_whose(database, page, SHARE, "N-1", answered=False) is page
    note_tenant_error(database, page, SHARE, by="N-1")
    assert find_whose(database, page, SHARE, "N-1", answered=False) is page  # no request was served since

    end_pause(database)
    note_success(database, SHARE)

    assert isinstance(find_whose(database, page, SHARE, "N-1", answered=False), Unserved)
    assert find_whose(database, page, SHARE, "N-2", answered=False) is page


def test_a_number_in_doubt_is_no_probe_and_keeps_no_probe_waiting(database: Database) -> None:
    queue_ten(database)
    for n in range(9):
        count_doubt(database, SHARE, f"N-{n}")
    note_tenant_error(database, ZuoraUnavailable(), SHARE, by="N-8")
    end_pause(database)

    probe = take(database, 8, SHARE)
    assert [each.key for each in probe] == ["N-9"]
    assert take(database, 8, SHARE) == []

    finish(database, probe[0])
    alone = take(database, 8, SHARE)
    assert len(alone) == 1  # nothing else waits: it ends on the list of failed ones
    assert take(database, 8, SHARE) == []

    enqueue_many(database, Kind.SUBSCRIPTION, ["N-9"], Cause(Trigger.SWEEP), priority=Priority.JOB)
    assert [each.key for each in take(database, 8, SHARE)] == ["N-9"]


def test_a_share_made_smaller_counts_at_once(database: Database) -> None:
    queue_ten(database)
    first = take(database, 2, SHARE)

    assert len(first) == 2
    assert len(take(database, 8, Share(max_concurrency=3))) == 1


# The day's budget


def test_calls_are_counted_by_the_utc_day(database: Database) -> None:
    take(database, 1, SHARE, calls_made=7)
    take(database, 1, SHARE, calls_made=5)
    today = limit(database).calls_today
    yesterday = "date('now', '-1 day')" if database.dialect == "sqlite" else "(now() AT TIME ZONE 'UTC')::date - 1"
    execute(database, f"UPDATE zuora_limit SET day = {yesterday}")
    next_day = limit(database).calls_today
    take(database, 1, SHARE, calls_made=2)

    assert (today, next_day, limit(database).calls_today) == (12, 0, 2)


def test_the_last_tenth_of_the_days_budget_is_kept_for_people(database: Database) -> None:
    share = Share(max_concurrency=8, daily_calls=100)
    want(database, "JOB", Priority.JOB)
    want(database, "EVENT", Priority.EVENT)
    want(database, "PERSON", Priority.PERSON)

    take(database, 0, share, calls_made=90)

    assert [claim.key for claim in take(database, 8, share)] == ["PERSON"]
    assert take(database, 8, share) == []


def test_below_the_reserve_everybody_is_served(database: Database) -> None:
    share = Share(max_concurrency=8, daily_calls=100)
    queue_ten(database)

    assert len(take(database, 8, share, calls_made=89)) == 8


def test_the_longest_waiting_row_is_no_way_around_the_reserve(database: Database) -> None:
    share = Share(max_concurrency=100, daily_calls=100)
    queue_ten(database)
    for n in range(8):
        want(database, f"P-{n}", Priority.PERSON)

    claims = take(database, 8, share, calls_made=95)

    assert {claim.priority for claim in claims} == {Priority.PERSON}
    assert len(claims) == 8


# Stories beside the queue


def test_a_story_takes_its_place_among_the_runs(database: Database) -> None:
    queue_ten(database)
    with hold_story_lease(database, "sweep", SHARE):
        during = take(database, 20, SHARE)

    assert len(during) == 7
    assert len(take(database, 20, SHARE)) == 1


def test_a_story_finds_no_place_where_all_are_taken(database: Database) -> None:
    queue_ten(database)
    take(database, 8, SHARE)

    with pytest.raises(BusyError), hold_story_lease(database, "plan", SHARE):
        raise AssertionError("the story must not begin")


def test_a_story_waits_for_its_turn(database: Database) -> None:
    share = Share(max_concurrency=1)
    want(database, "A")
    claim = take_one(database, share)

    def story() -> str:
        with hold_story_lease(database, "plan", share, wait_seconds=20):
            return "ran"

    assert at_once([story, lambda: finish(database, claim)])[0] == "ran"


def test_a_story_in_search_of_the_trouble_calls_during_a_pause(database: Database) -> None:
    note_tenant_error(database, ZuoraUnavailable(), SHARE)

    with hold_story_lease(database, "check", SHARE, probe=True) as lease:
        lease.counting(SimpleNamespace(calls=1))

    assert limit(database).calls_today == 1
    with pytest.raises(BusyError), hold_story_lease(database, "sweep", SHARE):
        raise AssertionError("the story must not begin")


def test_a_story_that_fails_gives_its_place_back_and_reports_its_calls(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), hold_story_lease(database, "sweep", SHARE) as lease:
        lease.counting(SimpleNamespace(calls=3))
        raise ZeroDivisionError

    assert rows(database, "SELECT count(*) FROM zuora_lease") == [(0,)]
    assert limit(database).calls_today == 3


def test_a_story_killed_in_the_middle_frees_its_place_when_its_lease_ends(database: Database) -> None:
    share = Share(max_concurrency=1)
    execute(database, "INSERT INTO zuora_lease (story, lease_until) VALUES ('sweep', {now} + 60000)")
    with pytest.raises(BusyError), hold_story_lease(database, "plan", share):
        raise AssertionError("the story must not begin")
    expire_leases(database)

    with hold_story_lease(database, "plan", share):
        during = rows(database, "SELECT story FROM zuora_lease")

    assert during == [("plan",)]


def test_a_long_story_keeps_its_place_by_renewing_it(database: Database) -> None:
    with hold_story_lease(database, "sweep", SHARE) as lease:
        lease.counting(SimpleNamespace(calls=2))
        expire_leases(database)
        lease.renew()
        live, calls = limit(database).live, limit(database).calls_today

    assert (live, calls, limit(database).calls_today) == (1, 2, 2)


def test_a_story_whose_place_was_given_away_learns_it(database: Database) -> None:
    with hold_story_lease(database, "sweep", SHARE) as lease:
        expire_leases(database)
        with hold_story_lease(database, "plan", SHARE):
            pass
        with pytest.raises(LeaseLost):
            lease.renew()


# One tenant per store


def test_a_store_remembers_the_tenant_that_it_was_filled_from(database: Database) -> None:
    with database.transaction() as session:
        remember_tenant(session, "tenant.19")
    with database.transaction() as session:
        remember_tenant(session, "tenant.19")

    with database.reading() as session:
        assert read_tenant(session) == "tenant.19"
        check_tenant(session, "tenant.19")


def test_another_tenant_is_refused(database: Database) -> None:
    with database.transaction() as session:
        remember_tenant(session, "tenant.19")

    told = r"filled from tenant\.19, the credentials are those of tenant\.20"
    with pytest.raises(WrongTenant, match=told), database.transaction() as session:
        remember_tenant(session, "tenant.20")
    with pytest.raises(WrongTenant), database.reading() as session:
        check_tenant(session, "tenant.20")
    with database.reading() as session:
        assert read_tenant(session) == "tenant.19"


def test_an_empty_store_belongs_to_no_tenant_yet(database: Database) -> None:
    with database.reading() as session:
        check_tenant(session, "tenant.19")
        assert read_tenant(session) is None


def test_without_a_setting_three_quarters_of_what_zuora_reports_are_ours(sqlite_database: Database) -> None:
    unset = Share(max_concurrency=0)
    with sqlite_database.transaction() as session:
        assert lock_limit(session, unset).room == UNTIL_REPORTED

    note_reported(sqlite_database, 40, unset)

    with sqlite_database.transaction() as session:
        assert lock_limit(session, unset).room == 30
        assert lock_limit(session, Share(max_concurrency=5)).room == 5


def test_a_report_of_the_tenants_limit_does_not_undo_a_slowing_down(sqlite_database: Database) -> None:
    unset = Share(max_concurrency=0)
    note_reported(sqlite_database, 40, unset)
    note_tenant_error(sqlite_database, RateLimited(), unset)

    note_reported(sqlite_database, 80, unset)

    assert limit(sqlite_database).row.permitted == 15
