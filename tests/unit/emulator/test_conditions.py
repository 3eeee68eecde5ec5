"""Conditions as Zuora's documentation writes them."""

from __future__ import annotations

import pytest

from zuora_emulator.conditions import CannotEvaluate, holds

#: An invoice that was just posted.
VALUES = {
    "changeType": "UPDATE",
    "Invoice.Status": "Posted",
    "Invoice.Status_old": "Draft",
    "Invoice.Amount": "1200.50",
    "Invoice.Source__c": "",
    "Invoice.Note": "it's",
}


@pytest.mark.parametrize(
    "condition",
    [
        # "Examples of conditions for common use cases" of Zuora's documentation.
        "Invoice.Status == 'Posted' && Invoice.Status_old != 'Posted' && Invoice.Amount > 1000.0",
        "changeType == 'INSERT' || changeType == 'UPDATE'",
        "(Invoice.Status == 'Draft' || Invoice.Status == 'Posted') && (Invoice.Amount < 2.0 || Invoice.Amount > 9.0)",
        "Invoice.Status != Invoice.Status_old",
        'Invoice.Status=="Posted"',
        'Invoice.Note == "it\'s"',
        "Invoice.Source__c != 'shop'",
        "Invoice.Source__c == null",
        "!(Invoice.Status == 'Draft')",
        "DataSource.Invoice.Status == 'Posted'",
        # && binds more tightly.
        "changeType == 'UPDATE' || changeType == 'INSERT' && Invoice.Status == 'Draft'",
    ],
)
def test_what_is_true_holds(condition: str) -> None:
    assert holds(condition, VALUES)


@pytest.mark.parametrize(
    "condition",
    [
        "changeType == 'update'",
        "Invoice.Amount > 1200.5",
        "Invoice.Amount >= 1201.0 || Invoice.Amount <= 1200.0",
        "Invoice.Source__c != null",
        "(changeType == 'UPDATE' || changeType == 'INSERT') && Invoice.Status == 'Draft'",
    ],
)
def test_what_is_false_does_not_hold(condition: str) -> None:
    assert not holds(condition, VALUES)


@pytest.mark.parametrize(
    "condition",
    [
        "Invoice.Sorce__c != 'shop'",
        "changeType == 'UPDATE' || Invoice.Missing == 'x'",
        "Invoice.Status",
        "Invoice.Status == ",
        "(Invoice.Status == 'Posted'",
        "Invoice.Status == 'Posted')",
        "Invoice.Status == 'Posted",
        "Invoice.Status =~ ['Posted']",
        "Invoice.Note > 3",
        "",
    ],
)
def test_what_cannot_be_evaluated_is_neither(condition: str) -> None:
    with pytest.raises(CannotEvaluate):
        holds(condition, VALUES)
