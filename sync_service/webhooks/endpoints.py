"""Where webhooks go: endpoints made by people, with secrets of their own, and those of the settings."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import col, delete, func, select

from sync_service.access.cipher import TextCipher
from sync_service.errors import SettingsInvalid, SyncServiceError
from sync_service.queue.outbox import DeliveryState, WebhookType
from sync_service.settings import Settings
from sync_service.store.engine import Database, Session
from sync_service.store.tables import WebhookDeliveryRow, WebhookEndpointRow
from sync_service.webhooks.address import DestinationRefused, read_url
from sync_service.webhooks.signing import SecretInvalid, make_secret, read_secret

#: Each has a thread in the process that delivers.
MAX_ENDPOINTS = 20
#: How long a secret that was replaced signs too, so that receivers may change theirs in the meantime.
ROTATION_MS = 24 * 3_600_000


class EndpointUnknown(SyncServiceError):
    """There is no such webhook endpoint: `webhooks list` shows them."""

    code = "endpoint unknown"


class EndpointRefused(SyncServiceError):
    """The webhook endpoint cannot be made or changed."""

    code = "endpoint refused"


class SecretUnreadable(SyncServiceError):
    """The endpoint's secret cannot be read since SECRET_KEY changed: give it a new one with `webhooks rotate`."""

    code = "secret unreadable"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An endpoint as deliveries need it."""

    id: str
    url: str
    #: The secrets that sign, the newest first.
    valid_secrets: tuple[str, ...]


class Endpoints:
    """The endpoints in the database, with their secrets sealed under SECRET_KEY."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._cipher = TextCipher(settings.secret_keys, "webhook secret")

    def add(self, url: str, types: Collection[WebhookType]) -> tuple[str, str]:
        """Make an endpoint for `types` (none: all) and return its id and its secret, which is shown this once.

        Where its host leads is looked up at each delivery. Raises EndpointRefused, DestinationRefused.
        """
        if not self._settings.secret_key:
            raise EndpointRefused("SECRET_KEY must be set: the endpoint's secret is sealed under it.")
        read_url(url)
        endpoint_id, secret = f"ep_{secrets.token_hex(12)}", make_secret()
        with self._database.transaction() as session:
            known = session.exec(select(WebhookEndpointRow.id)).all()
            _refuse_known(session, url)
            if len(known) >= MAX_ENDPOINTS:
                raise EndpointRefused(f"There are {MAX_ENDPOINTS} endpoints, and more are not delivered to.")
            session.add(
                WebhookEndpointRow(
                    id=endpoint_id,
                    url=url,
                    types=sorted(types),
                    secret=self._cipher.encrypt(secret),
                    created_at=session.now(),
                )
            )
        return endpoint_id, secret

    def change(self, endpoint_id: str, url: str, types: Collection[WebhookType]) -> None:
        """Another address or other types (none: all); what waits goes to the new address.

        Raises EndpointUnknown, EndpointRefused, DestinationRefused.
        """
        read_url(url)
        with self._database.transaction() as session:
            row = _find_own(session, endpoint_id)
            if row.url != url:
                _refuse_known(session, url)
                row.failures, row.paused_until = 0, None
            row.url, row.types = url, sorted(types)

    def set_disabled(self, endpoint_id: str, *, disabled: bool) -> None:
        """Send nothing there until it is enabled: what waits is kept, what happens meanwhile is never told to it.

        Idempotent. Raises EndpointUnknown, EndpointRefused.
        """
        with self._database.transaction() as session:
            row = _find_own(session, endpoint_id)
            row.disabled_at = (row.disabled_at or session.now()) if disabled else None

    def want_test(self, endpoint_id: str) -> None:
        """Have the process that delivers send a test message, once. Raises EndpointUnknown."""
        with self._database.transaction() as session:
            row = session.get(WebhookEndpointRow, endpoint_id, with_for_update=True)
            if row is None:
                raise EndpointUnknown
            row.test_wanted_at = session.now()

    def rotate(self, endpoint_id: str) -> str:
        """Give the endpoint a new secret and return it; the old one signs too for ROTATION_MS, an older one no more.

        Raises EndpointUnknown, EndpointRefused.
        """
        secret = make_secret()
        with self._database.transaction() as session:
            row = _find_own(session, endpoint_id)
            row.secret, row.secret_previous = self._cipher.encrypt(secret), row.secret
            row.previous_until = session.now() + ROTATION_MS
        return secret

    def remove(self, endpoint_id: str) -> int:
        """Remove the endpoint with its log; returns how many deliveries were still to be made.

        Raises EndpointUnknown, EndpointRefused.
        """
        with self._database.transaction() as session:
            return _remove(session, _find_own(session, endpoint_id))

    def read(self, endpoint_id: str) -> Endpoint:
        """The endpoint with its secrets, as now. Raises EndpointUnknown, SecretUnreadable."""
        with self._database.reading() as session:
            row, now = session.get(WebhookEndpointRow, endpoint_id), session.now()
        if row is None:
            raise EndpointUnknown
        if row.by_setting:
            given = (self._settings.webhook_secret, self._settings.webhook_secret_previous)
            return Endpoint(id=row.id, url=row.url, valid_secrets=tuple(filter(None, given)))
        sealed = [row.secret] + ([row.secret_previous] if (row.previous_until or 0) > now else [])
        opened = tuple(self._cipher.decrypt(each) for each in sealed if each)
        if not all(opened):
            raise SecretUnreadable
        return Endpoint(id=row.id, url=row.url, valid_secrets=opened)

    def take_over_settings(self) -> None:
        """Make the endpoints of the setting WEBHOOKS, and remove those that it no longer names. Repeatable.

        Secrets that are sealed under SECRET_KEY_PREVIOUS are sealed anew, so that it is needed no more.
        Raises SettingsInvalid.
        """
        wanted = read_wanted(self._settings)
        with self._database.transaction() as session:
            rows = {row.id: row for row in session.exec(select(WebhookEndpointRow).with_for_update())}
            for endpoint_id, row in rows.items():
                row.secret = row.secret and self._cipher.reseal(row.secret)
                row.secret_previous = row.secret_previous and self._cipher.reseal(row.secret_previous)
                if row.by_setting and endpoint_id not in wanted:
                    _remove(session, row)
            for endpoint_id, (url, types) in wanted.items():
                kept = rows.get(endpoint_id)
                if kept is None:
                    now = session.now()
                    kept = WebhookEndpointRow(id=endpoint_id, url=url, by_setting=True, created_at=now)
                    session.add(kept)
                if kept.types != types:
                    kept.types = types


def read_wanted(settings: Settings) -> dict[str, tuple[str, list[str]]]:
    """The endpoints of the setting WEBHOOKS: id to address and types, none meaning all. Raises SettingsInvalid."""
    wanted: dict[str, tuple[str, list[str]]] = {}
    for word in settings.webhooks:
        name, _, url = ("", "", word) if word.startswith(("http://", "https://")) else word.partition("=")
        try:
            webhook_type = WebhookType(name.strip()) if name else None
            read_url(url.strip())
        except DestinationRefused as error:
            raise SettingsInvalid(f"WEBHOOKS: {url.strip()}: {error}") from None
        except ValueError:
            names = ", ".join(sorted(WebhookType))
            raise SettingsInvalid(f"WEBHOOKS: {name.strip()!r} is no type; the types are {names}") from None
        endpoint_id = f"ep_{hashlib.sha256(url.strip().encode()).hexdigest()[:24]}"
        _, types = wanted.get(endpoint_id, ("", []))
        if webhook_type is None:
            types = []
        elif types or endpoint_id not in wanted:
            types = sorted({*types, webhook_type})
        wanted[endpoint_id] = (url.strip(), types)
    for name in ("webhook_secret", "webhook_secret_previous"):
        try:
            read_secret(getattr(settings, name)) if getattr(settings, name) else None
        except SecretInvalid as error:
            raise SettingsInvalid(f"{name.upper()}: {error}") from None
    if len(wanted) > MAX_ENDPOINTS:
        raise SettingsInvalid(f"WEBHOOKS: at most {MAX_ENDPOINTS} addresses")
    return wanted


def _find_own(session: Session, endpoint_id: str) -> WebhookEndpointRow:
    """An endpoint that a person made, locked."""
    row = session.get(WebhookEndpointRow, endpoint_id, with_for_update=True)
    if row is None:
        raise EndpointUnknown
    if row.by_setting:
        raise EndpointRefused("The setting WEBHOOKS makes this endpoint: change it there, and restart the scheduler.")
    return row


def _refuse_known(session: Session, url: str) -> None:
    if session.exec(select(WebhookEndpointRow.id).where(WebhookEndpointRow.url == url)).first() is not None:
        raise EndpointRefused("There is an endpoint with this address: remove it first, or give another.")


def _remove(session: Session, row: WebhookEndpointRow) -> int:
    theirs = col(WebhookDeliveryRow.endpoint_id) == row.id
    pending = theirs & (col(WebhookDeliveryRow.state) == DeliveryState.PENDING)
    left: int = session.exec(select(func.count()).select_from(WebhookDeliveryRow).where(pending)).one()
    session.exec(delete(WebhookDeliveryRow).where(theirs))
    session.delete(row)
    return left
