"""With which database a test runs in `make test`, and how much of it. The rest has its turn in `make test-long`.

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
#: Every other one of what is played on one kind of database, the others on the other; all on both in the long run.
shared_out = pytest.mark.parametrize(
    ("database_url", "part"),
    [
        ("sqlite", slice(0, None, 2)),
        ("postgresql", slice(1, None, 2)),
        pytest.param("sqlite", slice(None), marks=pytest.mark.long),
        pytest.param("postgresql", slice(None), marks=pytest.mark.long),
    ],
    ids=["sqlite", "postgresql", "sqlite whole", "postgresql whole"],
    indirect=["database_url"],
)
