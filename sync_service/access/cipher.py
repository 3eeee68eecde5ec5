"""SECRET_KEY, made where there is none, and what it encrypts: texts that leave us and come back."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import replace

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

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


class TextCipher:
    """Encrypts texts of at most `longest` characters under keys derived from SECRET_KEY, one for each purpose."""

    def __init__(self, secret_keys: tuple[str, ...], purpose: str = "admin search", *, longest: int = 200) -> None:
        """The first of `secret_keys` seals; each may have sealed what is opened."""
        self._keys = [OctKey.import_key(hashlib.sha256(f"{purpose}\0{each}".encode()).digest()) for each in secret_keys]
        self._longest = longest

    def encrypt(self, text: str) -> str:
        """`text` for an address; longer ones are cut."""
        kept = text[: self._longest].encode("utf-8", "replace")
        return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, kept, self._keys[0])

    def decrypt(self, sealed: str) -> str:
        """The text; empty where it is not one of ours."""
        return next((text for key in self._keys if (text := _open(sealed, key))), "")

    def reseal(self, sealed: str) -> str:
        """The same text sealed under the first key; `sealed` itself where that is so, or it is not one of ours."""
        text = self.decrypt(sealed)
        return self.encrypt(text) if text and not _open(sealed, self._keys[0]) else sealed


def _open(sealed: str, key: OctKey) -> str:
    try:
        found = jwe.decrypt_compact(sealed, key).plaintext
        return found.decode() if found else ""
    except (JoseError, ValueError):
        return ""
