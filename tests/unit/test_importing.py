"""Who may bring a subscription into the store that Limio never saw."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from sync_service.subscription.trigger import ImportRules, Trigger, refuse_import
from sync_service.subscription.zuora import ZuoraSubscription

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RULES = ImportRules(import_all=False, limio_reference_format="", tenant_zone=ZoneInfo("Europe/London"))
ALL = replace(RULES, import_all=True)
SUBSCRIPTION = ZuoraSubscription(
    id="1" * 32,
    number="A-S00000271",
    version=1,
    is_latest=True,
    status="Active",
    account_id="a" * 32,
    account_number="A1",
    create_time="2026-11-20 12:00:00",
)
NAMED = [Trigger.CALLOUT, Trigger.WORKFLOW, Trigger.EVENT, Trigger.API, Trigger.ADMIN, Trigger.CLI, Trigger.BACKFILL]


def refusal(
    triggers: set[Trigger],
    rules: ImportRules = RULES,
    subscription: ZuoraSubscription = SUBSCRIPTION,
    *,
    echoed: bool = False,
) -> str | None:
    return refuse_import(subscription, triggers, rules, echoed=echoed, now=NOW)


@pytest.mark.parametrize("trigger", NAMED)
def test_a_trigger_that_names_a_subscription_imports_it(trigger: Trigger) -> None:
    assert refusal({trigger}) is None


@pytest.mark.parametrize("trigger", [Trigger.SWEEP, Trigger.CALENDAR])
def test_a_sweep_leaves_it_out_by_default(trigger: Trigger) -> None:
    assert "IMPORT_UNKNOWN" in str(refusal({trigger}))


def test_a_sweep_imports_where_the_setting_says_all() -> None:
    assert refusal({Trigger.SWEEP}, ALL) is None


def test_one_naming_cause_among_others_is_enough() -> None:
    assert refusal({Trigger.SWEEP, Trigger.CALLOUT}) is None


@pytest.mark.parametrize("status", ["Cancelled", "Expired"])
def test_a_sweep_never_imports_what_is_over(status: str) -> None:
    assert status.lower() in str(refusal({Trigger.SWEEP}, ALL, replace(SUBSCRIPTION, status=status)))


def test_a_sweep_leaves_the_echo_of_our_own_order_alone() -> None:
    assert refusal({Trigger.SWEEP}, ALL, echoed=True) is not None


def test_a_sweep_leaves_what_is_less_than_an_hour_old_by_the_tenants_clock() -> None:
    young = replace(SUBSCRIPTION, create_time="2026-11-21 11:30:00")

    assert "hour" in str(refusal({Trigger.SWEEP}, ALL, young))
    assert refusal({Trigger.CALLOUT}, ALL, young) is None


def test_a_time_that_cannot_be_read_is_not_young() -> None:
    assert refusal({Trigger.SWEEP}, ALL, replace(SUBSCRIPTION, create_time="yesterday")) is None


@pytest.mark.parametrize("trigger", list(Trigger))
def test_a_draft_is_imported_by_no_trigger(trigger: Trigger) -> None:
    assert "draft" in str(refusal({trigger}, ALL, replace(SUBSCRIPTION, status="Draft")))


def test_a_limio_reference_that_the_store_lacks_is_reported_as_missing_from_the_load() -> None:
    rules = replace(ALL, limio_reference_format="[0-9A-V]{12}")
    ours = replace(SUBSCRIPTION, number="3V053CN9SFIG")

    assert "load" in str(refusal({Trigger.CALLOUT}, rules, ours))
    assert refusal({Trigger.CLI}, rules, ours) is None
    assert refusal({Trigger.BACKFILL}, rules, ours) is None
    assert refusal({Trigger.CALLOUT}, rules) is None
