"""Where the processor's time goes, by whose code it is: the profile that stands below a table."""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import sys
import uuid
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sync_service.app import create_app
from sync_service.queue.claims import claim
from sync_service.settings import load_settings
from sync_service.store.engine import connect
from sync_service.sync.attempt import SyncContext
from sync_service.sync.run import run_claim
from sync_service.telemetry.log import set_up
from sync_service.zuora.client import ZuoraClient
from sync_service.zuora.preview import SharedPreviews
from tests.bench.backlog import ask
from tests.bench.processes import PASSWORD, USERNAME

#: A function that takes less is one of the others.
_WORTH_NAMING = 0.03
#: Waiting, not working: for an answer, for the disk, for a turn.
_WAITING = ("recv", "poll", "select", "acquire", "commit", "sleep", "fsync", "wait", "_send_query")


def profile_callouts(environ: Mapping[str, str], keys: Sequence[str]) -> str:
    """Serve a callout for each key in this process, and say whose code took the time."""
    with _quietly():
        settings = load_settings(environ)
        database = connect(settings.database_url)
        app = create_app(settings, database)

        def serve(wanted: Sequence[str]) -> None:
            for key in wanted:
                list(app(_callout(key), lambda *_: None))

        serve(keys[: len(keys) // 4])
        shares = _by_owner(lambda: serve(keys))
        database.engine.dispose()
    return _say(shares)


def profile_syncs(environ: Mapping[str, str], numbers: Sequence[str]) -> str:
    """Request and sync all `numbers` in this process and thread, and say whose code took the time."""
    with _quietly():
        settings = load_settings(environ)
        database = connect(settings.database_url)
        zuora = ZuoraClient(settings.zuora_base_url, settings.zuora_client_id, settings.zuora_client_secret)
        context = SyncContext(database=database, zuora=zuora, settings=settings)
        ask(database, numbers)

        def work() -> None:
            while claims := claim(database, 1, context.share, calls_made=1):
                for each in claims:
                    run_claim(context, each, SharedPreviews())

        shares = _by_owner(work)
        zuora.close()
        database.engine.dispose()
    return _say(shares)


def _by_owner(work: Callable[[], None]) -> dict[str, float]:
    """Shares of the time that was not spent waiting; what Python itself does counts for its caller."""
    profile = cProfile.Profile()
    profile.runcall(work)
    spent: dict[str, float] = defaultdict(float)
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for function, (_, _, own, _, callers) in stats.items():
        if any(word in function[2] for word in _WAITING):
            continue
        owner = _owner(function[0])
        if owner is not None:
            spent[owner] += own
            continue
        for caller, (_, _, part, _) in callers.items():
            spent[_owner(caller[0]) or "Python"] += part
    whole = sum(spent.values())
    return {owner: seconds / whole for owner, seconds in sorted(spent.items(), key=lambda each: -each[1])}


def _owner(path: str) -> str | None:
    """The package that a file belongs to; None for what Python brings along."""
    if "/site-packages/" in path:
        return path.partition("/site-packages/")[2].split("/")[0].removesuffix(".py")
    return "sync_service" if "/sync_service/" in path else None


def _say(shares: Mapping[str, float]) -> str:
    named = [f"{owner} {share:.0%}" for owner, share in shares.items() if share >= _WORTH_NAMING]
    return f"{', '.join(named)}, others {1 - sum(s for s in shares.values() if s >= _WORTH_NAMING):.0%}"


@contextmanager
def _quietly() -> Iterator[None]:
    """Log lines are written as always, but to nowhere."""
    shown = sys.stderr
    sys.stderr = io.StringIO()
    set_up()
    try:
        yield
    finally:
        sys.stderr = shown


def _callout(key: str) -> dict[str, Any]:
    body = json.dumps({"SubscriptionNumber": key, "OrderNumber": "O-00000001", "Source__c": ""}).encode()
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/api/plugins/zuora/sync/subscription/{key}",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Basic {b64encode(f'{USERNAME}:{PASSWORD}'.encode()).decode()}",
        "HTTP_ZUORA_NOTIFICATION_ID": uuid.uuid4().hex,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
