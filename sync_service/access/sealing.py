"""Texts that leave us and come back: search texts in addresses, which no log or history is to show, and sign-ons."""

from __future__ import annotations

import hashlib

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey


class Seal:
    """Encrypts texts of at most `longest` characters under a key derived from SECRET_KEY, one for each purpose."""

    def __init__(self, secret_key: str, purpose: str = "admin search", *, longest: int = 200) -> None:
        self._key = OctKey.import_key(hashlib.sha256(f"{purpose}\0{secret_key}".encode()).digest())
        self._longest = longest

    def close(self, text: str) -> str:
        """`text` for an address; longer ones are cut."""
        kept = text[: self._longest].encode("utf-8", "replace")
        return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, kept, self._key)

    def open(self, sealed: str) -> str:
        """The text; empty where it is not one of ours."""
        try:
            found = jwe.decrypt_compact(sealed, self._key).plaintext
            return found.decode() if found else ""
        except (JoseError, ValueError):
            return ""
