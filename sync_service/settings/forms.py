"""The forms of settings: what the text of one must be, what it stands for, and what is wrong, without a secret."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from marshmallow import ValidationError, validate
from marshmallow import fields as typed

Network = IPv4Network | IPv6Network


class Words(typed.Field[tuple[str, ...]]):
    """A comma-separated list; blanks are dropped."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        return tuple(word.strip() for word in str(value).split(",") if word.strip())


class Scopes(typed.Field[tuple[str, ...]]):
    """Words with blanks between them; `openid` is one of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        scopes = tuple(str(value).replace(",", " ").split())
        if "openid" not in scopes:
            raise ValidationError("must contain openid")
        return scopes


class Networks(typed.Field[tuple[Network, ...]]):
    """A comma-separated list of networks; an address alone is a network of one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[Network, ...]:
        try:
            return tuple(ip_network(word.strip()) for word in str(value).split(",") if word.strip())
        except ValueError as error:
            raise ValidationError(f"{error}; give networks such as 203.0.113.0/24") from None


class Proxies(Networks):
    """A number, or a list of networks."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = str(value).strip()
        if len(text) < 3 and text.isdecimal():
            return int(text)
        return super()._deserialize(value, attr, data, **kwargs)


class Credentials(typed.Field[tuple[tuple[str, str, str], ...]]):
    """A comma-separated list of `user:password@host`, percent-encoded where these hold a comma, a colon or an @."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[tuple[str, str, str], ...]:
        read = [
            re.fullmatch(r"([^:@]+):([^:@]*)@([^:@/]+)", word.strip()) for word in str(value).split(",") if word.strip()
        ]
        found = [each.groups() for each in read if each]
        if len(found) < len(read):  # what is wrong may be a password, so it is not quoted
            raise ValidationError("must be like user:password@host, with %40 for an @, %3A for a : and %2C for a comma")
        return tuple((host.lower(), unquote(user), unquote(password)) for user, password, host in found)


class Zone(typed.Field[ZoneInfo]):
    """A name of the time zone database, such as Europe/London."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> ZoneInfo:
        try:
            return ZoneInfo(str(value))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValidationError("no such time zone; give a name such as Europe/London") from None


def switch() -> typed.Boolean:
    """`on` or `off`."""
    return typed.Boolean(truthy={"on"}, falsy={"off"}, error_messages={"invalid": "must be on or off"})


def one_of(*words: str) -> validate.OneOf:
    """One of `words`."""
    return validate.OneOf(words, error="must be one of: {choices}")


#: Where there is nothing between that could read along: plain http is for this machine only.
THIS_MACHINE = r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
ADDRESS = validate.Regexp(
    rf"^(https://[^\s/?#]+|{THIS_MACHINE}(?![^/]))[^\s?#]*$",
    error="must be an https address such as https://rest.eu.zuora.com (http only on this machine)",
)
PAGE = validate.Regexp(
    r"^https?://[^\s/?#]+/?$", error="must be an address without a path, such as https://eu.zuora.com"
)
COLLECTOR = validate.Regexp(
    r"^https?://[^\s?#]+$", error="must be the address of a collector, such as http://collector:4318"
)
HEADER = validate.Regexp(r"^[A-Za-z0-9-]+$", error="must be the name of an HTTP header such as X-Signature")
SIGNED = validate.Regexp(
    r"^(?=.*\{\{)([^{}]|\{\{Request\.(Body|Headers\.[A-Za-z0-9-]+)\}\})+$",
    error="must be made of {{Request.Body}}, {{Request.Headers.<name>}} and plain text",
)
DATABASE = validate.Regexp(
    r"^(sqlite:///.+|postgresql(\+psycopg)?://.+)$", error="must begin with sqlite:/// or postgresql://"
)
LABEL = validate.Length(max=40, error="must have at most 40 characters")
NAME = validate.Length(max=24, error="must have at most 24 characters")
HOST = validate.Regexp(r"^[0-9A-Za-z.:-]+$", error="must be an address or a name of this machine, such as 127.0.0.1")
ISSUER = validate.Regexp(
    ADDRESS.regex.pattern,
    error="must be the address of the provider, as its discovery document says it, such as https://login.example.com",
)
MAIL_FROM = validate.Regexp(
    r"^([^<>@\r\n]+ <[^\s<>@,]+@[^\s<>@,]+>|[^\s<>@,]+@[^\s<>@,]+)$",
    error="must be an address such as partners@example.com or Example Partners <partners@example.com>",
)
