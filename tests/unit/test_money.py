"""Amounts of money as texts and numbers."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_service.subscription.schedule.money import (
    as_json_number,
    decimals_of,
    format_amount,
    parse_amount,
    round_amount,
)


# ISO 4217: the yen, the won and the dong have no smaller unit, the dinars of Kuwait and Bahrain a thousandth.
@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("17.5", "GBP", "17.50"),
        ("17.505", "GBP", "17.51"),
        ("-17.505", "GBP", "-17.51"),
        ("1980", "JPY", "1980"),
        ("1980.5", "JPY", "1981"),
        ("12000", "KRW", "12000"),
        ("250000", "VND", "250000"),
        ("9990", "CLP", "9990"),
        ("1.25", "KWD", "1.250"),
        ("1.2345", "BHD", "1.235"),
        ("0.7105", "JOD", "0.711"),
        ("5", "OMR", "5.000"),
        ("5", "TND", "5.000"),
        ("5", None, "5.00"),
        ("5", "XYZ", "5.00"),
        ("0E-9", "EUR", "0.00"),
        ("-0.001", "EUR", "0.00"),
        ("1E+3", "USD", "1000.00"),
        ("402.827419349", "GBP", "402.83"),
    ],
)
def test_an_amount_is_written_with_the_decimals_of_its_currency(amount: str, currency: str | None, text: str) -> None:
    assert format_amount(Decimal(amount), currency) == text


def test_the_case_of_a_currency_does_not_matter() -> None:
    assert decimals_of("jpy") == 0


@pytest.mark.parametrize(
    ("value", "amount"),
    [("17.50", "17.5"), (17.5, "17.5"), (17, "17"), (" 4.16 ", "4.16"), ("-3", "-3")],
)
def test_texts_and_numbers_of_limio_are_read_exactly(value: object, amount: str) -> None:
    assert parse_amount(value) == Decimal(amount)


@pytest.mark.parametrize("value", [None, "", "n/a", True, "NaN", "Infinity", {}, []])
def test_what_is_no_amount_is_none(value: object) -> None:
    assert parse_amount(value) is None


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=3), st.sampled_from(["GBP", "JPY", "KWD"]))
def test_a_written_amount_reads_back_as_the_same(amount: Decimal, currency: str) -> None:
    rounded = round_amount(amount, currency)

    assert parse_amount(format_amount(amount, currency)) == rounded
    assert parse_amount(json.loads(json.dumps(as_json_number(rounded)))) == rounded
