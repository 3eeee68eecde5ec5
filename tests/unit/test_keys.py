"""What counts as a key, and what can be none. The rules are those of the sync endpoint."""

from __future__ import annotations

import pytest

from sync_service.subscription.keys import is_zuora_id, normalise_key, why_impossible

ID = "8AD08C2E7B3F4A1D90C5E6F7A8B9C0D1"


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("A-S00000123", "A-S00000123"),
        ("  A-S00000123\n\t", "A-S00000123"),
        (ID, ID.lower()),
        (f" {ID} ", ID.lower()),
        ("sub-8AD08C2E7B3F4A1D90C5E6F7A8B9C0D1", "sub-8AD08C2E7B3F4A1D90C5E6F7A8B9C0D1"),
        ("Abo Nr. 7 (Müller)", "Abo Nr. 7 (Müller)"),
        ("MiXeD-Case", "MiXeD-Case"),
        (" \n ", ""),
    ],
)
def test_a_key_loses_its_blanks_and_a_zuora_id_its_capitals(raw: str, key: str) -> None:
    assert normalise_key(raw) == key


def test_a_zuora_id_has_32_hexadecimal_digits_and_nothing_else() -> None:
    assert is_zuora_id(ID)
    assert not is_zuora_id(ID[:-1])
    assert not is_zuora_id(ID + "0")
    assert not is_zuora_id(ID[:-1] + "g")
    assert not is_zuora_id(ID[:-1] + "٣")  # a digit, but not one of Zuora's


@pytest.mark.parametrize(
    "key", ["A-1", "x" * 255, "100% & more, 'quoted' \"too\"", "{single}", "a>b", "schlüssel", "✓", ".."]
)
def test_numbers_are_any_text(key: str) -> None:
    assert why_impossible(key) is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "The key is empty."),
        ("null", "The key is null: Zuora writes that for a merge field without a value."),
        ("NULL", "The key is null: Zuora writes that for a merge field without a value."),
        ("x" * 256, "The key is longer than 255 characters."),
        ("A\x00B", "The key contains control characters."),
        ("A\nB", "The key contains control characters."),
        ("A\x7fB", "The key contains control characters."),
        ("A\x85B", "The key contains control characters."),
        ("A\ud800B", "The key contains control characters."),
        ("A#B", "The key contains #"),
        ("A?B", "The key contains ?"),
        ("A/B", "The key contains /"),
        ("{{Subscription.Name}}", "The key contains {{"),
        ("<Subscription.Name>", "The key contains <"),
    ],
)
def test_what_can_name_nothing_is_told_why(key: str, reason: str) -> None:
    assert why_impossible(key) == reason


def test_normalising_twice_changes_nothing() -> None:
    for raw in (f" {ID}\t", " a b ", "x"):
        assert normalise_key(normalise_key(raw)) == normalise_key(raw)
