"""Writes the next migration from what tables.py says and the newest migration lacks: `make migration m="why"`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from sync_service.store.engine import connect
from sync_service.store.schema import alembic_config, upgrade

with tempfile.TemporaryDirectory() as folder:
    database = connect(f"sqlite:///{Path(folder) / 'schema.db'}")
    upgrade(database)
    with database.transaction() as session:
        config = alembic_config(session.connection())
        number = len(list(Path(config.get_main_option("script_location") or "", "versions").glob("0*.py"))) + 1
        made = command.revision(config, message=sys.argv[1], rev_id=f"{number:04}", autogenerate=True)
        path = Path(getattr(made, "path", ""))
        path.write_text("".join(line for line in path.open() if not line.lstrip().startswith("# ###")))
    database.engine.dispose()
