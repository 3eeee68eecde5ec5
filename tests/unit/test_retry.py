"""Whether a failed run is tried again, and when."""

from __future__ import annotations

import pytest

from sync_service.errors import (
    BusyError,
    GoneFromZuora,
    LockedInZuora,
    NotFoundInZuora,
    PayloadInvalid,
    PreviewIncomplete,
    RateLimited,
    SubscriptionError,
    TenantError,
    TokenRefused,
    UnknownKey,
    ZuoraUnavailable,
)
from sync_service.queue.retry import decide_retry


@pytest.mark.parametrize("error", [TenantError(), TokenRefused(), RateLimited(), ZuoraUnavailable()])
@pytest.mark.parametrize("attempts", [1, 10, 500])
def test_a_tenant_error_uses_up_no_attempt_and_is_never_final(error: TenantError, attempts: int) -> None:
    decision = decide_retry(error, attempts, 0.5)

    assert not decision.final
    assert not decision.counts
    assert decision.delay_ms > 0


def test_a_tenant_error_waits_at_least_as_long_as_zuora_asked() -> None:
    assert decide_retry(RateLimited(retry_after=120.0), 1, 0.0).delay_ms >= 120_000


@pytest.mark.parametrize(
    ("attempts", "longest_ms"),
    [(1, 5_000), (2, 10_000), (3, 20_000), (4, 40_000), (5, 80_000), (9, 1_280_000)],
)
def test_a_subscription_error_waits_twice_as_long_each_time(attempts: int, longest_ms: int) -> None:
    almost, half = (
        decide_retry(PreviewIncomplete(), attempts, 0.999999),
        decide_retry(PreviewIncomplete(), attempts, 0.5),
    )

    assert longest_ms - 10 <= almost.delay_ms <= longest_ms
    assert half.delay_ms == longest_ms // 2
    assert almost.counts


def test_no_wait_is_longer_than_half_an_hour_or_none_at_all() -> None:
    for attempts in range(1, 10):
        assert decide_retry(PayloadInvalid(), attempts, 0.0).delay_ms >= 250
        assert decide_retry(PayloadInvalid(), attempts, 0.999).delay_ms <= 30 * 60_000


@pytest.mark.parametrize("error", [SubscriptionError(), PreviewIncomplete(), NotFoundInZuora(), BusyError()])
def test_the_tenth_attempt_is_the_last(error: SubscriptionError) -> None:
    assert not decide_retry(error, 9, 0.5).final
    assert decide_retry(error, 10, 0.5).final


@pytest.mark.parametrize("error", [UnknownKey(), GoneFromZuora()])
def test_what_can_only_fail_again_is_final_at_once(error: SubscriptionError) -> None:
    assert decide_retry(error, 1, 0.5).final


def test_contention_is_tried_again_soon_and_counts() -> None:
    waits = [decide_retry(LockedInZuora(), attempts, 0.999).delay_ms for attempts in range(1, 10)]

    assert waits[0] <= 1_000
    assert max(waits) <= 15_000
    assert decide_retry(LockedInZuora(), 1, 0.5).counts
