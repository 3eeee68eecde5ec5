"""Zuora's own client from PyPI, which we did not write, orders at the emulator and reads what our service placed there.

Its environment is made by `make test-long`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import open_service  # noqa: F401 - a fixture
from tests.acceptance.service import Service
from tests.acceptance.shop import SETTINGS, Shop
from zuora_emulator.records import hex_id
from zuora_emulator.zuora_api import CLIENT_ID, CLIENT_SECRET

CALLS = Path(__file__).with_name("zuoras_client_calls.py")
PYTHON = Path(sys.prefix) / "zuora-sdk" / "bin" / "python"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database will do: it is Zuora's side that is looked at."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_zuoras_own_client_orders_at_the_emulator_and_reads_what_the_service_placed(
    open_service: Callable[..., Service],  # noqa: F811
) -> None:
    service = open_service(**SETTINGS)
    shop = Shop(service)
    service.start_all()
    number = shop.complete(shop.new())
    plans = [hex_id("product rate plan", "The Gazette", name) for name in ("Digital Monthly", "Print")]
    words = [service.tenant.url, CLIENT_ID, CLIENT_SECRET, number, *plans, str(shop.today)]

    done = subprocess.run([PYTHON, str(CALLS), *words], capture_output=True, text=True, timeout=200, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    saw = json.loads(done.stdout.splitlines()[-1])
    order = service.one("SELECT number FROM order_work")
    assert saw == {
        "read back": {
            "number": number,
            "status": "Active",
            "plans": ["Digital Monthly"],
            "order": order,
            "source": "shop",
            "actions": ["CreateSubscription"],
        },
        "previewed": 9.99,
        "paid": "9.99",
        "plans after the change": ["Digital Monthly", "Print"],
        "credited": 1,
        "status at the end": "Cancelled",
        "orders": 3,
    }
