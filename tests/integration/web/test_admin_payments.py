"""The payments of one subscription: which are listed, counted and summed."""

from __future__ import annotations

from datetime import date

import pytest

from sync_service.store.engine import Database
from sync_service.store.tables import ScheduleRow
from sync_service.web.admin import payments
from sync_service.web.admin.payments import read_coming, read_payments

TODAY = date(2026, 11, 27)
PAYMENTS = (
    ("undated", None, "4", "active"),
    ("later", date(2027, 1, 1), "3.50", "active"),
    ("today", TODAY, "2", "Cancelled"),
    ("past", date(2026, 11, 26), "1.25", "paid"),
)


def add_payments(database: Database) -> None:
    with database.transaction() as session:
        session.add_all(
            ScheduleRow(
                id=name, due=due, amount=amount, currency="GBP", status=status, subscription_id="sub-1", document={}
            )
            for name, due, amount, status in PAYMENTS
        )


def test_payments_are_listed_by_day_and_summed_without_those_that_are_cancelled(database: Database) -> None:
    add_payments(database)

    with database.reading() as session:
        table = read_payments(session, "sub-1", TODAY)
        coming = read_coming(session, "sub-1", TODAY)

    assert [(each.due, each.amount, each.state) for each in table.listed] == [
        (date(2026, 11, 26), "£1.25", "past"),
        (TODAY, "£2.00", "cancelled"),
        (date(2027, 1, 1), "£3.50", "coming"),
        (None, "£4.00", "coming"),
    ]
    assert table.totals == (("Until yesterday", "£1.25"), ("Still to come", "£7.50"))
    assert table.next_payment is not None
    assert table.next_payment.due == date(2027, 1, 1)
    assert [each.due for each in coming] == [date(2027, 1, 1)]
    assert (table.count, table.is_cut) == (4, False)


def test_of_a_long_schedule_the_payments_around_today_are_listed(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_payments(sqlite_database)
    monkeypatch.setattr(payments, "MAX_PAST", 0)
    monkeypatch.setattr(payments, "MAX_COMING", 2)

    with sqlite_database.reading() as session:
        around = read_payments(session, "sub-1", TODAY)
        whole = read_payments(session, "sub-1", TODAY, whole=True)

    assert [each.due for each in around.listed] == [TODAY, date(2027, 1, 1)]
    assert (around.count, around.totals) == (4, whole.totals)
    assert len(whole.listed) == 4
