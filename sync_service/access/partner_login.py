"""The log-in of partners' people by email, at the portal and over the API: within one limit."""

from __future__ import annotations

from sync_service.access.mail import Mailer
from sync_service.access.partner_sessions import CodesByMail, CodeSender, CodesInLog, LoginCodes, PartnerUser
from sync_service.access.passwords import normalise_email
from sync_service.access.throttle import Throttle, counter_name
from sync_service.errors import SyncServiceError
from sync_service.settings import Settings
from sync_service.store.engine import Database

WINDOW_MS = 15 * 60_000
#: Codes for one address within WINDOW_MS, asked for from wherever: with the tries of each, all that can be guessed at.
MAX_CODES = 5
#: Codes asked for, and proofs that were wrong, from one place within WINDOW_MS; whole offices share one.
MAX_OF_A_PLACE = 30
#: Where the portal is, below our address.
_PORTAL = "/partner"


class TooManyTries(SyncServiceError):
    """Too many tries: wait `seconds`."""

    code = "too many tries"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many tries. Please try again in {max(1, round(seconds / 60))} minutes.")
        self.seconds = seconds


class PartnerLogin:
    """Codes by email, and the limits of every log-in of a partner's person.

    A `place` is where a request comes from; None behind a proxy that is not known, where a limit would keep out all.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        sender = _sender(settings)
        self._codes = LoginCodes(database, settings.secret_key, sender) if sender else None
        self._key = settings.secret_key
        self._of_address = Throttle(database, limit=MAX_CODES, window_ms=WINDOW_MS)
        self._of_place = Throttle(database, limit=MAX_OF_A_PLACE, window_ms=WINDOW_MS)

    @property
    def sends_codes(self) -> bool:
        """Whether a mail server, or the log, is set."""
        return self._codes is not None

    def send_code(self, email: str, holder: str, place: str | None) -> None:
        """Send a code to the user of this address, if there is one; it is good for `holder`. Raises TooManyTries."""
        seconds = self._of_address.count_failure(counter_name("partner code", self._key, normalise_email(email)))
        if seconds is not None:
            raise TooManyTries(seconds)
        self.count(place)
        if self._codes is not None:
            self._codes.send(email, holder)

    def redeem(self, holder: str, code: str, place: str | None) -> PartnerUser | None:
        """The user whose code this is, which is thereby used up; None for any other. Raises TooManyTries."""
        self.check(place)
        user = self._codes.redeem(holder, code) if self._codes is not None else None
        if user is None:
            self.count(place)
        return user

    def check(self, place: str | None) -> None:
        """Before a proof is looked at. Raises TooManyTries."""
        seconds = self._of_place.seconds_left(self._counter(place)) if place is not None else None
        if seconds is not None:
            raise TooManyTries(seconds)

    def count(self, place: str | None) -> None:
        """Count a code asked for, or a proof that was wrong. Raises TooManyTries."""
        seconds = self._of_place.count_failure(self._counter(place)) if place is not None else None
        if seconds is not None:
            raise TooManyTries(seconds)

    def _counter(self, place: str) -> str:
        return counter_name("partner login place", self._key, place)


def _sender(settings: Settings) -> CodeSender | None:
    """How codes reach people; None where neither a mail server nor the log is set."""
    if settings.partner_code_in_log:
        return CodesInLog()
    if settings.smtp_host:
        address = f"{settings.public_url.rstrip('/')}{_PORTAL}" if settings.public_url else ""
        return CodesByMail(Mailer(settings), address)
    return None
