"""`run`, `web`, `worker`, `scheduler`: the three processes, and all of them on one machine as children of one process.

Signals are passed on to children, one that is killed is started again, and all end with this process, even if it is
killed.
"""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from sync_service.access.cipher import keep_secret_key
from sync_service.cli.wiring import open_database, read_settings
from sync_service.settings import Settings
from sync_service.store.schema import upgrade
from sync_service.telemetry.traces import start_tracing

if TYPE_CHECKING:  # each process loads its own part alone
    from sync_service.jobs.scheduler import Scheduler
    from sync_service.sync.worker import Worker
    from sync_service.webhooks.delivery import Deliverer
import ctypes
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from sync_service.telemetry.log import logger

#: How long stopped children may take before they are killed, in seconds: more than any of them grants what it runs,
#: less than the time after which we are killed ourselves (deploy/).
GRACE_SECONDS = 35.0
#: Pause before a child that died is started again, in seconds.
RESTART_SECONDS = 1.0
#: Linux's prctl: which signal a process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


def supervise(parts: Sequence[tuple[str, Sequence[str]]], environ: Mapping[str, str]) -> int:
    """Run `sync-service <arguments>` for each part until SIGTERM or SIGINT; return 0 after a stop that was asked for.

    A child that leaves with a status of its own, such as 2 for wrong settings, is not started again: everything stops
    with its status.
    """
    stopping = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = {name: _start(name, arguments, environ) for name, arguments in parts}
    words = dict(parts)
    status = 0
    while not stopping.wait(RESTART_SECONDS):
        for name, child in children.items():
            left = child.poll()
            if left is None:
                continue
            logger().error("process_died", part=name, status=left)
            if left > 0:
                status = left
                stopping.set()
                break
            children[name] = _start(name, words[name], environ)
    _end(children.values())
    return status


def ending_with_us() -> Callable[[], None] | None:
    """A `preexec_fn` by which a child gets SIGTERM when we die, whatever we die of; None where only Linux knows how."""
    if sys.platform != "linux":
        return None
    prctl, us = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != us:  # died before we could ask
            os._exit(1)

    return ask


def _end(children: Collection[subprocess.Popen[bytes]]) -> None:
    """Ask all to stop; who has not within GRACE_SECONDS is killed with everything it started."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _start(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "sync_service.cli.main", *arguments]
    child = subprocess.Popen(  # noqa: S603 - our own words
        command, env=dict(environ), start_new_session=True, preexec_fn=ending_with_us()
    )
    logger().info("process_started", part=name, pid=child.pid)
    return child


#: Workers beside a web process leave it the processor: a callout is answered before the next sync is computed.
_NICE = 10
_AUTOGROUP = Path("/proc/self/autogroup")


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where to listen; PORT otherwise.")
def run(port: int | None) -> None:
    """Run web, worker and scheduler on this machine.

    Upgrades the database first.
    """
    settings = read_settings()
    upgrade(open_database(settings, checked=False, create=True))
    environ = _listening(settings, port)
    parts = [("web", ["web"]), ("scheduler", ["scheduler"])]
    if settings.zuora_base_url:
        parts[1:1] = workers_of(settings)
    else:
        click.echo("ZUORA_BASE_URL is not set: requests are accepted and wait; no worker is started.", err=True)
    click.echo(f"Listening on {describe_place(environ['HOST'], environ['PORT'])} (Ctrl-C stops everything)", err=True)
    click.echo(
        "Next: /docs for the API, /admin for the pages (`sync-service user add EMAIL --role operator`).", err=True
    )
    sys.exit(supervise(parts, environ))


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where to listen; PORT otherwise.")
def web(port: int | None) -> None:
    """Accept callouts and serve the API, with gunicorn."""
    settings = read_settings()
    open_database(settings).engine.dispose()
    environ = _listening(settings, port)
    # -P: a file in the working directory named like one of Python's own is no part of us.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "sync_service.web"], environ)  # noqa: S606 - our own interpreter, our own words


@click.command()
@click.option("--threads", type=click.IntRange(1, 64), help="Syncs that call Zuora at once; WORKER_THREADS otherwise.")
@click.option("--nice", type=click.IntRange(0, 19), default=0, help="Leave the processor to others: 0 to 19.")
def worker(threads: int | None, nice: int) -> None:
    """Take requests from the queue and sync them."""
    if nice:  # even a change by 0 is a call that a hardened unit may not make
        _leave_processor(nice)
    from sync_service.cli.contexts import open_context, open_ordering
    from sync_service.sync.worker import Worker

    settings = read_settings()
    start_tracing(settings.otel_exporter_otlp_endpoint, "worker")
    threads = threads or settings.worker_threads
    context = open_context(settings, threads=threads, by_index=True)
    loop = Worker(context, threads, open_ordering(context))
    _run_until_stopped(loop)


@click.command()
def scheduler() -> None:
    """Run the periodic jobs and deliver webhooks."""
    from sync_service.cli.contexts import open_context
    from sync_service.cli.sweeping import callout_reader
    from sync_service.jobs.backfill.wished import serve_wishes
    from sync_service.jobs.notify import seal_anew
    from sync_service.jobs.scheduler import PERIODIC, Scheduler, zuora_jobs
    from sync_service.operations.check.everything import check_story
    from sync_service.webhooks.delivery import Deliverer
    from sync_service.webhooks.endpoints import Endpoints

    settings = keep_secret_key(read_settings())
    start_tracing(settings.otel_exporter_otlp_endpoint, "scheduler")
    if settings.reaches_zuora:
        context = open_context(settings)
        jobs = PERIODIC + zuora_jobs(context, callout_reader(settings), check_story)
        loop = Scheduler(context.database, settings, jobs, errand=partial(serve_wishes, context))
    else:
        loop = Scheduler(open_database(settings), settings)
    Endpoints(loop.database, settings).take_over_settings()
    seal_anew(loop.database, settings)
    _run_until_stopped(loop, beside=Deliverer(loop.database, settings))


def workers_of(settings: Settings) -> list[tuple[str, list[str]]]:
    """The worker processes, which share the threads: one with all of them would take all places of the tenant."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = settings.worker_processes or (1 if settings.database_url.startswith("sqlite") else processors)
    words = ["worker", "--threads", str(max(1, -(-settings.worker_threads // count))), "--nice", str(_NICE)]
    return [("worker" if place == 1 else f"worker-{place}", words) for place in range(1, count + 1)]


def _leave_processor(nice: int) -> None:
    """Lower our priority, also where Linux weighs sessions against each other: then a process' own counts for nothing.

    Source: sched(7), "The autogroup feature". Only for a session of our own, which each part of `run` has.
    """
    os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # another system, or a kernel without it
            _AUTOGROUP.write_text(str(nice))


def _listening(settings: Settings, port: int | None) -> dict[str, str]:
    """The environment in which gunicorn listens where the settings say."""
    return dict(os.environ, HOST=settings.host, PORT=str(port or settings.port))


def describe_place(host: str, port: str) -> str:
    """Where `web` listens, as it is told to people."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - told, not bound
        return f"port {port} of every interface of this machine"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _run_until_stopped(loop: Worker | Scheduler, beside: Deliverer | None = None) -> None:
    """Run `loop`, with `beside` in a thread of its own, until a signal tells both to end what they have begun."""

    def stop(_: int, __: FrameType | None) -> None:
        loop.stop()
        if beside is not None:
            beside.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    other = ThreadPoolExecutor(1, thread_name_prefix="beside").submit(beside.run) if beside else None
    in_time = loop.run()
    if not (in_time and (other is None or other.result())):
        # The interpreter would join the threads that still wait, for up to the deadline of a run.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
