"""What our store holds of one number, as a value: read in one statement, and once more where it has to stand still.

A second statement is needed only where the owner of an account decides: before an import, and where a subscription has
moved to another account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

from sync_service.queue.limit import Share
from sync_service.queue.requests import Shared
from sync_service.queue.runs.held import OpenHeld
from sync_service.queue.runs.history import Covered, CoveredCause
from sync_service.store.engine import Session
from sync_service.store.object_rows import age_of_address, as_used
from sync_service.subscription.contacts import Claimant
from sync_service.subscription.fingerprint import Fingerprint
from sync_service.subscription.limio.documents import get_value
from sync_service.subscription.plan import Document, LimioState
from sync_service.subscription.zuora import ZuoraSubscription
from sync_service.sync.current_statements import by_account, by_number
from sync_service.sync.look import LastRead, Look


@dataclass(frozen=True, kw_only=True)
class CurrentQuery:
    """What is asked of the store: a number as Zuora has just described it, for a run that covers some requests."""

    subscription: ZuoraSubscription
    #: The clock of the database before the subscription was read, in ms.
    read_began: int
    share: Share
    #: The requests that the run covers; None for a dry run.
    covered: Covered | None = None
    #: Before an import: the other numbers that Zuora lists under the same account.
    siblings: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, Any]:
        """For the statements."""
        read, covered = self.subscription, self.covered
        payer = read.invoice_owner_id or read.account_id
        return {
            "number": read.number,
            "account": read.account_id,
            "payer": payer,
            "payer_number": read.account_number if payer == read.account_id else None,
            "read_began": self.read_began,
            "kind": str(covered.kind) if covered else "",
            "key": covered.key if covered else "",
            "done_before": covered.done_before if covered else 0,
            "seen": covered.seen if covered else 0,
            "most": self.share.max_concurrency,
        }


@dataclass(frozen=True)
class Current:
    """What stands in the store under a number."""

    asked: CurrentQuery
    #: As the two statements gave it. All but the last two columns must still be so when the difference is written.
    row: Any
    #: What stands under the account; None where its owner decides nothing.
    account: Any | None

    @cached_property
    def is_known(self) -> bool:
        """Whether Limio has the subscription."""
        return self.row.subscription_id is not None

    @cached_property
    def moves(self) -> bool:
        """Whether the subscription has come to another account since the last good run."""
        account, linked = self.asked.subscription.account_id, self.row.link_account_id
        return linked is not None and account not in (None, linked)

    @cached_property
    def asks_who_holds(self) -> bool:
        """Whether the account's owner decides whose the subscription is."""
        return not self.is_known or self.moves

    @property
    def holder(self) -> Any | None:
        """The account's owner with the customer, as far as there is one."""
        return self.account if self.account is not None and self.account.owner is not None else None

    @property
    def is_account_held(self) -> bool:
        """Whether the store knows an owner for the account, so that Zuora need not be asked for its other numbers."""
        return self.account is not None and bool(self.account.is_account_held)

    @property
    def is_echoed(self) -> bool:
        """Whether a callout that an order of our own made named a number that Limio lacks."""
        return self.account is not None and bool(self.account.is_echoed)

    @property
    def at(self) -> int:
        """The database's clock when this was read, in ms."""
        return int(self.row.at)

    @property
    def is_all_well(self) -> bool:
        """Whether Zuora has answered all runs well lately, so that one more good answer is no news."""
        return bool(self.row.all_well)

    @property
    def owner(self) -> str | None:
        """The identity to whom the subscription belongs after the sync, as far as there is one."""
        return self._whose("owner")

    @property
    def customer_id(self) -> str | None:
        """The same for the customer."""
        return self._whose("customer")

    @property
    def customer(self) -> tuple[str, str] | None:
        """The id and the document's text of the customer that the subscription has."""
        row = self.row
        return (row.subscription_customer, row.customer_document) if row.customer_document is not None else None

    @property
    def shared(self) -> Shared:
        """The rows that others may write, too."""
        return Shared(
            subscription=self.row.subscription_id,
            account=self.asked.subscription.account_id if self.asks_who_holds else None,
            customer=self.customer_id,
            customer_left=self.row.subscription_customer if self.moves else None,
        )

    @cached_property
    def causes(self) -> tuple[CoveredCause, ...]:
        """Why the run was asked for, oldest first."""
        found = (CoveredCause(*each) for each in self._parse("causes"))
        return tuple(sorted(found, key=lambda cause: (cause.seq, cause.id)))

    @cached_property
    def schedule(self) -> tuple[Document, ...]:
        """All payments in the order of their days."""
        return tuple(sorted(self._parse("schedule"), key=_day_of))

    @cached_property
    def own_addresses(self) -> tuple[Document, ...]:
        """The addresses whose rows name the subscription."""
        return tuple(self._parse("own_addresses"))

    @property
    def belongings(self) -> tuple[tuple[str, Document], ...]:
        """What follows the owner of a subscription that moves: record type and object."""
        if not self.moves:
            return ()
        held = [("subscription_offer", each) for each in self._parse("offers", self.account)]
        held += [("add_on", each) for each in self._parse("add_ons", self.account)]
        held += [("schedule", each) for each in self.schedule]
        return (*held, *(("address", each) for each in self.own_addresses))

    @cached_property
    def fingerprint(self) -> Mapping[str, Any] | None:
        """What the last good run kept of Zuora's answer."""
        text = self.row.link_fingerprint
        return json.loads(text) if text is not None else None

    @property
    def last_read(self) -> LastRead | None:
        """What the last good run read; None where none has."""
        if self.row.link_number is None:
            return None
        return LastRead(
            version=self.row.link_version,
            fingerprint=Fingerprint.from_json(self.fingerprint),
            schedule=lambda: self.schedule,
        )

    def news_of(self, look: Look, subscription_id: str | None, look_again_on: date | None) -> Mapping[str, Any] | None:
        """What to remember of a read; None where it is remembered already."""
        read, ours = look.state.subscription, Claimant.of(look.state.subscription)
        values: dict[str, Any] = {
            "subscription_id": subscription_id,
            "zuora_id": read.id,
            "version": read.version,
            "account_id": read.account_id,
            "account_number": read.account_number,
            "payer_id": read.payer_id,
            "started_on": ours.started_on,
            "cancelled": ours.cancelled,
            "cancel_set": read.is_cancel_set,
            # Hashes of an erased customer's contacts are not kept either: the next run reads everything.
            "fingerprint": {} if self.is_scrubbed else look.fingerprint.as_json(),
            "look_again_on": look_again_on,
            "schedule_left_alone": look.state.no_preview,
        }
        is_remembered = self.row.link_number is not None
        return None if is_remembered and all(self._linked(name) == value for name, value in values.items()) else values

    @property
    def before(self) -> Claimant | None:
        """How the last good run made the subscription take part in who writes the customer."""
        row = self.row
        if row.link_number is None or row.link_subscription_id is None:
            return None
        return Claimant(row.link_number, row.link_account_id, row.link_started_on, bool(row.link_cancelled))

    @property
    def other_writer(self) -> Claimant | None:
        """Of the customer's other subscriptions the one whose account comes first to write the customer."""
        return self._claimant(self.holder if self.asks_who_holds else self.row)

    @property
    def other_writer_left(self) -> Claimant | None:
        """The same for the customer whom the subscription leaves."""
        return self._claimant(self.row)

    def followers(self, customer: str | None) -> tuple[str, ...]:
        """The numbers whose account writes a customer from now on because of what was read: they need a full sync.

        For instance because the newest subscription was cancelled, or has left for another `customer`.
        """
        before, ours = self.before, Claimant.of(self.asked.subscription)
        if before is None or before == ours:
            return ()
        leaves = customer != self.row.subscription_customer
        others = self.other_writer_left if leaves else self.other_writer
        if others is None:
            return ()
        after = others if leaves else Claimant.first(others, ours)
        writer_before = Claimant.first(others, before)
        return (after.number,) if after.account_id not in (writer_before.account_id, ours.account_id) else ()

    @property
    def is_scrubbed(self) -> bool:
        """Whether the customer's personal values were erased."""
        whose = self.holder if self.asks_who_holds else self.row
        return bool(self.row.is_marked) or (whose is not None and bool(whose.is_scrubbed))

    @cached_property
    def open_held(self) -> OpenHeld | None:
        """The number's plan that waits for a person's decision."""
        return OpenHeld(*json.loads(self.row.open_held)) if self.row.open_held is not None else None

    @cached_property
    def limio(self) -> LimioState:
        """What the comparison needs."""
        return self._as_limio(self.schedule)

    @cached_property
    def limio_unscheduled(self) -> LimioState:
        """The same without the payments, for a comparison that has no preview to compare them with."""
        return self._as_limio(())

    @cached_property
    def writes_customer(self) -> bool:
        """Whether this subscription's account writes name and email."""
        ours, customers = Claimant.of(self.asked.subscription), self.holder if self.asks_who_holds else self.row
        is_new = customers is None or customers.customer_document is None
        writer = Claimant.first(self.other_writer, ours)
        return not self.is_scrubbed and (is_new or writer.account_id == ours.account_id)

    def _as_limio(self, schedule: tuple[Document, ...]) -> LimioState:
        row, holder, scrubbed = self.row, self.holder, self.is_scrubbed
        customers = holder if self.asks_who_holds else row
        customer = json.loads(customers.customer_document) if customers and customers.customer_document else None
        return LimioState(
            subscription=json.loads(row.document) if row.document is not None else None,
            schedule=schedule,
            addresses=self._addresses,
            customer=customer,
            writes_customer=self.writes_customer,
            customer_is_newer=customer is not None and bool(customers and customers.is_newer),
            is_scrubbed=scrubbed,
            linked_account_id=row.link_account_id,
            account_owner=holder.owner if holder is not None else None,
            account_customer=holder.customer if holder is not None else None,
        )

    def read_again(self, session: Session, *, siblings: Sequence[str] | None = None) -> Current:
        """The same as it stands now."""
        asked = self.asked if siblings is None else replace(self.asked, siblings=tuple(siblings))
        return read_current(session, asked)

    def stands(self, session: Session) -> bool:
        """Whether nothing of this has changed meanwhile."""
        again = self.read_again(session)
        return (again.row[:-2], again.account) == (self.row[:-2], self.account)

    def _linked(self, name: str) -> Any:
        """A column of the number's link."""
        return self.fingerprint if name == "fingerprint" else getattr(self.row, f"link_{name}")

    def _whose(self, column: str) -> str | None:
        if not self.asks_who_holds:
            return getattr(self.row, f"subscription_{column}")  # type: ignore[no-any-return] # a Text column
        return getattr(self.holder, column) if self.holder is not None else None

    @cached_property
    def _addresses(self) -> tuple[Document, ...]:
        used = (as_used(*each) for each in self._parse("shared_addresses"))
        return tuple(sorted((*self.own_addresses, *used), key=age_of_address))

    def _parse(self, column: str, row: Any = None) -> list[Any]:
        text = getattr(row or self.row, column)
        return json.loads(text) if text is not None else []

    @staticmethod
    def _claimant(row: Any | None) -> Claimant | None:
        if row is None or row.other_writer is None:
            return None
        number, account_id, started_on, cancelled = json.loads(row.other_writer)
        return Claimant(number, account_id, date.fromisoformat(started_on) if started_on else None, bool(cancelled))


def read_current(session: Session, asked: CurrentQuery) -> Current:
    """What stands in the store now. Writes nothing and locks nothing."""
    run, dialect, values = session.run, session.database.dialect, asked.values
    current = Current(asked, run(by_number(dialect), values).one(), None)
    if not current.asks_who_holds:
        return current
    values |= {"siblings": json.dumps(asked.siblings), "subscription_id": current.row.subscription_id}
    return Current(asked, current.row, run(by_account(dialect), values).one())


def _day_of(entry: Document) -> tuple[str, str]:
    day = get_value(entry, "data.date") or get_value(entry, "data.schedule_date") or ""
    return str(day), str(entry.get("id"))
