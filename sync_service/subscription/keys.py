"""Keys as callers give them: cleaned up, and refused where they cannot name anything. Pure.

A key is a Limio id, a Limio reference, a Zuora number, a Zuora id of one version, or the same of an account.
"""

from __future__ import annotations

import re
from unicodedata import category

#: Longer than any number that Zuora gives or takes.
LONGEST_KEY = 255

#: Empty strings are sent as this word ("Configure callout settings" of Zuora's documentation).
_NULL = "null"
_ZUORA_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE | re.ASCII)
#: What a template leaves behind when a merge field did not resolve, and what an address cannot carry.
_FOREIGN = ("#", "?", "/", "{{", "<")


def normalise_key(raw: str) -> str:
    """The key without blanks around it, a Zuora id in lower case; nothing else changes: a number may be any text."""
    key = raw.strip()
    return key.lower() if is_zuora_id(key) else key


def is_zuora_id(key: str) -> bool:
    """Whether `key` has the form of Zuora's ids: 32 hexadecimal digits."""
    return _ZUORA_ID.fullmatch(key) is not None


def is_null(text: str) -> bool:
    """Whether `text` is what Zuora's custom events send for a merge field without a value."""
    return text.strip().casefold() == _NULL


def why_impossible(key: str) -> str | None:
    """Why a normalised key can name nothing at all, in words for people; None where it may name something."""
    if not key:
        return "The key is empty."
    if is_null(key):
        return "The key is null: Zuora writes that for a merge field without a value."
    if len(key) > LONGEST_KEY:
        return f"The key is longer than {LONGEST_KEY} characters."
    # Lone surrogates are halves of a character: no database takes them. None of these is printable.
    if not key.isprintable() and any(category(character) in ("Cc", "Cs") for character in key):
        return "The key contains control characters."
    for foreign in _FOREIGN:
        if foreign in key:
            return f"The key contains {foreign}"
    return None
