"""Which people that the partners' identity provider confirms come into the portal, and for which organisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from sqlmodel import select

from sync_service.access.admission import NotAdmitted
from sync_service.access.partner_codes import PartnerUser, as_user, is_admitted
from sync_service.access.passwords import is_plausible, normalise_email
from sync_service.access.tokens import PARTNER_CLAIM
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import PartnerOrgRow, PartnerUserRow

_NO_ORG = "The identity provider names no partner organisation of yours that has access here."
_OTHER_ORG = "Your email address acts for another partner organisation."


def admit_partner(database: Database, claims: Mapping[str, Any]) -> PartnerUser:
    """The user whom the proved claims are about; a new person is added to the organisation that the provider names.

    An address that acts for another organisation is not admitted, nor a disabled user or organisation. Raises
    NotAdmitted.
    """
    email, org_id = _read_email(claims), claims.get(PARTNER_CLAIM)
    if not isinstance(org_id, str) or not 0 < len(org_id) <= 100 or not org_id.isprintable():
        raise NotAdmitted(_NO_ORG)
    with database.transaction(lock_timeout_ms=2000) as session:
        org = session.get(PartnerOrgRow, org_id, with_for_update=True)
        if org is None or org.disabled_at is not None:
            raise NotAdmitted(_NO_ORG)
        known = select(PartnerUserRow).where(PartnerUserRow.email_folded == normalise_email(email))
        user = session.exec(known).one_or_none() or _add(session, org_id, email)
        if user.partner_org != org_id:
            raise NotAdmitted(_OTHER_ORG)
        if not is_admitted(session, user):
            raise NotAdmitted("Your access here is disabled.")
        return as_user(user)


def _add(session: Session, org_id: str, email: str) -> PartnerUserRow:
    now, folded = session.now(), normalise_email(email)
    row = PartnerUserRow(
        id=f"partner_user-{uuid4().hex}",
        partner_org=org_id,
        email=email,
        email_folded=folded,
        created_at=now,
        modified_at=now,
    )
    session.add(row)
    session.flush()
    record_action(session, folded, "partner user added", f"{folded} for {org_id}, by single sign-on")
    return row


def _read_email(claims: Mapping[str, Any]) -> str:
    """The address, which the provider must confirm: otherwise it could be another person's. Raises NotAdmitted."""
    email = claims.get("email")
    if not isinstance(email, str) or not is_plausible(normalise_email(email)) or "@" not in email:
        raise NotAdmitted("The identity provider tells no email address of yours.")
    if claims.get("email_verified") not in (True, "true"):
        raise NotAdmitted("The identity provider does not vouch that your email address is yours.")
    return email.strip()
