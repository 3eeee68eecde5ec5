"""Texts that leave us and come back: search texts in addresses, which no log or history is to show, and sign-ons."""

from __future__ import annotations

import hashlib

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey


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

    def renew(self, sealed: str) -> str:
        """The same text sealed under the first key; `sealed` itself where that is so, or it is not one of ours."""
        text = self.decrypt(sealed)
        return self.encrypt(text) if text and not _open(sealed, self._keys[0]) else sealed


def _open(sealed: str, key: OctKey) -> str:
    try:
        found = jwe.decrypt_compact(sealed, key).plaintext
        return found.decode() if found else ""
    except (JoseError, ValueError):
        return ""
