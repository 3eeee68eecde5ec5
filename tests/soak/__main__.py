"""`make soak`: both databases side by side, each in a process of its own; ONLY, SEED and a size for each part choose.

With MINUTES no piece begins later than that; the page says what was reached.

python -m tests.soak               # both; writes docs/reliability.md as it goes
python -m tests.soak postgresql    # one of them; only logs
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime

from tests.soak.ground import KINDS, Ground, open_ground
from tests.soak.parts import PARTS, Outcome, Part
from tests.soak.report import LOG, describe_conditions, log_of, write_page


def main(words: list[str]) -> int:
    """0 where everything that was asked for ran and was well; 1 otherwise; 2 for a wrong option."""
    wanted = os.environ.get("ONLY", "").replace(",", " ").split()
    unknown = set(wanted) - {part.name for part in PARTS}
    if unknown or set(words) - set(KINDS):
        print(f"Parts: {', '.join(part.name for part in PARTS)}; databases: {', '.join(KINDS)}.")
        return 2
    parts = [part for part in PARTS if not wanted or part.name in wanted]
    LOG.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped
    until = time.monotonic() + 60 * float(os.environ.get("MINUTES") or "inf")
    if words:
        with open_ground(words[0]) as ground:
            for part in parts:
                _play(ground, part, until)
        return 0
    return _play_side_by_side(parts)


def _play_side_by_side(parts: list[Part]) -> int:
    for part in parts:
        for kind in KINDS:
            log_of(part, kind).unlink(missing_ok=True)
    children = [subprocess.Popen([sys.executable, "-m", "tests.soak", kind]) for kind in KINDS]
    try:
        while any(child.poll() is None for child in children):
            time.sleep(5)
            write_page()
    finally:
        for child in children:
            child.terminate()
        ended = [child.wait() for child in children]
        well = write_page()
    return 0 if {part.name for part in parts} <= well and ended == [0] * len(children) else 1


def _play(ground: Ground, part: Part, until: float) -> None:
    seed, size = int(os.environ.get("SEED", "1")), int(os.environ.get(part.name.upper(), part.size))
    conditions = describe_conditions()
    for piece_seed, piece_size in part.pieces(seed, size):
        if time.monotonic() > until:
            print(f"{_now()} {part.name} on {ground.kind}: the time is over before seed {piece_seed}", flush=True)
            break
        began, clock = _now(), time.monotonic()
        try:
            outcome = part.play(ground, piece_seed, piece_size)
        except Exception as error:  # a wait that was given up is a failure like any other
            outcome = Outcome({}, [f"{error}", "".join(traceback.format_tb(error.__traceback__)[-4:])])
        line = {
            "part": part.name,
            "database": ground.kind,
            "seed": piece_seed,
            "size": piece_size,
            "wanted": size,
            "counts": outcome.counts,
            "wrong": outcome.wrong,
            "began": began,
            "ended": _now(),
            "seconds": round(time.monotonic() - clock, 1),
            "load": os.getloadavg()[0],
            **conditions,
        }
        with log_of(part, ground.kind).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")
        verdict = "FAILED" if outcome.wrong else "well"
        print(f"{_now()} {part.name} on {ground.kind}, seed {piece_seed}: {verdict} {outcome.counts}", flush=True)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
