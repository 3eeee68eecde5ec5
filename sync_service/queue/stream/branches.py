"""Where the entries of the stream are kept, and the statements that give those of one kind in order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sync_service.store.statement import first_of_each, given_rows
from sync_service.subscription.digest import Touch

#: Rows of a branch that a filter without an index looks through for one page.
STRETCH = 1_000


class EntryKind(StrEnum):
    """What an entry tells of; of one moment the later ones come first."""

    RUN = "run"
    #: What a person did here.
    ACT = "act"
    ORDER = "order"
    CALLOUT = "callout"

    @property
    def rank(self) -> int:
        """The place among entries of one moment: what a callout led to stands above it."""
        return tuple(EntryKind).index(self)


@dataclass(frozen=True, kw_only=True)
class Spot:
    """An entry's place in the stream."""

    at: int
    kind: EntryKind
    id: str

    def __str__(self) -> str:
        return f"{self.at}-{self.kind.value}-{self.id}"

    @property
    def order(self) -> tuple[int, int, Any]:
        """Sorts in the order of the stream."""
        return -self.at, self.kind.rank, _Falling(self.id)


def read_spot(words: str) -> Spot | None:
    """The place that an address names; None where it names none."""
    at, _, rest = words.partition("-")
    kind, _, entry_id = rest.partition("-")
    if not (at.isascii() and at.isdigit() and len(at) < 18 and kind in tuple(EntryKind) and entry_id.isprintable()):
        return None
    if kind != EntryKind.ORDER and not (entry_id.isascii() and entry_id.isdigit() and len(entry_id) < 19):
        return None
    return Spot(at=int(at), kind=EntryKind(kind), id=entry_id)


@dataclass(frozen=True, kw_only=True)
class Whose:
    """The subscriptions that a stream is about: their numbers, and every key by which callouts may have named them."""

    numbers: tuple[str, ...]
    names: tuple[str, ...]
    #: There are more than one stream tells of.
    is_cut: bool = False


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """Which entries. Empty means all; times in ms by the database's clock, `since` included and `until` not."""

    whose: Whose | None = None
    kinds: frozenset[EntryKind] = frozenset(EntryKind)
    #: A run's outcome, and what its plan touches.
    outcome: str = ""
    touch: str = ""
    trigger: str = ""
    #: A callout's verdict.
    verdict: str = ""
    #: An order's number.
    order: str = ""
    #: Who asked, ordered, made the order in Zuora, or did it.
    actor: str = ""
    since: int | None = None
    until: int | None = None

    @property
    def of_runs_only(self) -> bool:
        """Whether only a run can be what is wanted."""
        return bool(self.outcome or self.touch or self.trigger)


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One kind: its table, its column of time, its id, and the columns by which it is looked for."""

    kind: EntryKind
    table: str
    at: str
    id: str = "id"
    #: By which a subscription's are found; with a condition that goes with it.
    key: str
    where: str = ""
    #: Columns by filter, those with an index of their own; it does not serve where a key is looked for.
    indexed: Mapping[str, str] = field(default_factory=dict)
    #: Those without.
    plain: Mapping[str, str] = field(default_factory=dict)


BRANCHES = {
    branch.kind: branch
    for branch in (
        Branch(
            kind=EntryKind.RUN,
            table="sync_run",
            at="ended_at",
            key="key",
            where="kind = 'subscription'",
            indexed={"outcome": "outcome"},
            plain={"touch": "touched", "trigger": "trigger", "actor": "actor"},
        ),
        Branch(kind=EntryKind.ACT, table="admin_action", at="at", key="target", plain={"actor": "actor"}),
        Branch(
            kind=EntryKind.ORDER,
            table="order_work",
            at="submitted_at",
            id="order_id",
            key="subscription_number",
            indexed={"order": "number"},
            plain={"actor": "client"},
        ),
        Branch(
            kind=EntryKind.CALLOUT,
            table="callout",
            at="received_at",
            key="key",
            indexed={"verdict": "verdict", "order": "order_number"},
            plain={"actor": "created_by"},
        ),
    )
}


@dataclass(frozen=True)
class StatementPart:
    """A piece of the statement."""

    sql: str
    values: Mapping[str, Any]
    #: The moment to which it looked without having come to the end, as a statement; None where an index serves.
    end: str | None = None


def part_of(dialect: str, branch: Branch, wanted: EntryFilter, before: Spot | None, limit: int) -> StatementPart:
    """The first `limit` entries of the branch; where it is about some keys, looked for by each of them."""
    where, values, whose = list[str](), dict[str, Any](), wanted.whose
    name, rows = "names" if branch.kind is EntryKind.CALLOUT else "numbers", ""
    if whose is not None:
        values[name] = json.dumps([[key] for key in getattr(whose, name)])
        rows = given_rows(dialect, name, {"key": "TEXT"})
        where = [*filter(None, (branch.where,)), f"{branch.key} = {name}.key"]
    plain = {**(branch.indexed if whose else {}), **branch.plain}
    for filter_name, column in branch.indexed.items():
        if whose is None and getattr(wanted, filter_name):
            where.append(f"{column} = :{filter_name}")
            values[filter_name] = getattr(wanted, filter_name)
    where += _within(branch, wanted, before, values)
    rest = list(_plain(plain, wanted, values))
    source = f"{branch.table} WHERE {' AND '.join(where)}" if where else branch.table
    ordered = f"ORDER BY {branch.at} DESC, {branch.id} DESC"
    end = None
    if rest:
        needed = ", ".join((branch.id, branch.at, *dict.fromkeys(plain.values()), *_MORE.get(branch.kind, ())))
        stretch = f"SELECT {needed} FROM {source} {ordered} LIMIT {STRETCH}"  # noqa: S608 - of constants
        source = f"(SELECT * FROM ({stretch}) AS stretch WHERE {' AND '.join(rest)}) AS picked"  # noqa: S608
        end = f"(SELECT CASE WHEN count(*) >= {STRETCH} THEN min({branch.at}) END FROM ({stretch}) AS looked)"  # noqa: S608
        end = f"SELECT {end} AS last {f'FROM {rows}' if whose else ''}"
    n, word = (branch.id, "NULL") if branch.kind is not EntryKind.ORDER else ("NULL", branch.id)
    columns = (
        f"'{branch.kind.value}' AS kind, CAST({n} AS BIGINT) AS n, CAST({word} AS TEXT) AS word, {branch.at} AS at"
    )
    source = f"{source} {ordered}"
    if whose is None:
        found = f"SELECT {columns} FROM {source}"  # noqa: S608
    else:
        found = first_of_each(
            rows, dialect, table=branch.table, id=branch.id, columns=columns, source=source, limit=limit
        )
        found = f"{found} ORDER BY at DESC, {'n' if word == 'NULL' else 'word'} DESC"
    return StatementPart(f"SELECT * FROM ({found} LIMIT {limit:d}) AS {branch.kind.value}_part", values, end)  # noqa: S608


#: What the conditions of a filter need besides.
_MORE = {EntryKind.RUN: ("change_count",)}


def _within(branch: Branch, wanted: EntryFilter, before: Spot | None, values: dict[str, Any]) -> Iterator[str]:
    if wanted.since is not None:
        values["since"] = wanted.since
        yield f"{branch.at} >= :since"
    if wanted.until is not None and (before is None or wanted.until <= before.at):
        # One bound from above alone: of two, SQLite may begin with the wider one and read all between them.
        values["until"] = wanted.until
        yield f"{branch.at} < :until"
        return
    if before is None:
        return
    values["before_at"] = before.at
    if before.kind is not branch.kind:
        yield f"{branch.at} {'<=' if before.kind.rank < branch.kind.rank else '<'} :before_at"
        return
    is_text = branch.kind is EntryKind.ORDER
    values["before_id"] = before.id if is_text else int(before.id)
    yield f"({branch.at}, {branch.id}) < (:before_at, :before_id)"


def _plain(columns: Mapping[str, str], wanted: EntryFilter, values: dict[str, Any]) -> Iterator[str]:
    for name, column in columns.items():
        given = getattr(wanted, name)
        if not given:
            continue
        if name == "touch":
            values["touch"] = f"% {Touch(given).value} %"
            # What an earlier release kept says nothing of it: such a run is shown, and its words tell.
            yield f"({column} LIKE :touch OR ({column} IS NULL AND change_count > 0))"
        else:
            values[name] = given
            yield f"{column} = :{name}"


class _Falling:
    """Compares the other way round: numbers, other ids as text."""

    def __init__(self, word: str) -> None:
        self._value: tuple[int, str] = (int(word), "") if word.isascii() and word.isdigit() else (0, word)

    def __lt__(self, other: _Falling) -> bool:
        return other._value < self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Falling) and other._value == self._value
