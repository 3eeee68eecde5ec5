"""With which database a test runs in `make test`. The other kind has its turn in `make test-long`.

For what takes half a minute of both cores and says the same twice: the statements themselves are tried on both kinds
in `tests/integration`.
"""

from __future__ import annotations

import pytest

sqlite_first = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
postgresql_first = pytest.mark.parametrize(
    "database_url", [pytest.param("sqlite", marks=pytest.mark.long), "postgresql"], indirect=True
)
