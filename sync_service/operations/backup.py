"""A copy of the embedded store while the service goes on. PostgreSQL has tools of its own."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sync_service.errors import SyncServiceError


class BackupRefused(SyncServiceError):
    """The copy cannot be made."""

    code = "backup refused"


def back_up(store: Path, copy: Path) -> int:
    """Write the store as it is at one moment to the new file `copy`, readable by our user only; its size in bytes.

    Raises BackupRefused if `copy` exists or the copy is damaged.
    """
    draft = copy.with_name(f"{copy.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as source:
            source.execute("VACUUM INTO ?", [str(draft)])  # one look at the store: no writer waits for it
        with closing(sqlite3.connect(draft)) as made:
            if (found := made.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise BackupRefused(f"The copy is damaged: {found}")
        os.link(draft, copy)  # never over another backup
    except FileExistsError as error:
        raise BackupRefused(f"{copy} is there already: name a new file.") from error
    finally:
        draft.unlink(missing_ok=True)
    return copy.stat().st_size
