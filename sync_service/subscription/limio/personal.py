"""Which values of a Limio object or of a plan are personal, and the same without them. Pure.

Dates, amounts, ids and words of structure stay: what was billed when must still add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: In place of a personal value: nothing in an object, where readers expect a text; a word in the history.
ERASED = ""
ERASED_IN_HISTORY = "(erased)"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: All that their `data` says is about a person, or about how that person pays.
_OF_A_PERSON = frozenset({"customer", "address", "identity", "payment_method"})
#: Names of fields without case, hyphens and underscores.
_PERSONAL = _words(
    """firstname lastname middlename fullname nickname displayname cardholdername creditcardholdername accountholder
    email emailaddress personalemail workemail otheremail phone phonenumber telephone mobile mobilephone homephone
    workphone otherphone fax address1 address2 address3 addressline1 addressline2 addressline3 street postalcode
    postcode zip zipcode company companyname dateofbirth birthdate birthday taxid vatnumber iban creditcardmasknumber
    cardnumber last4 signature ipaddress username"""
)
#: Personal beside a street or a postal code, something else elsewhere (`state` of an order).
_PERSONAL_IN_ADDRESS = _words("city state county province town")
#: What stays although it stands in a person's data. The country decides about tax and identifies no person.
_KEPT_OF_A_PERSON = _words(
    """id type status country currency mode service recordtype relationshiptype relationshipid refid tenantid start end
    created updated amount subtype brand creditcardtype paymentmethodstatus paymentgateway"""
)
#: What ties an object to others.
_ENVELOPE = _words("id reference ref owner customer related relationshipid status recordtype number path")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.]+(Z|[+-]\d\d:?\d\d)?)?")
_ID = re.compile(r"[a-z_]{2,20}-[0-9A-Za-z_-]{32,43}|[0-9a-f]{32}")
#: Shorter values stand in too many texts by chance, and so do digits that are no telephone's.
_SHORTEST_KNOWN, _FEWEST_DIGITS = 5, 9


def erase_object(record_type: str, document: Mapping[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """The object without personal values; `known` are the person's, wherever else they may stand.

    Doing it again changes nothing.
    """
    eraser = _Eraser(ERASED, known)
    return eraser.erase_document(record_type, document)


def erase_plan(plan: Mapping[str, Any], known: Iterable[str] = ()) -> dict[str, Any]:
    """A plan as the history keeps it, without personal values before or after. Doing it again changes nothing."""
    eraser = _Eraser(ERASED_IN_HISTORY, known)
    erased = {key: eraser.erase(value) for key, value in plan.items() if key != "changes"}
    return erased | {"changes": [_erase_change(eraser, change) for change in plan.get("changes") or ()]}


def erase_text(text: str | None, known: Iterable[str]) -> str | None:
    """The text, or the word for erased where it holds something known of the person."""
    return None if text is None else str(_Eraser(ERASED_IN_HISTORY, known).erase(text))


def personal_values(record_type: str, document: Mapping[str, Any]) -> set[str]:
    """The texts of an object that are worth looking for elsewhere."""
    found: set[str] = set()
    _collect(document, personal=record_type in _OF_A_PERSON, found=found)
    return found


def is_about(words: Iterable[str], known: Iterable[str]) -> bool:
    """Whether a search for all of `words` would find the person whose personal values are `known`.

    A word counts that stands anywhere in one of the values, whatever its case, as the search does it.
    """
    wanted = [_fold(word) for word in words]
    values = [_fold(value) for value in known]
    return bool(wanted) and all(any(word in value for value in values) for word in wanted)


def _erase_change(eraser: _Eraser, change: Mapping[str, Any]) -> dict[str, Any]:
    record_type = str(change.get("record_type"))
    erased = {key: eraser.erase(value) for key, value in change.items() if key not in ("document", "fields", "id")}
    if "id" in change:
        erased["id"] = change["id"]
    if "document" in change:
        erased["document"] = eraser.erase_document(record_type, change["document"] or {})
    if "fields" in change:
        erased["fields"] = [eraser.erase_field(record_type, field) for field in change["fields"] or ()]
    return erased


class _Eraser:
    def __init__(self, mark: str, known: Iterable[str]) -> None:
        self._mark = mark
        words = sorted({_fold(word) for word in known if len(_fold(word)) >= _SHORTEST_KNOWN}, key=len, reverse=True)
        self._known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)") if words else None

    def erase_document(self, record_type: str, document: Mapping[str, Any]) -> dict[str, Any]:
        if record_type not in _OF_A_PERSON:
            return dict(self.erase(document))
        return {
            key: self._erase_all(value) if key in ("data", "name") else self.erase(value, key)
            for key, value in document.items()
        }

    def erase_field(self, record_type: str, field: Mapping[str, Any]) -> dict[str, Any]:
        """One change of one value."""
        name = str(field.get("path")).rsplit(".", 1)[-1]
        values = {key: field.get(key) for key in ("before", "after")}
        if record_type in _OF_A_PERSON:
            erased = {key: self._erase_all(value, name) for key, value in values.items()}
        else:
            erased = {key: self.erase(value, name) for key, value in values.items()}
        return {**field, **erased}

    def erase(self, value: Any, key: str = "", *, in_address: bool = False) -> Any:
        """Without what its name or a known value shows to be personal."""
        if isinstance(value, Mapping):
            inside = any(_plain(name) in _PERSONAL for name in value)
            return {name: self.erase(inner, str(name), in_address=inside) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.erase(inner, key, in_address=in_address) for inner in value]
        name = _plain(key)
        if name in _PERSONAL or (in_address and name in _PERSONAL_IN_ADDRESS):
            return self._erase_value(value)
        if name not in _ENVELOPE and isinstance(value, str) and self._known and self._known.search(_fold(value)):
            return self._mark
        return value

    def _erase_all(self, value: Any, key: str = "") -> Any:
        """Everything but what is known to be harmless."""
        if isinstance(value, Mapping):
            return {name: self._erase_all(inner, str(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._erase_all(inner, key) for inner in value]
        name = _plain(key)
        if name in _KEPT_OF_A_PERSON:
            return value
        if isinstance(value, str) and name not in _PERSONAL and (_DATE.fullmatch(value) or _ID.fullmatch(value)):
            return value
        return self._erase_value(value)

    def _erase_value(self, value: Any) -> Any:
        """Nothing stays nothing; a number may be a telephone's."""
        return value if value is None or value == "" or isinstance(value, bool) else self._mark


def _collect(value: Any, *, personal: bool, found: set[str], key: str = "") -> None:
    if isinstance(value, Mapping):
        inside = personal or any(_plain(name) in _PERSONAL for name in value)
        full_name = " ".join(str(value.get(name) or "") for name in ("firstName", "lastName")).strip()
        if " " in full_name:
            found.add(full_name)
        for name, inner in value.items():
            _collect(inner, personal=inside, found=found, key=str(name))
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, personal=personal, found=found, key=key)
    elif isinstance(value, str) and personal and _is_telling(value, _plain(key)):
        found.add(value)


def _is_telling(text: str, name: str) -> bool:
    """Whether the text names this person and hardly anything else, unlike a city or a given name."""
    telling = name in _PERSONAL - {"firstname", "lastname", "middlename", "company", "companyname"} or (
        name == "name" and " " in text
    )
    worded = any(letter.isalpha() for letter in text) or sum(letter.isdigit() for letter in text) >= _FEWEST_DIGITS
    return telling and worded and not _DATE.fullmatch(text) and not _ID.fullmatch(text)


def _plain(name: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower().removesuffix("__c"))


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
