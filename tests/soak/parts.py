"""What a soak consists of: the plays of the acceptance tests, long, with a seed for each piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.acceptance import sudden
from tests.acceptance.backfilling import run_killed_backfill
from tests.acceptance.bursting import COMPARED, IN_HAND, THREADS, TIMES, WORKERS, BurstReport, run_burst
from tests.acceptance.clocks import jump
from tests.acceptance.database_away import take_postgres_away, take_writing_away
from tests.acceptance.day import DROPPED, run_day, run_outage
from tests.acceptance.failover import fail_over
from tests.acceptance.faulting import ALL_AT_ONCE, ONE_BY_ONE, FaultReport, run_faults
from tests.acceptance.killing import POINTS, KillReport, choose_points, run_kills
from tests.acceptance.order_kills import OF_CALLS, OF_ORDERS, OrderKills, every_kill, share_of_kills
from tests.acceptance.order_storm import run_storm
from tests.acceptance.overlapping import OverlapReport, run_overlap
from tests.acceptance.partition import cut_a_worker_off
from tests.acceptance.postgres import Postgres
from tests.acceptance.scarcity import fill_the_disk, take_files_away, take_memory_away
from tests.acceptance.senders import TRANSFER_SECONDS, Sent
from tests.acceptance.shop import SETTINGS
from tests.acceptance.upgrading import find_migration_before, find_release_before, judge, upgrade_and_go_back
from tests.soak.ground import Ground

#: Steps of orders in one piece: the next seed goes on with the next ones, so that all come once.
_KILLS_A_PIECE = 50
#: Calls at the same time that the service allows itself while Zuora makes trouble.
PERMITTED = 5


@dataclass
class Outcome:
    """What one piece did and what was wrong with it. Counts are summed up; of `most …` the highest is kept."""

    counts: dict[str, float]
    wrong: list[str] = field(default_factory=list)

    def judge(self, report: KillReport | OverlapReport | FaultReport | BurstReport) -> Outcome:
        """Add what must be nothing in every part."""
        self.counts |= {"lost": len(report.lost), "stale": len(report.stale), "given up": len(report.given_up)}
        self.wrong += [f"lost: {each}" for each in sorted(report.lost)]
        self.wrong += report.stale + [f"given up: {each}" for each in report.given_up]
        return self

    def expect(self, holds: bool, what: str) -> None:
        """Note `what` as wrong unless it holds."""
        if not holds:
            self.wrong.append(what)


@dataclass(frozen=True, kw_only=True)
class Part:
    """`size` in `unit`s for each database (the option NAME=…), in pieces with a seed and a database of their own."""

    name: str
    title: str
    about: str
    unit: str
    size: int
    piece: int
    play: Callable[[Ground, int, int], Outcome]

    def pieces(self, seed: int, size: int) -> list[tuple[int, int]]:
        """The seed and the size of each piece."""
        begins = range(0, size, self.piece)
        return [(seed + place, min(self.piece, size - begin)) for place, begin in enumerate(begins)]


def _kill(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=40, accounts=10, seed=seed) as service:
        service.start_all(workers=2, held=True)
        service.tenant.send_callouts_to(service.url)
        report = run_kills(service, seed, list(choose_points(Random(seed), count)))
    return Outcome({"kills": report.kills.total(), "callouts acknowledged": report.acknowledged}).judge(report)


def _sudden(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=60, accounts=15, seed=seed, zuora_max_concurrency=40) as service:
        report = sudden.kill_suddenly(service, seed, count)
    counts: dict[str, float] = {f"kills of a {name} process": count for name, count in sorted(report.kills.items())}
    outcome = Outcome({"kills": report.kills.total(), **counts, "callouts acknowledged": report.acknowledged})
    outcome.judge(report).counts |= {"twice": len(report.twice), "tried again by a person": report.tried_again}
    outcome.wrong += [f"twice: {each}" for each in report.twice]
    return outcome


def _order_kills(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=0, accounts=0, seed=seed, **SETTINGS) as service:
        kills = OrderKills(service)
        service.start_all(workers=1, held=True)
        report = kills.run(share_of_kills((seed - 1) * _KILLS_A_PIECE, count))
    return Outcome({"kills": report.kills.total()}, report.wrong)


def _order_storm(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=0, accounts=0, seed=seed, **SETTINGS) as service:
        report = run_storm(service, seed, orders=count, subscriptions=count // 5, kills=count * 6 // 100, workers=2)
    counts: dict[str, float] = {
        "orders": report.orders,
        "refused at once": report.refused,
        "the same as one before": report.repeated,
        "kills": report.kills,
        "troubles that happened": report.troubles.total(),
        **{state: report.states[state] for state in ("complete", "failed", "held")},
    }
    return Outcome(counts, report.wrong)


def _overlap(ground: Ground, seed: int, rounds: int) -> Outcome:
    with ground.service(subscriptions=40, accounts=10, seed=seed, zuora_max_concurrency=20) as service:
        service.start_all(workers=3)
        report = run_overlap(service, seed, rounds)
    outcome = Outcome({"rounds": report.rounds, "callouts acknowledged": report.callouts}).judge(report)
    outcome.counts["runs overtaken"] = report.overtaken
    outcome.wrong += report.backwards
    outcome.expect(report.overtaken > 0, "no run was overtaken: this proves nothing")
    return outcome


def _trouble(ground: Ground, seed: int, rounds: int) -> Outcome:
    with ground.service(subscriptions=40, accounts=10, seed=seed, zuora_max_concurrency=PERMITTED) as service:
        service.start_all(workers=2)
        report = run_faults(service, seed, [*ONE_BY_ONE, *ALL_AT_ONCE], rounds=rounds)
    sent = report.sent
    counts: dict[str, float] = {
        "rounds": rounds,
        "callouts acknowledged": len(sent.acknowledged),
        "troubles that happened": report.happened.total(),
        "most calls at once": report.most_at_once,
        "most seconds for an acknowledgement": round(sent.slowest, 2),
    }
    outcome = Outcome(counts).judge(report)
    outcome.expect(set(sent.statuses) == {200}, f"answers to callouts: {dict(sent.statuses)}")
    outcome.expect(not sent.odd, f"odd answers: {sent.odd[:3]}")
    outcome.expect(sent.slowest < TRANSFER_SECONDS, f"a callout waited {sent.slowest:.1f} s")
    outcome.expect(report.most_at_once <= PERMITTED, f"{report.most_at_once} calls at once")
    return outcome


def _burst(ground: Ground, seed: int, callouts: int) -> Outcome:
    count = callouts // TIMES
    with ground.service(
        subscriptions=count, accounts=count // 4, seed=seed, zuora_max_concurrency=WORKERS * THREADS
    ) as service:
        service.start_all(workers=WORKERS)
        report = run_burst(service, seed)
    sent = report.sent
    # At most two for the whole burst beyond the running one; one more where a worker died of it.
    over = [
        key for key, claims in report.claims.items() if claims > 2 + (key in report.running) + (key in report.orphans)
    ]
    counts: dict[str, float] = {
        "subscriptions": report.subscriptions,
        "callouts acknowledged": sent.statuses[200],
        "subscriptions read": report.fetches,
        "left behind by the killed worker": len(report.orphans),
        "most seconds for an acknowledgement": round(sent.slowest, 2),
    }
    outcome = Outcome(counts).judge(report)
    outcome.expect(set(sent.statuses) == {200}, f"answers to callouts: {dict(sent.statuses)}")
    outcome.expect(sent.slowest < TRANSFER_SECONDS, f"a callout waited {sent.slowest:.1f} s")
    outcome.expect(not over, f"claimed too often: {over[:5]}")
    outcome.expect(0 < len(report.orphans) <= IN_HAND, f"{len(report.orphans)} left behind by the killed worker")
    outcome.expect(min(report.shares) > 0, f"a worker did nothing: {report.shares}")
    return outcome


def _away(ground: Ground, seed: int, rounds: int) -> Outcome:
    """Raises AssertionError at the first thing that is lost, stale or given up."""
    acknowledged = 0
    for place in range(rounds):
        with ground.folder() as folder:
            if ground.kind == "sqlite":
                acknowledged += take_writing_away(f"sqlite:///{folder / 'store.db'}", folder, seed + place)
                continue
            server = Postgres()
            try:
                acknowledged += take_postgres_away(server, folder, seed + place)
            finally:
                server.remove()
    return Outcome({"rounds": rounds, "callouts acknowledged": acknowledged, "lost": 0, "stale": 0, "given up": 0})


def _failover(ground: Ground, seed: int, rounds: int) -> Outcome:
    """Raises AssertionError at the first thing that is lost, stale or given up. SQLite has no standby."""
    if ground.kind == "sqlite":
        return Outcome({"failovers": 0, "callouts acknowledged": 0} | _NOTHING_WRONG)
    with ground.folder() as folder:
        cost = fail_over(folder, seed, rounds)
    counts = {"failovers": rounds, "callouts acknowledged": cost.acknowledged, "most seconds away": round(cost.away, 1)}
    return Outcome(counts | _NOTHING_WRONG)


def _upgrade(ground: Ground, seed: int, rounds: int) -> Outcome:
    return _replace(ground, seed, rounds, find_release_before())


def _rollout(ground: Ground, seed: int, rounds: int) -> Outcome:
    outcome = _replace(ground, seed, rounds, find_migration_before())
    refused = outcome.counts[_REFUSED]
    outcome.expect(refused == 0, f"{refused:.0f} callouts were not answered 200")
    return outcome


def _replace(ground: Ground, seed: int, rounds: int, commit: str) -> Outcome:
    outcome = Outcome({"upgrades and ways back": 0, "callouts acknowledged": 0, "lost": 0, "stale": 0})
    for place in range(rounds):
        with ground.database() as url, ground.folder() as folder:
            upgraded = upgrade_and_go_back(url, folder, seed + place, commit)
        outcome.wrong += judge(upgraded)
        outcome.counts["upgrades and ways back"] += 1
        outcome.counts |= _answers(outcome.counts, upgraded.sent)
        outcome.counts["most seconds for an acknowledgement"] = round(upgraded.sent.slowest, 2)
    return outcome


def _partition(ground: Ground, seed: int, rounds: int) -> Outcome:
    """Raises AssertionError at the first thing that is lost, stale or given up. SQLite has no network."""
    counts: dict[str, float] = {"partitions": 0, "callouts acknowledged": 0}
    for place in range(rounds if ground.kind == "postgresql" else 0):
        with ground.folder() as folder:
            cut = cut_a_worker_off(folder, seed + place)
        counts["partitions"] += 1
        counts |= _answers(counts, cut.sent)
        counts["most seconds until the worker noticed"] = round(cut.noticed, 1)
        counts["most seconds until it worked again"] = round(cut.mended, 1)
    return Outcome(counts | _NOTHING_WRONG)


def _clock(ground: Ground, seed: int, rounds: int) -> Outcome:
    """Raises AssertionError at the first thing that is lost, stale or given up."""
    counts: dict[str, float] = {"jumps": 0, "callouts acknowledged": 0}
    for place in range(rounds):
        with ground.database() as url, ground.folder() as folder:
            sent = jump(url, folder, seed + place)
        counts["jumps"] += 4
        counts |= _answers(counts, sent)
    return Outcome(counts | _NOTHING_WRONG)


def _short(ground: Ground, seed: int, rounds: int) -> Outcome:
    """Raises AssertionError at the first thing that is lost, stale or given up."""
    counts: dict[str, float] = {"rounds": 0, "callouts acknowledged": 0, "workers that ended for want of memory": 0}
    for place in range(rounds):
        with ground.folder() as folder:
            counts |= _answers(counts, fill_the_disk(ground.kind, folder, seed + place))
        with ground.database() as url, ground.folder() as folder:
            counts |= _answers(counts, take_files_away(url, folder, seed + place))
        with ground.database() as url, ground.folder() as folder:
            sent, ended = take_memory_away(url, folder, seed + place)
        counts |= _answers(counts, sent)
        counts["workers that ended for want of memory"] += ended
        counts["rounds"] += 1
    return Outcome(counts | _NOTHING_WRONG)


_REFUSED = "answered 503 or not at all, and told again"
_NOTHING_WRONG = {"lost": 0, "stale": 0, "given up": 0}


def _answers(counts: dict[str, float], sent: Sent) -> dict[str, float]:
    """The sums of answers with those of one more play."""
    refused = sent.statuses.total() - sent.statuses[200]
    return {
        "callouts acknowledged": counts.get("callouts acknowledged", 0) + sent.statuses[200],
        _REFUSED: counts.get(_REFUSED, 0) + refused,
    }


def _day(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=count, accounts=count // 4, seed=seed) as service:
        service.start_all(workers=1)
        service.tenant.send_callouts_to(service.url)
        service.tell("backfill", "--yes", seconds=60 + count)
        report = run_day(service, seed, hours=8)
    counts: dict[str, float] = {
        "subscriptions": count,
        "callouts": report.callouts,
        "callouts dropped": report.dropped,
        "drift named": len(report.named_drift),
        "echoes told apart": len(report.echoes),
        "asked for by the calendar": report.by_calendar,
        "stale": len(report.stale),
        "given up": len(report.given_up),
    }
    outcome = Outcome(counts, [*report.stale, *(f"given up: {each}" for each in report.given_up)])
    outcome.expect(not report.unexplained, f"differ although every callout arrived: {report.unexplained}")
    outcome.expect(report.named_drift == report.drift, f"drift misnamed: {report.named_drift ^ report.drift}")
    outcome.expect(report.named_echoes - report.named_drift == report.echoes, "echoes misnamed")
    outcome.expect(not report.again.get("marked"), "a second sweep asked for something")
    return outcome


def _outage(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=count, accounts=count // 4, seed=seed) as service:
        service.start_all(workers=1)
        service.tell("backfill", "--yes", seconds=60 + count)
        report = run_outage(service, seed, hours=4)
    counts: dict[str, float] = {
        "subscriptions": count,
        "callouts that Zuora gave up on": report.failed,
        "asked for from its history": report.recovery["marked"],
        "stale": len(report.stale),
    }
    outcome = Outcome(counts, list(report.stale))
    outcome.expect(not report.behind, f"the history alone left behind: {report.behind}")
    outcome.expect(not report.named_drift, f"a sweep found drift after it: {report.named_drift}")
    return outcome


def _backfill(ground: Ground, seed: int, count: int) -> Outcome:
    with ground.service(subscriptions=count, accounts=count, seed=seed) as service:
        report = run_killed_backfill(service)
    counts: dict[str, float] = {
        "subscriptions": count,
        "kills": report.kills,
        "most seconds": round(report.seconds),
        "most MB of the command": round(report.memory),
        "most MB of the worker": round(report.worker_memory),
    }
    outcome = Outcome(counts)
    told = report.told
    outcome.expect((told["asked"], told["done"], told["failed"]) == (count, count, 0), f"it told {told}")
    outcome.expect(report.stored == (count, count), f"stored, and by how many references: {report.stored}")
    outcome.expect(report.customers == count, f"{report.customers} customers")
    outcome.expect(report.imported == (count, count), f"imports, and of how many numbers: {report.imported}")
    return outcome


_PLACES = "\n".join(f"- {point.name}" for point in POINTS)
_ORDER_PLACES = "\n".join(f"- {point.name}" for point in (*OF_ORDERS, *OF_CALLS))
PARTS = (
    Part(
        name="burst",
        title="A burst, and the death of a worker in the middle of it",
        about=f"""\
{TIMES} callouts for each subscription, in an order by chance, from 16 connections; {WORKERS} worker processes, one
of them killed with -9 when a quarter is served. Every callout is answered 200 within Zuora's {TRANSFER_SECONDS:.0f}
seconds. A subscription is claimed at most twice for the whole burst, once more where it was already being synced or
its worker died. All that the dead worker did not have in hand is served although its leases have not ended. At the
end {COMPARED} subscriptions by chance are compared field by field.""",
        unit="callouts",
        size=20_000,
        piece=20_000,
        play=_burst,
    ),
    Part(
        name="overlap",
        title="Answers that overtake each other",
        about="""\
Orders and edited accounts in bursts, each told by three callouts at once to three workers; some subscriptions are
ordered on again, and their customers get another email, while the answers are on their way. Zuora takes a time by
chance, and leases are made to run out under runs that go on. No run writes after one that covers later requests, and
after each round the whole store is compared.""",
        unit="rounds",
        size=60,
        piece=5,  # more renewals make terms so long that Zuora cuts its previews at 300 rows
        play=_overlap,
    ),
    Part(
        name="faults",
        title="Everything that Zuora can get wrong",
        about=f"""\
Every kind of trouble that the emulator knows for itself, then all of them together, each with a fifth of all calls,
while orders and callouts go on; more than {PERMITTED} calls are never under way.""",
        unit="rounds",
        size=3,
        piece=1,
        play=_trouble,
    ),
    Part(
        name="away",
        title="The database goes away",
        about="""\
Under load: PostgreSQL is stopped (fast, then as by a loss of power) and started again, its connections are cut five
times, it becomes read-only; with SQLite no file can grow, twice. Meanwhile callouts are answered 503 and no process
ends; afterwards all goes on by itself.""",
        unit="rounds",
        size=5,
        piece=1,
        play=_away,
    ),
    Part(
        name="failover",
        title="A PostgreSQL primary dies and its standby takes over",
        about="""\
Two PostgreSQL servers, the second a synchronous standby of the first; the service is pointed at both
(`host=a,b&target_session_attrs=read-write`). Under load the first is ended as though its machine had lost its power,
and the second is promoted. Then the dead one is made the other's standby, from a new copy, and they change places
again. Nothing of ours is restarted; meanwhile callouts are answered 503. *Seconds away* are counted from the promotion
to the next callout that is acknowledged.""",
        unit="failovers",
        size=100,
        piece=20,
        play=_failover,
    ),
    Part(
        name="upgrade",
        title="A release replaces the one before, and is taken back",
        about="""\
The release before is the version before this one. Under load: the schema is migrated under the old
processes, which go on and are replaced where one dies; new processes start beside them and take callouts too; the
old ones are stopped. Then the same way back, with the old code on the new schema. A process is stopped after the
load balancer has turned away from it. The newer release has to answer every callout with 200.""",
        unit="rounds",
        size=1,
        piece=1,
        play=_upgrade,
    ),
    Part(
        name="rollout",
        title="Today's code replaces that before the last migration, and is taken back",
        about="""\
The same play, with code in place of the release before that waits for the database as long as today's. Every callout
is answered 200, by both, while the migration runs too.""",
        unit="rounds",
        size=1,
        piece=1,
        play=_rollout,
    ),
    Part(
        name="partition",
        title="A worker is cut off from its database",
        about="""\
PostgreSQL stands in a network of its own and the cable to it is pulled under load; the web process and another
worker reach it by another way. The cut off worker notices by itself, the server lets go of what it had locked, the
other worker takes over; when the cable is plugged in again, the first one works on. Nothing is restarted.""",
        unit="rounds",
        size=1,
        piece=1,
        play=_partition,
    ),
    Part(
        name="clock",
        title="Clocks jump by an hour, there and back",
        about="""\
Under load the clocks of the database and of our processes jump an hour ahead, back, an hour behind and back.
Callouts are answered 200 throughout. After a jump back the scheduler sees to it that nothing waits for the clock to
come to where it was.""",
        unit="rounds",
        size=1,
        piece=1,
        play=_clock,
    ),
    Part(
        name="short",
        title="The machine runs short of disk, of files, of memory",
        about="""\
Under load, one after another: the disk under the database is full; no process can open another file or take another
connection; a worker gets no more memory (where it ends of that, another one is started). Afterwards all goes on by
itself.""",
        unit="rounds",
        size=1,
        piece=1,
        play=_short,
    ),
    Part(
        name="day",
        title="A day of lost callouts",
        about=f"""\
Orders of agents and of Limio's own shop, edits of accounts, new subscriptions, a bill run and the turn of the day with
its renewals, cancellations and suspensions, while {DROPPED:.0%} of all callouts are never sent. After one delta sweep
the store equals Zuora; it named as drift exactly the numbers of which a callout was dropped and that differed, told
apart those that only Limio's own orders changed, and a second sweep asks for nothing.""",
        unit="subscriptions",
        size=2_000,
        piece=2_000,
        play=_day,
    ),
    Part(
        name="outage",
        title="Hours in which no callout arrives",
        about="""\
Callouts are answered 500, then not at all, until Zuora has given up on every one of them. Its history alone
repairs the store: a sweep after it finds no drift.""",
        unit="subscriptions",
        size=1_000,
        piece=1_000,
        play=_outage,
    ),
    Part(
        name="backfill",
        title="A backfill that is killed three times",
        about="""\
All subscriptions of the tenant are imported with one worker; the command is killed with -9 after each quarter and
begun again. At the end everything is there, and nothing twice.""",
        unit="subscriptions",
        size=20_000,
        piece=20_000,
        play=_backfill,
    ),
    Part(
        name="storm",
        title="Orders of all types, kills, and everything that Zuora can get wrong",
        about="""\
Orders of all types by chance, a fifth of them sales that make the subscriptions of the others, while workers are killed
with -9 and every kind of trouble gets 3 % of Zuora's calls: answers lost before and after the work, work that goes on
after the caller gave up, locks, declined cards, refused refunds. At the end every order is complete, or failed or held
with a reason; Zuora's orders, memos, payments and refunds are those that we know of, each once and with our amounts;
and a sync of every number finds nothing to change.""",
        unit="orders",
        size=500,
        piece=500,
        play=_order_storm,
    ),
    Part(
        name="steps",
        title="kill -9 at every step of every journey into Zuora",
        about=f"""\
The worker that places an order is stopped exactly at one of these points and killed with -9; another one takes the
order up. The last four come for each call of the journey:

{_ORDER_PLACES}

Afterwards the order is complete, Zuora has exactly what the journey adds where nothing is killed (orders, versions,
accounts, contacts, memos, payments, refunds), and a sync finds nothing to change.""",
        unit="kills",
        size=len(every_kill()),
        piece=_KILLS_A_PIECE,
        play=_order_kills,
    ),
    Part(
        name="kills",
        title="kill -9 at every point of the story",
        about=f"""\
While orders, edits of accounts, callouts, account callouts and callouts for unknown ids go on, a process is stopped
exactly at one of these points and then killed with -9; every point comes in turn, in an order by chance:

{_PLACES}

After every kill all comes to rest and what was touched is compared; after every 25th the whole store.""",
        unit="kills",
        size=500,
        piece=50,
        play=_kill,
    ),
    Part(
        name="sudden",
        title="kill -9 at any moment, thousands of times",
        about=f"""\
{sudden.WORKERS} workers and {sudden.WEBS} web processes, forked by processes that have the code in memory
(gunicorn's master for the web), so that a dead one is replaced at once. One of them by chance is killed with -9 after
some lines of log and some ms by chance, and so on without a pause, while orders, edits of accounts, callouts, account
callouts and callouts for unknown ids go on. The lease of a dead worker lasts two seconds here. After every
{sudden.REST_EVERY}th kill all comes to rest and the whole store is compared. A request whose workers died ten times in
a row waits for a person in the inbox, as it would in production; the play has it tried again there, and counts it.
*Twice* are callouts, requests, ended runs, imports, subscriptions and webhooks that are there more than once.""",
        unit="kills",
        size=5_000,
        piece=500,
        play=_sudden,
    ),
)
