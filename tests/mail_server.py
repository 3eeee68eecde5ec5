"""A mail server on this machine that keeps what it is sent: as much of SMTP (RFC 5321, 4954) as smtplib speaks."""

from __future__ import annotations

import base64
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
    """Its port, and the mails in the order in which they came. With a `password` it takes mails of that user alone."""

    port: int = 0
    mails: Queue[EmailMessage] = field(default_factory=Queue)
    username: str = "sync"
    password: str = ""
    #: Who came with a wrong password.
    refused: Queue[str] = field(default_factory=Queue)


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        kept, self._known = self.server.kept, not self.server.kept.password
        self._say("220 mail.example")
        for line in self.rfile:
            word, *rest = line.split() or [b""]
            match word.upper():
                case b"EHLO" if kept.password:
                    self._say("250-mail.example\r\n250 AUTH PLAIN")
                case b"AUTH":
                    self._prove(rest[-1])
                case b"MAIL" if not self._known:
                    self._say("530 say who you are")
                case b"DATA":
                    self._say("354 go on")
                    kept.mails.put(self._read_mail())
                    self._say("250 fine")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 fine")

    def _prove(self, given: bytes) -> None:
        kept = self.server.kept
        _, username, password = base64.b64decode(given).decode().split("\0")
        self._known = (username, password) == (kept.username, kept.password)
        if not self._known:
            kept.refused.put(username)
        self._say("235 you are known" if self._known else "535 wrong credentials")

    def _read_mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        return mail

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, kept: MailServer) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.kept = kept


@contextmanager
def serve_mail() -> Iterator[MailServer]:
    """Run one."""
    kept = MailServer()
    with _Server(kept) as server:
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join(10)
