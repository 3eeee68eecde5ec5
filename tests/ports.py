"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import socket
from contextlib import suppress
from random import SystemRandom

#: Below those that a kernel gives to outgoing connections, one of which could take the port before its server does.
_PORTS = range(16_000, 32_000)


def free_port() -> int:
    """A port on which no process listens; another at each call, so that servers that start side by side do not meet."""
    while True:
        port = SystemRandom().choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
