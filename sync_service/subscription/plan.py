"""The sync plan: what the Limio store holds, and its computed difference from Zuora as a value that prints as JSON.

Pure. A plan names no random ids: `store.apply.apply_plan` gives new objects theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

#: A Limio object as JSON, or the parts of one.
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class LimioState:
    """What our store holds of one subscription, read in the transaction that will write the plan."""

    #: None: Limio never saw it.
    subscription: Document | None = None
    #: All entries, cancelled and past ones too.
    schedule: tuple[Document, ...] = ()
    #: All addresses of the subscription, old ones too.
    addresses: tuple[Document, ...] = ()
    customer: Document | None = None
    #: Several accounts of one customer: only the newest one that is not cancelled writes name and email.
    writes_customer: bool = True
    #: The customer was compared with a read that ended after ours began: values that differ are not ours to write.
    customer_is_newer: bool = False
    #: The customer's personal values were erased on request: name, email and addresses are never written again.
    is_scrubbed: bool = False
    #: The Zuora account of the last good read; None before the first.
    linked_account_id: str | None = None
    #: The identity and the customer that the store keeps for the Zuora account as just read, where it has them.
    account_owner: str | None = None
    account_customer: str | None = None


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One value of one object. `path` is dotted from the object's top: `data.termEndDate`. None is absent."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Create:
    """A new object. `document` lacks what the store gives: id, owner, related ids, timestamps."""

    record_type: str
    document: Document
    reason: str


@dataclass(frozen=True, kw_only=True)
class Update:
    """Other values in an object that exists."""

    record_type: str
    id: str
    fields: tuple[FieldChange, ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """An object that no longer applies: its status becomes `cancelled`; `document` is the object before."""

    record_type: str
    id: str
    document: Document
    reason: str


Change = Create | Update | Cancel


@dataclass(frozen=True, kw_only=True)
class SyncPlan:
    """Everything that one sync will change, and what a person should know besides."""

    number: str
    changes: tuple[Change, ...] = ()
    #: Plain sentences: what was left alone and why, what could not be known.
    notes: tuple[str, ...] = ()
    #: The next date on which Zuora's answer changes by itself.
    look_again_on: date | None = None
    #: A shared row was newer than this read and differs: sync the number again.
    again: bool = False
    #: Every payment that was still to come goes and none takes its place.
    empties_schedule: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the store already agrees with Zuora."""
        return not self.changes
