"""One JSON object inside an answer of Zuora's, which knows its place, so that a refusal can name the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from marshmallow import ValidationError

from sync_service.errors import PayloadInvalid
from sync_service.zuora.fields import ZuoraField
from sync_service.zuora.schemas import ZuoraSchema

#: A refusal names no more problems than a person reads.
_MOST_PROBLEMS = 5


class Part:
    """A JSON object and where it stands, such as `ratePlans[0].ratePlanCharges[2]` of a subscription."""

    __slots__ = ("value", "what", "where")

    def __init__(self, value: Any, what: str, where: str = "") -> None:
        """`what` is the answer's kind, in words. Raises PayloadInvalid where the value is no JSON object."""
        self.what, self.where = what, where
        if not isinstance(value, Mapping):
            raise PayloadInvalid(f"{where or 'the answer'} is no JSON object in Zuora's {what}")
        self.value = value

    def read(self, kind: type[ZuoraSchema]) -> dict[str, Any]:
        """The schema's fields by our names; null, absent and blank ones are left out.

        Raises PayloadInvalid that names every field in the way.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        get = self.value.get
        for name, key, read, is_required in _fields(kind):
            raw = get(key)
            try:
                value = None if raw is None else read(raw)
            except ValidationError as error:
                problems.append(f"{self._place(key)} {error.messages[0]}")
                continue
            if value is not None:
                values[name] = value
            elif is_required:
                problems.append(f"{self._place(key)} is missing")
        if problems:
            raise PayloadInvalid(f"{'; '.join(problems[:_MOST_PROBLEMS])} in Zuora's {self.what}")
        return values

    def part(self, key: str) -> Part | None:
        """The JSON object under `key`, None where it is null or absent."""
        value = self.value.get(key)
        return None if value is None else Part(value, self.what, self._place(key))

    def parts(self, key: str) -> list[Part]:
        """The JSON objects of the list under `key`, none where it is null or absent."""
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refusal(key, "is no list")
        return [Part(each, self.what, f"{self._place(key)}[{index}]") for index, each in enumerate(value)]

    def over(self, other: Part) -> Part:
        """This object with the fields of `other` for those that it lacks."""
        return Part({**other.value, **self.value}, self.what, self.where)

    def refusal(self, key: str, reason: str) -> PayloadInvalid:
        """The error that names the field under `key`."""
        return PayloadInvalid(f"{self._place(key)} {reason} in Zuora's {self.what}")

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key


@cache
def _fields(kind: type[ZuoraSchema]) -> tuple[tuple[str, str, Callable[[Any], Any], bool], ...]:
    """A schema's fields: our name, Zuora's name, the reader of a value that is not null, whether it must be there."""
    return tuple(
        (name, field.data_key or name, field.read, field.required)
        for name, field in kind().load_fields.items()
        if isinstance(field, ZuoraField)
    )
