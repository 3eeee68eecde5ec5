"""stripe-sync-engine, the nearest open program: webhooks of Stripe to rows in PostgreSQL, each object read anew.

It keeps no history and coalesces nothing: an event costs it one call and a handful of statements.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bench.load import Load, run
from tests.bench.processes import Child, Ground

_HERE = Path(__file__).parent / "peer"
_SECRET = "whsec_bench"
_INSTALL_SECONDS = 180


class PeerMissing(Exception):
    """The peer cannot be had here; the text says why."""


def install(ground: Ground) -> Path:
    """The folder of its packages, from npm's registry. Raises PeerMissing."""
    folder = ground.folder / "peer"
    if (folder / "node_modules").exists():
        return folder
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise PeerMissing("npm is not installed")
    folder.mkdir(exist_ok=True)
    shutil.copy(_HERE / "package.json", folder)
    words = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(folder)
        raise PeerMissing(f"npm could not install it: {type(error).__name__}") from None
    return folder


class Peer:
    """One process of it, on a database of its own, before an upstream that takes `seconds` for each answer."""

    def __init__(self, ground: Ground, seconds: float) -> None:
        modules = install(ground)
        node = str(shutil.which("node"))
        latency = {"LATENCY_MS": f"{seconds * 1000:.0f}"}
        self._upstream = ground.start("upstream", [str(_HERE / "upstream.mjs")], latency, program=(node,), stdout=-1)
        environ = {
            "DATABASE_URL": ground.new_database("postgresql"),
            "UPSTREAM_PORT": str(_port_of(self._upstream)),
            "SECRET": _SECRET,
            "MODULES": str(modules),
        }
        self._server = ground.start("peer", [str(_HERE / "server.mjs")], environ, program=(node,), stdout=-1)
        self._port = _port_of(self._server)

    def serve(self, keys: Sequence[str], count: int, in_flight: int) -> float:
        """How long so many events over these subscriptions take, each read and written when it is answered."""
        load = Load(port=self._port, kind="stripe", keys=list(keys), count=count, connections=in_flight, token=_SECRET)
        result = run(load)
        if result.statuses != {"200": count}:
            raise RuntimeError(f"the peer answered {result.statuses}")
        return result.seconds

    def stop(self) -> None:
        """End it and its upstream."""
        self._server.stop()
        self._upstream.stop()


def _port_of(child: Child) -> int:
    assert child.process.stdout
    return int(child.process.stdout.readline())
