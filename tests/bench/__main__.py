"""`make bench`: measure the parts, one after another, and write docs/benchmarks.md as each ends."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence

from tests.bench.figures import Bench
from tests.bench.page import describe_conditions, start_page, write_section
from tests.bench.parts import PARTS
from tests.bench.processes import open_ground


def main(words: Sequence[str]) -> int:
    """0 when all parts were measured, whether their targets were met or not; 1 where a part could not be."""
    argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure the service and write docs/benchmarks.md. What is measured is said by the environment:"
        " ONLY names parts, QUICK=1 measures once and writes build/benchmarks.md.",
        epilog=f"Parts: {', '.join(part.name for part in PARTS)}.",
    ).parse_args(words)
    wanted = os.environ.get("ONLY", "").replace(",", " ").split()
    unknown = set(wanted) - {part.name for part in PARTS}
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}. Parts: {', '.join(part.name for part in PARTS)}.")
        return 2
    failed = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that whatever was started is stopped
    with open_ground() as ground:
        bench = Bench(ground, quick=bool(os.environ.get("QUICK")), say=_say)
        page, conditions = start_page(bench), describe_conditions(bench)
        for part in PARTS:
            if part.name not in wanted and (wanted or not part.by_default):
                continue
            _say(f"== {part.title}")
            began = time.monotonic()
            try:
                figures = part.measure(bench)
            except Exception as error:
                _say(f"   FAILED: {type(error).__name__}: {error}")
                failed.append(part.name)
                continue
            finally:
                ground.stop()
            print(write_section(page, part, figures, conditions(part, time.monotonic() - began)), flush=True)
        if failed:
            raise RuntimeError(f"Not measured: {', '.join(failed)}")
    _say(f"Written: {page}")
    return 0


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
