"""The key that signs tokens and encrypts what leaves us and comes back."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace

from sync_service.settings import Settings
from sync_service.store.engine import make_private_folder


def keep_secret_key(settings: Settings) -> Settings:
    """With the embedded database and no SECRET_KEY, one is made and kept beside it: one machine needs no more.

    Safe to run in several processes at once: all end with the same key.
    """
    if settings.secret_key or settings.sqlite_path is None:
        return settings
    path = settings.sqlite_path.with_name(f"{settings.sqlite_path.name}.secret-key")
    make_private_folder(path.parent)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48), encoding="ascii")
        try:
            os.link(draft, path)  # whole or not at all, and only the first one wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return replace(settings, secret_key=path.read_text(encoding="ascii").strip())
