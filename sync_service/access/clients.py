"""The OAuth clients: who they are, what they may do, and whether a secret is theirs."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import col, select

from sync_service.access.partner_sessions import is_admitted
from sync_service.access.passwords import fits, hash_secret
from sync_service.errors import SyncServiceError
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import OauthClientRow, PartnerOrgRow, PartnerUserRow

SYNC_SCOPE = "api/subscription:sync"
OBJECTS_SCOPE = "api/objects:read"
ORDER_SCOPE = "api/order:create"
ORDER_PREVIEW_SCOPE = "api/order:preview"
#: Besides ORDER_SCOPE: a cancellation may pay money back.
REFUND_SCOPE = "api/order:update_refund"
#: Managing partner organisations and their users.
PARTNERS_SCOPE = "api/partner-organisation:manage"
#: Of these each sees all customers.
SCOPES = frozenset({SYNC_SCOPE, OBJECTS_SCOPE, ORDER_SCOPE, ORDER_PREVIEW_SCOPE, REFUND_SCOPE, PARTNERS_SCOPE})
#: The one scope of a partner's clients and people (Limio's partner API).
PARTNER_SCOPE = "partner"
#: Of a client's name: it stands in lists and beside all that the client did.
LONGEST_NAME = 100
#: With this begin the ids of a partner's people, which their tokens name in place of a client's.
PERSON = "partner_user-"

#: How long a process may go on trusting a client that was revoked elsewhere, in seconds.
TRUST_SECONDS = 30.0

#: How long a secret that was replaced is right too, so that the other system may change its own in the meantime.
ROTATION_MS = 24 * 3_600_000
#: The last use of a client is written again after so long.
USE_MS = 5 * 60_000

#: Verdicts that one process remembers.
_MAX_VERDICTS = 256


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client as the gates see it."""

    client_id: str
    name: str
    scopes: frozenset[str]
    #: Zuora itself: it gets the answers for callouts.
    callout: bool
    #: The partner organisation that it acts for.
    partner_org: str | None = None


class ClientUnknown(SyncServiceError):
    """There is no such OAuth client."""

    code = "client unknown"


class PartnerUnknown(SyncServiceError):
    """There is no such partner organisation: `partner list` shows them."""

    code = "partner unknown"


class ClientNameTaken(SyncServiceError):
    """There is already an OAuth client of that name, perhaps a revoked one: choose another."""

    code = "client name taken"


class ClientNameUnusable(SyncServiceError):
    """A client needs a name of 1 to 100 characters that can be printed."""

    code = "client name unusable"


def add_client(
    database: Database, name: str, scopes: Iterable[str], callout: bool = False, *, actor: str
) -> tuple[str, str]:
    """Make a client and return its id and its secret, which is kept only as a hash.

    Raises ClientNameTaken, ClientNameUnusable. Like every change of a client it is noted in the activity as done by
    `actor`.
    """
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise ValueError(f"scopes must be some of {', '.join(sorted(SCOPES))}; not {', '.join(unknown) or 'none'}")
    return _add(database, name, wanted, actor=actor, callout=callout)


def add_partner_client(database: Database, name: str, partner_org: str, *, actor: str) -> tuple[str, str]:
    """Make a client that acts for one partner organisation; returns its id and its secret, kept only as a hash.

    It has the scope `partner` and no other. Raises ClientNameTaken, ClientNameUnusable, PartnerUnknown.
    """
    with database.reading() as session:
        if session.get(PartnerOrgRow, partner_org) is None:
            raise PartnerUnknown
    return _add(database, name, [PARTNER_SCOPE], actor=actor, partner_org=partner_org)


def _add(
    database: Database,
    name: str,
    scopes: Iterable[str],
    *,
    actor: str,
    callout: bool = False,
    partner_org: str | None = None,
) -> tuple[str, str]:
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ClientNameUnusable
    client_id, secret = f"client-{secrets.token_hex(12)}", secrets.token_urlsafe(32)
    row = OauthClientRow(
        client_id=client_id,
        name=name,
        secret_hash=hash_secret(secret),
        scope=" ".join(scopes),
        callout=callout,
        partner_org=partner_org,
        created_at=0,
    )
    try:
        with database.transaction() as session:
            row.created_at = session.now()
            session.add(row)
            record_action(session, actor, "client added", f"{row.name} ({client_id})")
    except IntegrityError:
        raise ClientNameTaken from None
    return client_id, secret


def list_clients(database: Database) -> list[OauthClientRow]:
    """All clients, revoked ones too, oldest first."""
    with database.reading() as session:
        return list(
            session.exec(select(OauthClientRow).order_by(col(OauthClientRow.created_at), col(OauthClientRow.client_id)))
        )


def revoke_client(database: Database, client_id: str, *, actor: str) -> None:
    """Refuse the client from now on; its tokens end within TRUST_SECONDS. Idempotent. Raises ClientUnknown."""
    with database.transaction() as session:
        row = session.get(OauthClientRow, client_id)
        if row is None:
            raise ClientUnknown
        if row.revoked_at is None:
            row.revoked_at = session.now()
            record_action(session, actor, "client revoked", client_id)


def rotate_secret(database: Database, client_id: str, *, actor: str) -> str:
    """Give the client a new secret and return it; the one before is right too for ROTATION_MS, an older one no more.

    Raises ClientUnknown.
    """
    secret = secrets.token_urlsafe(32)
    hashed = hash_secret(secret)
    with database.transaction() as session:
        row = _find_valid(session, client_id)
        row.secret_hash, row.secret_previous_hash = hashed, row.secret_hash
        row.previous_until = session.now() + ROTATION_MS
        record_action(session, actor, "client secret rotated", client_id)
    return secret


def end_previous_secret(database: Database, client_id: str, *, actor: str) -> None:
    """Refuse the secret before the last rotation from now on. Idempotent. Raises ClientUnknown."""
    with database.transaction() as session:
        row = _find_valid(session, client_id)
        row.secret_previous_hash = row.previous_until = None
        record_action(session, actor, "client secret ended", client_id)


def _find_valid(session: Session, client_id: str) -> OauthClientRow:
    row = session.get(OauthClientRow, client_id, with_for_update=True)
    if row is None or row.revoked_at is not None:
        raise ClientUnknown
    return row


class ClientDirectory:
    """The clients as this process knows them: rows for a short while, secrets as verdicts."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[str, tuple[Client | None, float]] = {}
        self._verdicts = _SecretVerdicts()

    def find(self, client_id: str) -> Client | None:
        """The client, or the partner's person, unless unknown, revoked or disabled; up to TRUST_SECONDS old."""
        client, until = self._known.get(client_id, (None, 0.0))
        if until > self._clock():
            return client
        client = self._read_person(client_id) if client_id.startswith(PERSON) else self._read_client(client_id)
        self._known[client_id] = (client, self._clock() + TRUST_SECONDS)
        return client

    def prove(self, client_id: str, secret: str, *, known_only: bool = False) -> Client | None:
        """The client whose id and secret these are, read now; None for a wrong secret and as `find` says.

        With `known_only` a secret that this process has not seen before counts as wrong. Raises HashingBusy.
        """
        row = self._read(client_id)
        if row is None or not self._is_right(row, secret, known_only=known_only):
            return None
        self._note_use(row)
        return _as_client(row)

    def exists(self, client_id: str) -> bool:
        """Whether this is a client's id at all, so that failures may be counted under it."""
        return self._read(client_id) is not None

    def _is_right(self, row: OauthClientRow, secret: str, *, known_only: bool) -> bool:
        """Whether it is the client's secret, or the one before while that is still right."""
        hashes = (row.secret_hash, row.secret_previous_hash)
        return any(each and self._verdicts.is_right(each, secret, known_only=known_only) for each in hashes)

    def _note_use(self, row: OauthClientRow) -> None:
        """Write when the client was used, now and then: what it wants must not fail or wait because of that."""
        with suppress(SQLAlchemyError, TimeoutError), self._database.reading() as session:
            if session.now() - (row.used_at or 0) < USE_MS:
                return
        with suppress(SQLAlchemyError, TimeoutError), self._database.transaction(lock_timeout_ms=200) as session:
            session.run("UPDATE oauth_client SET used_at = {now} WHERE client_id = :id", {"id": row.client_id})

    def _read_client(self, client_id: str) -> Client | None:
        row = self._read(client_id)
        if row is not None:
            self._note_use(row)
        return _as_client(row) if row else None

    def _read_person(self, user_id: str) -> Client | None:
        """A partner's person, whose tokens the log-in gave; none has a secret, so none is proved here."""
        with self._database.reading() as session:
            user = session.get(PartnerUserRow, user_id) if user_id.isprintable() else None
            if user is None or not is_admitted(session, user):
                return None
        scopes = frozenset({PARTNER_SCOPE})
        return Client(client_id=user.id, name=user.email, scopes=scopes, callout=False, partner_org=user.partner_org)

    def _read(self, client_id: str) -> OauthClientRow | None:
        if not client_id.isprintable():  # no database takes every character
            return None
        with self._database.reading() as session:
            row = session.get(OauthClientRow, client_id)
            if row is None or row.revoked_at is not None:
                return None
            if (row.previous_until or 0) <= session.now():
                session.expunge(row)
                row.secret_previous_hash = None
            partner = session.get(PartnerOrgRow, row.partner_org) if row.partner_org else None
        return None if row.partner_org and (partner is None or partner.disabled_at is not None) else row


class _SecretVerdicts:
    """Whether secrets fit hashes, each pair hashed once.

    A client that polls for tokens and one that keeps sending an old secret are both answered from memory. What is
    remembered is a digest under a key that this process made and keeps to itself.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._verdicts: dict[bytes, bool] = {}

    def is_right(self, secret_hash: str, secret: str, *, known_only: bool) -> bool:
        pair = hmac.digest(self._key, f"{secret_hash}\0{secret}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        verdict = self._verdicts.get(pair)
        if verdict is None and known_only:
            return False
        if verdict is None:
            verdict = fits(secret_hash, secret)
            if len(self._verdicts) >= _MAX_VERDICTS:
                self._verdicts.clear()
            self._verdicts[pair] = verdict
        return verdict


def _as_client(row: OauthClientRow) -> Client:
    return Client(
        client_id=row.client_id,
        name=row.name,
        scopes=frozenset(row.scope.split()),
        callout=row.callout,
        partner_org=row.partner_org,
    )
