"""Partner organisations and the people who act for them (Limio's partner management API)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from sync_service.access.clients import PartnerUnknown
from sync_service.access.partner_sessions import end_sessions
from sync_service.access.passwords import is_plausible, normalise_email
from sync_service.errors import SyncServiceError, UnknownKey
from sync_service.store.audit import record_action
from sync_service.store.effects import attribute
from sync_service.store.engine import Database, Session
from sync_service.store.object_rows import find_subscription
from sync_service.store.reads import resolve_key
from sync_service.store.tables import PartnerOrgRow, PartnerUserRow, SubscriptionRow
from sync_service.subscription.limio.documents import timestamp_of

MAX_NAME = 200
MAX_TEXT = 500
MAX_ON_A_PAGE = 100

_ACCOUNT_TAKEN = "zuoraAccountId: another organisation has this account; one account, one organisation."


class PartnerRefused(SyncServiceError):
    """The partner organisation or its user cannot be made or changed like this."""

    code = "partner refused"


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """What a caller says of an organisation."""

    name: str
    #: The partner's own account in Zuora, by id or number.
    zuora_account_id: str
    #: Whether the partner's account pays for what it orders; changing it touches later orders only.
    is_invoice_owner: bool
    salesforce_account_id: str | None = None
    logo: str | None = None


class Partners:
    """The organisations and their users; what is done is logged under `actor`."""

    def __init__(self, database: Database, actor: str) -> None:
        self._database = database
        self._actor = actor

    def add(self, organisation: Organisation) -> PartnerOrgRow:
        """Make an organisation. Raises PartnerRefused."""
        _check(organisation)
        row = PartnerOrgRow(id=f"partner_org-{uuid4().hex}", created_at=0, modified_at=0, **vars(organisation))
        try:
            with self._database.transaction() as session:
                row.created_at = row.modified_at = session.now()
                session.add(row)
                record_action(session, self._actor, "partner added", f"{row.name} ({row.id})")
        except IntegrityError:
            raise PartnerRefused(_ACCOUNT_TAKEN) from None
        return row

    def change(self, org_id: str, organisation: Organisation) -> PartnerOrgRow:
        """Let an organisation be as given; orders that were placed stay. Raises PartnerUnknown, PartnerRefused."""
        _check(organisation)
        try:
            with self._database.transaction() as session:
                row = lock_org(session, org_id)
                changed = [name for name, value in vars(organisation).items() if getattr(row, name) != value]
                for name in changed:
                    setattr(row, name, getattr(organisation, name))
                if changed:
                    row.modified_at = session.now()
                    session.flush()
                    record_action(session, self._actor, "partner changed", f"{row.id}: {', '.join(changed)}")
        except IntegrityError:
            raise PartnerRefused(_ACCOUNT_TAKEN) from None
        return row

    def set_disabled(self, org_id: str, *, disabled: bool) -> PartnerOrgRow:
        """Disable or enable the organisation; its users' log-ins end at once, tokens it holds within half a minute.

        What is attributed to it stays. Repeatable. Raises PartnerUnknown.
        """
        with self._database.transaction() as session:
            row = lock_org(session, org_id)
            if (row.disabled_at is not None) is not disabled:
                row.modified_at = session.now()
                row.disabled_at = row.modified_at if disabled else None
                end_sessions(session, [user.id for user in list_users(session, org_id)])
                record_action(session, self._actor, f"partner {'disabled' if disabled else 'enabled'}", row.id)
        return row

    def add_user(self, org_id: str, email: str, name: str | None = None) -> PartnerUserRow:
        """Let a person act for the organisation: one organisation for each email address, whatever its case.

        Raises PartnerUnknown, PartnerRefused.
        """
        folded = normalise_email(email)
        if not is_plausible(folded) or "@" not in folded:
            raise PartnerRefused("email: must be an email address.")
        if name is not None and not _is_text(name, MAX_NAME):
            raise PartnerRefused(f"name: must be text of at most {MAX_NAME} characters.")
        row = PartnerUserRow(
            id=f"partner_user-{uuid4().hex}",
            partner_org=org_id,
            email=email.strip(),
            email_folded=folded,
            name=name,
            created_at=0,
            modified_at=0,
        )
        try:
            with self._database.transaction() as session:
                lock_org(session, org_id)
                row.created_at = row.modified_at = session.now()
                session.add(row)
                record_action(session, self._actor, "partner user added", f"{folded} for {org_id}")
        except IntegrityError:
            raise PartnerRefused("email: this address acts for a partner organisation already.") from None
        return row

    def set_user_disabled(self, org_id: str, user_id: str, *, disabled: bool) -> PartnerUserRow:
        """Let a user of the organisation in no more, or again. Repeatable. Raises PartnerUnknown."""
        with self._database.transaction() as session:
            row = session.get(PartnerUserRow, user_id, with_for_update=True)
            if row is None or row.partner_org != org_id:
                raise PartnerUnknown("There is no such user of this partner organisation.")
            if (row.disabled_at is not None) is not disabled:
                row.modified_at = session.now()
                row.disabled_at = row.modified_at if disabled else None
                end_sessions(session, [user_id])
                record_action(session, self._actor, f"partner user {'disabled' if disabled else 'enabled'}", row.id)
        return row

    def assign(self, key: str, org_id: str | None) -> SubscriptionRow:
        """Let the subscription of `key` belong to an organisation, or to none, with its customer. Repeatable.

        People who also have a subscription of the organisation that this one leaves stay with that one. Raises
        PartnerUnknown, UnknownKey.
        """
        with self._database.transaction() as session:
            if org_id is not None:
                lock_org(session, org_id)
            number = resolve_key(session, key)
            row = find_subscription(session, number) if number else None
            if row is None:
                raise UnknownKey("The store has no subscription of this name.")
            before = row.partner_org
            attribute(session, row, org_id)
            if before != org_id:
                record_action(session, self._actor, "partner assigned", f"{row.id}: {before} to {org_id}")
        return row


def list_orgs(session: Session, *, limit: int, after: str = "") -> Sequence[PartnerOrgRow]:
    """Up to `limit` organisations in the order of their ids, those behind `after`."""
    rows = select(PartnerOrgRow).where(PartnerOrgRow.id > after).order_by(col(PartnerOrgRow.id)).limit(limit)
    return session.exec(rows).all()


def list_users(session: Session, org_id: str) -> Sequence[PartnerUserRow]:
    """The users of an organisation, oldest first."""
    users = select(PartnerUserRow).where(PartnerUserRow.partner_org == org_id)
    return session.exec(users.order_by(col(PartnerUserRow.created_at), col(PartnerUserRow.id))).all()


def lock_org(session: Session, org_id: str) -> PartnerOrgRow:
    """The organisation, locked until the transaction ends. Raises PartnerUnknown."""
    row = session.get(PartnerOrgRow, org_id, with_for_update=True) if org_id.isprintable() else None
    if row is None:
        raise PartnerUnknown
    return row


def org_document(row: PartnerOrgRow) -> dict[str, Any]:
    """An organisation as Limio's API shows it."""
    optional = {"salesforceAccountId": row.salesforce_account_id, "logo": row.logo}
    return {
        "id": row.id,
        "name": row.name,
        "data": {
            "zuoraAccountId": row.zuora_account_id,
            "isZuoraInvoiceOwner": row.is_invoice_owner,
            **{name: value for name, value in optional.items() if value is not None},
        },
    } | _envelope(row, "partner_org")


def user_document(row: PartnerUserRow) -> dict[str, Any]:
    """A partner's user as Limio's API shows it: `name` is the email address."""
    data = {"name": row.name} if row.name else {}
    return {"id": row.id, "name": row.email, "data": data, "partner_org": row.partner_org} | _envelope(
        row, "partner_user"
    )


def _envelope(row: PartnerOrgRow | PartnerUserRow, record_type: str) -> dict[str, Any]:
    return {
        "record_type": record_type,
        "service": "limio",
        "status": "active" if row.disabled_at is None else "disabled",
        "created": timestamp_of(row.created_at),
        "modified": timestamp_of(row.modified_at),
    }


def _check(organisation: Organisation) -> None:
    """Raises PartnerRefused with every field that is wrong, by the name that the API has for it."""
    wrong = []
    if not organisation.name.strip() or not _is_text(organisation.name, MAX_NAME):
        wrong.append(f"name: must be text of 1 to {MAX_NAME} characters.")
    if not organisation.zuora_account_id.strip() or not _is_text(organisation.zuora_account_id, MAX_TEXT):
        wrong.append("zuoraAccountId: must be the id or number of the partner's account in Zuora.")
    if organisation.salesforce_account_id is not None and not _is_text(organisation.salesforce_account_id, MAX_TEXT):
        wrong.append(f"salesforceAccountId: must be text of at most {MAX_TEXT} characters.")
    if organisation.logo is not None and not _is_logo(organisation.logo):
        wrong.append("logo: must be an https address.")
    if wrong:
        raise PartnerRefused(" ".join(wrong))


def _is_text(value: str, longest: int) -> bool:
    return len(value) <= longest and value.isprintable()


def _is_logo(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return _is_text(address, MAX_TEXT) and " " not in address and parts.scheme == "https" and bool(parts.hostname)
