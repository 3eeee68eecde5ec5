"""Searching customers, numbers and accounts by any part of them, whatever the case and the accents.

The index follows every write by triggers (the migrations have them): it cannot be forgotten by code that writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sync_service.store.engine import Session
from sync_service.subscription.limio.columns import fold

#: Before each word of an entry's text.
WORD_MARK = "\x02"
#: Characters that the index takes together; a shorter part is found at the beginning of a word.
_GROUP = 3

_SQLITE = """
SELECT entry.kind, entry.target FROM search_gram JOIN search_entry AS entry ON entry.id = search_gram.rowid
WHERE search_gram MATCH :phrases{conditions} LIMIT :limit
"""
_POSTGRESQL = "SELECT kind, target FROM search_entry WHERE {conditions} LIMIT :limit"
#: Its index answers the first; it knows groups of characters, not where they stand. SQLite's knows where they stand.
_CONDITION = "search_grams(text) @> search_grams(:{name}_rare) AND position(:{name} IN text) > 0"
_HOLDS = " AND instr(entry.text, :{name}) > 0"
#: The end of a long number, which is looked for first.
_TAIL = 5


def find_entries(session: Session, text: str, limit: int) -> Mapping[str, Sequence[str]]:
    """The targets of up to `limit` entries that hold every word of `text`, by kind.

    A word of three characters and more may stand anywhere in a word of the entry; one of two begins it; a single letter
    is too little to search by and counts for nothing.
    """
    words = [word for word in fold(text).split() if len(word) > 1]
    if not words:
        return {}
    parts = [word if len(word) >= _GROUP else WORD_MARK + word for word in words]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for kind, target in _run(session, parts, limit):
        found[kind].append(target)
    return found


def _run(session: Session, parts: Sequence[str], limit: int) -> list[tuple[str, str]]:
    values = {f"part{index}": part for index, part in enumerate(parts)}
    rare = {f"{name}_rare": _rare(part) for name, part in values.items()}
    if session.database.dialect == "sqlite":
        phrases = " AND ".join('"' + part.replace('"', '""') + '"' for part in rare.values())
        conditions = "".join(_HOLDS.format(name=name) for name, part in values.items() if part != rare[f"{name}_rare"])
        rows = session.run(_SQLITE.format(conditions=conditions), {**values, "phrases": phrases, "limit": limit})
    else:
        conditions = " AND ".join(_CONDITION.format(name=name) for name in values)
        rows = session.run(_POSTGRESQL.format(conditions=conditions), {**values, **rare, "limit": limit})
    return [(kind, target) for kind, target in rows]


def _rare(part: str) -> str:
    """The piece that few others share: half of all emails have one domain, and numbers that are counted up one head."""
    person, _, domain = part.partition("@")
    if domain:
        return person if len(person) >= _GROUP else part
    return part[-_TAIL:] if part[-1].isdigit() and len(part) >= 2 * _TAIL else part
