"""Every visit in this process, and whatever it asks of the store, watched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch
from uuid import uuid4

from sync_service.access.clients import OBJECTS_SCOPE, PARTNERS_SCOPE, SYNC_SCOPE
from sync_service.access.partner_sessions import PartnerSessions, as_user
from sync_service.access.users import Role
from sync_service.partner.organisations import Organisation, Partners
from sync_service.store.engine import Database
from sync_service.web.partner.portal.session import COOKIE, PATH
from tests.bench.grown import OF_A_PARTNER, number_of
from tests.bench.plans import Asked, Work, watching, work_of
from tests.bench.visits import Visit
from tests.integration.web.admin import Visitor
from tests.integration.web.admin import visit as come_in
from tests.integration.web.conftest import MONITORING
from tests.partner_world import log_in

#: A number above this is a moment in ms.
_FIRST_MOMENT = 1_000_000_000_000


@dataclass(frozen=True)
class Seen:
    """One statement of one visit, and what it does."""

    visit: Visit
    asked: Asked
    work: Work

    def __str__(self) -> str:
        scanned = ", ".join(f"{table} from end to end" for table in self.work.scanned)
        return f"{self.visit.name}: {self.work.rows} rows {scanned}\n{self.asked.text}\n{self.work.plan}"


def survey(
    database: Database, visits: Sequence[Visit], *, secret_key: str, prefer_indexes: bool = False
) -> Iterator[Seen]:
    """What each visit asks. Raises RuntimeError where one is not answered as it should be."""
    person = come_in(database, Role.OPERATOR, secret_key=secret_key)
    token = person.web.token(SYNC_SCOPE, OBJECTS_SCOPE, PARTNERS_SCOPE, name=uuid4().hex)
    partner = _log_in_as_partner(database, person)
    known: dict[str, Work] = {}
    for visit in visits:
        with watching() as watched, _without_drawing():
            mine = partner if visit.is_of_a_partner else token if visit.needs_token else MONITORING
            answer = person.client.get(visit.path, headers=mine, buffered=False)
            if visit.name.startswith("export"):
                next(answer.iter_encoded())
            else:
                answer.get_data()
            answer.close()
        if answer.status_code not in visit.answers:
            raise RuntimeError(f"{visit.name}: {visit.path} is answered {answer.status_code}")
        for asked in watched.asked:
            question = _name(asked)
            if question not in known:
                known[question] = work_of(database, asked, prefer_indexes=prefer_indexes)
            yield Seen(visit, asked, known[question])


@contextmanager
def _without_drawing() -> Iterator[None]:
    """Pages are asked for and not drawn: templates read nothing of the store, and take half of the time."""
    with patch("flask.templating._render", lambda *_: ""):
        yield


def _name(asked: Asked) -> str:
    """The statement with its values; two moments within a quarter of an hour are one, because pages ask as of now."""
    values = asked.values.items() if isinstance(asked.values, Mapping) else enumerate(asked.values or ())
    return repr((asked.statement, [(name, _round(value)) for name, value in values]))


def _round(value: object) -> object:
    return value // 900_000 if isinstance(value, int) and value > _FIRST_MOMENT else value


def _log_in_as_partner(database: Database, person: Visitor) -> dict[str, str]:
    """The header of a token of a new organisation with one subscription; its user is at the portal in this browser."""
    name, partners = uuid4().hex, Partners(database, "survey")
    org_id = partners.add(Organisation(name=name, zuora_account_id=name, is_invoice_owner=False)).id
    partners.assign(number_of(OF_A_PARTNER), org_id)
    user = as_user(partners.add_user(org_id, f"{name}@example.com"))
    person.client.set_cookie(COOKIE, PartnerSessions(database).open(user, "survey"), path=PATH)
    return log_in(database, person.web.client, org_id, name)
