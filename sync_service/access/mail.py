"""Mail to people, by SMTP: sent by threads of this process, so that no page waits for a mail server or tells by its
time whether there was a mail.

A mail that cannot be sent is lost and logged; what is sent here can be asked for again.
"""

from __future__ import annotations

import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from threading import BoundedSemaphore

from sync_service.errors import SyncServiceError
from sync_service.settings import Settings
from sync_service.telemetry.log import logger

#: For each step of the conversation with the mail server.
_SECONDS = 10.0
_THREADS = 2
#: Mails that wait in one process; more are dropped.
_MAX_WAITING = 100


class Mailer:
    """Sends mails, from the address and by the server that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mail")
        self._places = BoundedSemaphore(_MAX_WAITING)

    def send(self, to: str, subject: str, text: str) -> None:
        """Send a mail soon; returns at once."""
        if not self._places.acquire(blocking=False):
            logger().error("mail_dropped", reason="too many wait")
            return
        self._threads.submit(self._send, to, subject, text)

    def _send(self, to: str, subject: str, text: str) -> None:
        try:
            send_now(self._settings, to, subject, text)
            logger().info("mail_sent")
        except MailFailed as error:
            logger().error("mail_failed", error=error.cause, code=error.smtp_code)
        finally:
            self._places.release()


class MailFailed(SyncServiceError):
    """The mail server did not take a mail."""

    code = "mail failed"

    def __init__(self, error: Exception) -> None:
        # The server's own words may hold the address.
        self.cause, self.smtp_code = type(error).__name__, getattr(error, "smtp_code", None)
        super().__init__(
            f"The mail server did not take it ({self.cause}{f' {self.smtp_code}' if self.smtp_code else ''})."
        )


def send_now(settings: Settings, to: str, subject: str, text: str) -> None:
    """Send a mail and wait until the server has it. Raises MailFailed."""
    try:
        _hand_over(settings, _write(settings.mail_from, to, subject, text))
    except (OSError, ValueError, IndexError, MessageError, smtplib.SMTPException) as error:
        raise MailFailed(error) from None


def _hand_over(settings: Settings, mail: EmailMessage) -> None:
    host, port, context = settings.smtp_host, settings.smtp_port, ssl.create_default_context()
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=_SECONDS)
    with server:
        if settings.smtp_security == "starttls":
            server.starttls(context=context)
        if settings.smtp_username:
            server.login(settings.smtp_username, settings.smtp_password)
        server.send_message(mail)


def _write(sender: str, to: str, subject: str, text: str) -> EmailMessage:
    """The mail. Raises ValueError or MessageError where `to` is not one address."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, Address(addr_spec=to), subject
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2].rstrip(">"))
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    return mail
