"""A mail server on this machine that keeps what it is sent: as much of SMTP (RFC 5321) as smtplib speaks."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Queue


@dataclass
class MailServer:
    """Its port, and the mails in the order in which they came."""

    port: int = 0
    mails: Queue[EmailMessage] = field(default_factory=Queue)


@contextmanager
def serve_mail() -> Iterator[MailServer]:
    """Run one."""
    kept = MailServer()

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 mail.example")
            for line in self.rfile:
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self._say("354 go on")
                    kept.mails.put(self._read_mail())
                if word == b"QUIT":
                    self._say("221 bye")
                    return
                self._say("250 fine")

        def _read_mail(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b"."))
            mail = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(mail, EmailMessage)
            return mail

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join(10)
