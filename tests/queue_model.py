"""A small world around the real queue: Zuora as counters, a store as a table, workers that can be stopped anywhere.

Each action is one step that the real world may take at any time. Whatever happens, two things must hold: no one writes
who does not own the number, and once nothing more comes in the store shows Zuora's newest state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from sync_service.errors import LeaseLost
from sync_service.queue import requests as queue
from sync_service.queue.claims import claim
from sync_service.queue.limit import Share
from sync_service.queue.requests import Claim, Kind, Priority
from sync_service.store.engine import Database, Session
from tests.queue_world import CALLOUT, empty, rows

Action = tuple[str, ...]
SHARE = Share(max_concurrency=2)

_CREATE = "CREATE TABLE IF NOT EXISTS shown (name TEXT PRIMARY KEY, value BIGINT, compared_until BIGINT)"
_BEFORE = "SELECT value FROM shown WHERE name = :name"
_SHOW = """
INSERT INTO shown (name, value, compared_until) VALUES (:name, :value, :until)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, compared_until = excluded.compared_until
"""
_LONG_AFTER = """
UPDATE sync_request SET
  lease_until = CASE WHEN lease_until IS NOT NULL THEN 1 END, due_at = CASE WHEN due_at IS NOT NULL THEN 1 END
"""
_STANDING = """
SELECT key, requested_seq, done_seq, failed_seq, claimed_seq, token, attempts, "full", due_at IS NULL,
  lease_until IS NULL, lease_until <= 1, due_at > requested_at + 30000
FROM sync_request ORDER BY key
"""


@dataclass
class Run:
    """A worker with a claim: reads the number, then the customer, then writes."""

    claim: Claim
    began: int
    values: dict[str, int] = field(default_factory=dict)
    #: No other worker may have the number until this is so.
    is_late: bool = False


@dataclass
class Memory:
    """What the world knows beside the database; copied to go back."""

    zuora: dict[str, int]
    #: How often each action may still be taken.
    left: dict[str, int]
    tick: int = 0
    #: Runs that wrote.
    written: int = 0
    runs: list[Run] = field(default_factory=list)
    #: The newest token handed out for each key.
    tokens: dict[str, int] = field(default_factory=dict)
    #: Sequences that asked for everything to be read.
    full: dict[str, set[int]] = field(default_factory=dict)


class World:
    """Zuora, the store and the workers. `customers` names each key's customer; keys may share one."""

    def __init__(
        self, database: Database, customers: dict[str, str | None], budget: dict[str, int], *, read_guard: bool = True
    ) -> None:
        self.database = database
        self.customers = customers
        self.read_guard = read_guard
        names = [*customers, *{name for name in customers.values() if name}]
        self.memory = Memory(zuora=dict.fromkeys(names, 0), left=dict(budget))
        with database.transaction() as session:
            session.run(_CREATE)
            session.run("DELETE FROM shown")
        empty(database)

    # What can happen now

    def actions(self) -> list[Action]:
        """Everything that the world may do next."""
        left = self.memory.left
        found: list[Action] = []
        if left["change"]:
            found += [
                ("change", name, key) for key, customer in self.customers.items() for name in (key, customer) if name
            ]
        if left.get("full"):
            found += [("full", key) for key in self.customers]
        if left["claim"]:
            found.append(("claim",))
        if left["expire"]:
            at_work = {run.claim.key for run in self.memory.runs if not run.is_late}
            found += [("expire", key) for key in sorted(at_work)]
        for number in range(len(self.memory.runs)):
            found.append(("step", str(number)))
            found += [(name, str(number)) for name in ("crash", "retry", "release", "fail") if left.get(name)]
        return found

    def do(self, action: Action) -> None:
        """Take one action and check what must hold at any time."""
        name, *what = action
        memory = self.memory
        memory.tick += 1
        if name != "step":
            memory.left[name] -= 1
        if name == "change":
            memory.zuora[what[0]] += 1
            self._request(what[1])
        elif name == "full":
            self._request(what[0], full=True)
        elif name == "claim":
            self._claim(1)
            ((live,),) = rows(self.database, "SELECT count(*) FROM sync_request WHERE lease_until > 1")
            assert live <= SHARE.max_concurrency, "more runs than permitted"
        elif name == "expire":
            self._expire(what[0])
        else:
            self._work(name, memory.runs[int(what[0])])

    def settle(self) -> None:
        """Nothing more comes in: everything that waits is run, then workers that were long thought dead wake up."""
        for (key,) in rows(self.database, "SELECT key FROM sync_request WHERE failed_seq = requested_seq"):
            self._request(key)
        late, self.memory.runs = self.memory.runs, []
        self._drain()
        written = self.memory.written
        for run in late:
            self.memory.runs = [run]
            while run in self.memory.runs:
                self._step(run)
        if self.memory.written > written:
            self._drain()
        shown = {name: value for name, value, _ in self._shown()}
        for name, value in self.memory.zuora.items():
            assert shown.get(name, 0) == value, f"{name} stays at {shown.get(name, 0)}, Zuora says {value}"

    def state(self) -> object:
        """All that decides what can still happen; two equal ones need be explored once."""
        memory = self.memory
        shown = self._shown()
        moments = sorted({run.began for run in memory.runs} | {until for _, _, until in shown})
        rank = {moment: place for place, moment in enumerate(moments)}
        runs = [
            (
                run.claim.key,
                run.claim.token,
                run.claim.seen,
                run.claim.full,
                run.is_late,
                rank[run.began],
                *run.values.values(),
            )
            for run in memory.runs
        ]
        return (
            tuple(memory.zuora.items()),
            tuple(memory.left.items()),
            tuple((name, value, rank[until]) for name, value, until in shown),
            tuple(sorted(runs)),
            tuple((key, tuple(sorted(seqs))) for key, seqs in sorted(memory.full.items())),
            tuple(rows(self.database, _STANDING)),
        )

    # How it happens

    def _request(self, key: str, *, full: bool = False) -> None:
        with self.database.transaction() as session:
            seq = queue.enqueue(session, Kind.SUBSCRIPTION, key, CALLOUT, priority=Priority.EVENT, full=full)
        if full:
            self.memory.full.setdefault(key, set()).add(seq)

    def _claim(self, threads: int) -> list[Run]:
        claims = claim(self.database, threads, SHARE)
        runs = [Run(claim, self.memory.tick) for claim in claims]
        for run in runs:
            at_work = [other for other in self.memory.runs if other.claim.key == run.claim.key and not other.is_late]
            assert not at_work, f"{run.claim.key} is run twice at the same time"
            assert run.claim.token > self.memory.tokens.get(run.claim.key, 0)
            self.memory.tokens[run.claim.key] = run.claim.token
        self.memory.runs += runs
        return runs

    def _expire(self, key: str) -> None:
        for run in self.memory.runs:
            run.is_late = run.is_late or run.claim.key == key
        with self.database.transaction() as session:
            expire = "UPDATE sync_request SET lease_until = 1 WHERE key = :key AND lease_until IS NOT NULL"
            session.run(expire, {"key": key})

    def _work(self, name: str, run: Run) -> None:
        if name == "step":
            self._step(run)
            return
        self.memory.runs.remove(run)
        if name == "crash":
            return
        try:
            with self.database.transaction() as session:
                if name == "retry":
                    queue.retry_later(session, run.claim, error="no luck", delay_ms=60_000, counts=True)
                elif name == "release":
                    queue.release(session, run.claim)
                else:
                    queue.fail(session, run.claim, error="no hope")
        except LeaseLost:
            assert run.claim.token <= self.memory.tokens[run.claim.key]

    def _step(self, run: Run) -> None:
        key = run.claim.key
        customer = self.customers[key]
        if key not in run.values:
            run.values[key] = self.memory.zuora[key]
        elif customer is not None and customer not in run.values:
            run.values[customer] = self.memory.zuora[customer]
        else:
            self.memory.runs.remove(run)
            self._write(run)

    def _write(self, run: Run) -> None:
        key, customer = run.claim.key, self.customers[run.claim.key]
        try:
            with self.database.transaction() as session:
                queue.finish(session, run.claim)
                self._show(session, key, run.values[key], self.memory.tick)
                if customer is not None:
                    self._write_customer(session, run, customer)
        except LeaseLost:
            return
        self.memory.written += 1
        assert run.claim.token == self.memory.tokens[key], f"two writers of {key}"
        covered = range(run.claim.done_before + 1, run.claim.seen + 1)
        assert run.claim.full or not self.memory.full.get(key, set()).intersection(covered), "not everything was read"

    def _write_customer(self, session: Session, run: Run, customer: str) -> None:
        """The customer's row is written unless a worker compared it with a read that ended after this one began."""
        found = [row for row in session.run("SELECT * FROM shown") if row.name == customer]
        value, until = (found[0].value, found[0].compared_until) if found else (0, 0)
        newer = self.read_guard and until > run.began
        if value != run.values[customer] and newer:
            queue.enqueue_again(session, run.claim)
        else:
            self._show(session, customer, run.values[customer], max(until, self.memory.tick))

    def _show(self, session: Session, name: str, value: int, until: int) -> None:
        before = session.run(_BEFORE, {"name": name}).scalar_one_or_none() or 0
        assert value >= before, f"{name} went back from {before} to {value}"
        session.run(_SHOW, {"name": name, "value": value, "until": until})

    def _shown(self) -> list[tuple[Any, ...]]:
        return rows(self.database, "SELECT name, value, compared_until FROM shown ORDER BY name")

    def _drain(self) -> None:
        for _ in range(20):
            self.memory.tick += 1
            with self.database.transaction() as session:
                session.run(_LONG_AFTER)
            runs = self._claim(SHARE.max_concurrency)
            if not runs:
                return
            for run in runs:
                while run in self.memory.runs:
                    self.memory.tick += 1
                    self._step(run)
        raise AssertionError("the queue never becomes quiet")


def explore(world: World) -> int:
    """Take every possible sequence of actions, settle in every state that one leads to; returns how many there are.

    For SQLite: its whole database is copied to go back. Raises what the world asserts, with the actions that led there.
    """
    known: set[object] = set()
    start = (_copy(world.database), deepcopy(world.memory))
    waiting: list[tuple[bytes, Memory, tuple[Action, ...]]] = [(*start, ())]
    while waiting:
        image, memory, path = waiting.pop()
        for action in _each(world, image, memory):
            try:
                world.do(action)
                state = world.state()
                if state in known:
                    continue
                known.add(state)
                here = (_copy(world.database), deepcopy(world.memory))
                world.settle()
            except AssertionError as error:
                raise AssertionError(f"{error}: {' > '.join(' '.join(step) for step in (*path, action))}") from error
            waiting.append((*here, (*path, action)))
    return len(known)


def _each(world: World, image: bytes, memory: Memory) -> Iterator[Action]:
    world.memory = deepcopy(memory)
    for action in world.actions():
        world.memory = deepcopy(memory)
        _go_back(world.database, image)
        yield action


def _copy(database: Database) -> bytes:
    with the_connection(database) as driver:
        return bytes(driver.serialize())


def _go_back(database: Database, image: bytes) -> None:
    with the_connection(database) as driver:
        driver.deserialize(image)


@contextmanager
def the_connection(database: Database) -> Iterator[Any]:
    """The one that every transaction takes: after the first `deserialize` it has a content of its own."""
    pooled = database.connections.take()
    try:
        yield pooled.driver_connection
    finally:
        database.connections.give_back(pooled)
