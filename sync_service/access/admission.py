"""Whom an identity provider vouches for, and who of them is admitted: to the admin pages, and to the portal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlmodel import select

from sync_service.access.partner_sessions import PartnerUser, as_user, is_admitted
from sync_service.access.passwords import is_plausible, normalise_email
from sync_service.access.tokens import PARTNER_CLAIM
from sync_service.access.users import Role
from sync_service.errors import SyncServiceError
from sync_service.settings import Settings
from sync_service.store.audit import record_action
from sync_service.store.engine import Database, Session
from sync_service.store.tables import AdminUserRow, PartnerOrgRow, PartnerUserRow

_GOOGLE = "https://accounts.google.com"


class NotAdmitted(SyncServiceError):
    """The identity provider knows you, but you have no access here."""

    code = "not admitted"


@dataclass(frozen=True, kw_only=True)
class AdmissionRules:
    """The rules, as the settings have them."""

    issuer: str
    verified_claim: str
    role_claim: str
    operators: frozenset[str]
    viewers: frozenset[str]
    domains: frozenset[str]


def read_rules(settings: Settings) -> AdmissionRules:
    """The rules of these settings."""
    return AdmissionRules(
        issuer=settings.oidc_issuer,
        verified_claim=settings.oidc_verified_claim,
        role_claim=settings.oidc_role_claim,
        operators=frozenset(settings.oidc_operators),
        viewers=frozenset(settings.oidc_viewers),
        domains=frozenset(domain.lower().removeprefix("@") for domain in settings.oidc_email_domains),
    )


def read_email(claims: Mapping[str, Any], rules: AdmissionRules) -> str:
    """The person's email address, which the provider must confirm: otherwise it could be another person's.

    Raises NotAdmitted.
    """
    email = claims.get("email")
    if not isinstance(email, str) or not is_plausible(normalise_email(email)) or "@" not in email:
        raise NotAdmitted("The identity provider tells no email address of yours.")
    email = normalise_email(email)
    if claims.get(rules.verified_claim) not in (True, "true", 1, "1") or not _is_authority(claims, email, rules):
        raise NotAdmitted("The identity provider does not vouch that your email address is yours.")
    return email


def decide_role(claims: Mapping[str, Any], email: str, rules: AdmissionRules, known: Role | None) -> Role:
    """The role of a person whose role here is `known`, None if there is none yet.

    With a role claim the provider decides at every sign-on. Else who was added comes in as what they were added, and
    others only from the domains of the rules. Raises NotAdmitted.
    """
    if rules.role_claim:
        values = _words(claims.get(rules.role_claim))
        if values & rules.operators:
            return Role.OPERATOR
        if values & rules.viewers:
            return Role.VIEWER
        raise NotAdmitted("The identity provider gives you no role that has access here.")
    if known is not None:
        return known
    if email.rpartition("@")[2] in rules.domains:
        return Role.VIEWER
    raise NotAdmitted("You have no access yet: ask an operator to add your email address.")


def admit(database: Database, claims: Mapping[str, Any], email: str, rules: AdmissionRules) -> Role:
    """Keep what was decided of `email`, and that this account of the provider came with it; returns the role.

    The account that came first with an address keeps it: addresses are given to other people, accounts are not
    (OpenID Connect Core 1.0, 5.7). Raises NotAdmitted.
    """
    subject = str(claims["sub"])
    with database.transaction() as session:
        row = session.get(AdminUserRow, email, with_for_update=True)
        if row is not None and row.disabled_at is not None:
            raise NotAdmitted("Your access here is disabled.")
        if row is not None and row.issuer == rules.issuer and row.subject != subject:
            raise NotAdmitted("Another account of the identity provider came in with your email address before.")
        role = decide_role(claims, email, rules, Role(row.role) if row else None)
        if row is None:
            row = AdminUserRow(email=email, role=role.value, created_at=session.now())
            record_action(session, email, "user added", f"{email} as {role.value}")
        elif row.role != role.value:
            row.role = role.value
            record_action(session, email, "user role changed", f"{email} to {role.value}")
        row.issuer, row.subject = rules.issuer, subject
        session.add(row)
    return role


def _is_authority(claims: Mapping[str, Any], email: str, rules: AdmissionRules) -> bool:
    """Google checks the address of a private account once: it may belong to another person by now.

    It is the authority for gmail.com and for companies whose addresses it hosts, which `hd` tells (Google, "Verify the
    Google ID token on your server side").
    """
    return rules.issuer != _GOOGLE or bool(claims.get("hd")) or email.endswith("@gmail.com")


def _words(value: Any) -> set[str]:
    """A claim of one text or several."""
    values = value if isinstance(value, list) else [value]
    return {each for each in values if isinstance(each, str)}


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
