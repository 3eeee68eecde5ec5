"""The one organisation whose objects a partner sees.

A PartnerScope is made in this module and nowhere else, from credentials that were checked: no organisation is ever read
from a path, query, body, header or cookie. Whatever reads for a partner takes one and begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync_service.access.clients import Client
from sync_service.access.partner_sessions import PartnerPerson
from sync_service.errors import SyncServiceError


class NoPartner(SyncServiceError):
    """These credentials belong to no partner organisation."""

    code = "no partner"


@dataclass(frozen=True)
class PartnerScope:
    """One partner organisation; there is none for all, and none for nothing."""

    partner_org: str

    def __post_init__(self) -> None:
        if not self.partner_org.strip():
            raise ValueError("a partner scope names an organisation")


def scope_of_client(client: Client) -> PartnerScope:
    """The scope of a client whose token was checked just now. Raises NoPartner."""
    if not client.partner_org:
        raise NoPartner
    return PartnerScope(client.partner_org)


def scope_of_person(person: PartnerPerson) -> PartnerScope:
    """The scope of a partner's user whose session was found just now."""
    return PartnerScope(person.partner_org)
