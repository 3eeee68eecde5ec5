"""Who comes in. Two gates: callouts and API callers at the sync addresses, API callers alone everywhere else.

Zuora sends its first request without credentials and waits for `401` with a Basic challenge; it never comes back after
any other 401, but does after 403 (Zuora documentation, "Callout notification overview"). So wrong callout credentials
are 403: rotating a password loses nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from flask import Request
from werkzeug.exceptions import HTTPException

from sync_service.access.clients import SYNC_SCOPE, Client, ClientDirectory
from sync_service.access.tokens import AccessTokens
from sync_service.settings import Settings
from sync_service.store.audit import SENDER
from sync_service.subscription.keys import normalise_key
from sync_service.telemetry.log import logger
from sync_service.web.answers import read_body
from sync_service.web.rate import Rate
from sync_service.web.senders import Senders

REALM = "sync-service"
#: Zuora's merge fields for the text of a signature (its documentation, "Create a callout template").
_SIGNED = re.compile(r"\{\{Request\.(Body|Headers\.[A-Za-z0-9-]+)\}\}")
#: A callout's own header for the key in its address. Where it is signed it must be that key, so that a signature which
#: was seen is valid for no other.
KEY_HEADER = "X-Sync-Key"


@dataclass(frozen=True)
class Caller:
    """Who may ask for a sync, and how they want to be answered."""

    #: The client's name; None for Zuora by a shared credential.
    name: str | None
    #: Told by the credential and by nothing else.
    is_callout: bool


class WrongCredentials(Exception):
    """Callout credentials are there, and wrong; `what` says which, for the record."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class NotLetIn(HTTPException):
    """401 or 403 with the challenge that says how to authenticate."""

    def __init__(self, status: int, text: str, scheme: str, **details: str) -> None:
        super().__init__(text)
        self.code = status
        # Quoted all: RFC 7617 asks it of the realm, RFC 6750 of the others, and not every sender reads bare words.
        named = {"realm": REALM, **details}
        self._challenge = f"{scheme} " + ", ".join(f'{name}="{value}"' for name, value in named.items())

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """The usual ones and the challenge."""
        return [*super().get_headers(*args, **kwargs), ("WWW-Authenticate", self._challenge)]


class BearerAuth:
    """Lets in who holds a token of ours with the right scope (RFC 6750)."""

    def __init__(self, tokens: AccessTokens, clients: ClientDirectory, rate: Rate) -> None:
        self._tokens = tokens
        self._rate = rate
        self._clients = clients

    def admit(self, request: Request, scope: str) -> Client:
        """The client with the scopes that its token has. Raises NotLetIn."""
        kind, token = authorization(request)
        if kind != "bearer":
            raise NotLetIn(401, "This address needs a Bearer token.", "Bearer")
        return self.admit_token(token, scope)

    def admit_token(self, token: str, scope: str) -> Client:
        """The client of `token`; raises like `admit`, and TooManyRequests where it asks too often."""
        grant = self._tokens.read(token)
        client = self._clients.find(grant.client_id) if grant else None
        if grant is None or client is None or grant.partner_org != client.partner_org:
            text = "The access token is not one of ours, has expired or was revoked."
            logger().warning("access_refused", sender=SENDER.get(), known=grant is not None)
            raise NotLetIn(401, text, "Bearer", error="invalid_token", error_description=text)
        if scope not in grant.scopes & client.scopes:
            text = f"The access token lacks the scope {scope}."
            logger().warning("access_refused", sender=SENDER.get(), client=client.name, scope=scope)
            raise NotLetIn(403, text, "Bearer", error="insufficient_scope", error_description=text, scope=scope)
        if not client.callout:
            self._rate.count(client.client_id)
        return replace(client, scopes=grant.scopes & client.scopes)


class SyncAuth:
    """Lets in callouts by Basic, signature or secret header, and clients by token. Nothing configured means closed."""

    def __init__(self, settings: Settings, bearer: BearerAuth) -> None:
        self._bearer = bearer
        self._usernames = _digests(_given(settings.callout_username))
        self._passwords = _digests(_given(settings.callout_password, settings.callout_password_previous))
        self._signature = _Signature(settings)
        self._secret_header = settings.callout_secret_header
        self._secrets = _digests(_given(settings.callout_secret, settings.callout_secret_previous))
        self._senders = Senders(settings.callout_ip_allow, settings.trusted_proxies)

    def admit(self, request: Request) -> Caller:
        """The caller. Reads the body where a signature has to be checked.

        Any right credential lets in, since leaving a wrong one out would. Raises WrongCredentials where a callout's are
        wrong or it comes from where none may, else NotLetIn: a Basic challenge without any, RFC 6750's for a token.
        """
        caller = self._identify(request)
        address = self._senders.why_refused(request) if caller.is_callout else None
        if address is not None:
            raise WrongCredentials(f"sender's address ({address})")
        return caller

    def _identify(self, request: Request) -> Caller:
        kind, value = authorization(request)
        proofs = {
            "signature": self._signature.check(request),
            "secret header": self._check_secret(request),
            "password": self._check_basic(value) if kind == "basic" else None,
        }
        if True in proofs.values():
            return Caller(None, is_callout=True)
        if kind == "bearer":
            client = self._bearer.admit_token(value, SYNC_SCOPE)
            return Caller(client.name, is_callout=client.callout)
        for what, proof in proofs.items():
            if proof is False:
                raise WrongCredentials(what)
        raise NotLetIn(401, "This address needs the credentials of the callout template, or a Bearer token.", "Basic")

    def _check_basic(self, value: str) -> bool:
        try:
            pair = base64.b64decode(value, validate=True)
        except ValueError:
            return False
        name, _, password = pair.partition(b":")
        name_is_right = _is_one_of(name, self._usernames)
        return _is_one_of(password, self._passwords) and name_is_right

    def _check_secret(self, request: Request) -> bool | None:
        if not self._secrets:
            return None
        value = request.headers.get(self._secret_header)
        return None if value is None else _is_one_of(_raw(value), self._secrets)


class _Signature:
    """The template's own scheme: header, prefix, algorithm, encoding, and the text that is signed."""

    def __init__(self, settings: Settings) -> None:
        self._header = settings.callout_hmac_header
        self._keys = _given(settings.callout_hmac_secret, settings.callout_hmac_secret_previous)
        self._prefix = settings.callout_hmac_prefix.encode()
        self._algorithm = settings.callout_hmac_algorithm
        self._encode: Callable[[bytes], bytes] = (
            base64.b64encode if settings.callout_hmac_encoding == "base64" else lambda digest: digest.hex().encode()
        )
        self._is_hex = settings.callout_hmac_encoding == "hex"
        self._text = _SIGNED.split(settings.callout_hmac_text)
        self._signs_key = f"headers.{KEY_HEADER}".lower() in (field.lower() for field in self._text[1::2])

    def check(self, request: Request) -> bool | None:
        """Whether the signature is right; None where there is none or nothing to check it with."""
        if not (self._keys and self._header):
            return None
        value = request.headers.get(self._header)
        if value is None:
            return None
        signature = _raw(value)
        if not signature.startswith(self._prefix):
            return False
        signature = signature.removeprefix(self._prefix)
        text = self._signed_text(request)
        if self._signs_key and not _is_key_of(request):
            return False
        rights = _digests(self._encode(hmac.digest(key, text, self._algorithm)) for key in self._keys)
        return _is_one_of(signature.lower() if self._is_hex else signature, rights)

    def _signed_text(self, request: Request) -> bytes:
        """What the template signed; a header that is not there is empty."""
        plain, fields = self._text[::2], self._text[1::2]
        pieces = [plain[0].encode()]
        for field, after in zip(fields, plain[1:], strict=True):
            if field == "Body":
                pieces.append(read_body(request))
            else:
                pieces.append(request.headers.get(field.removeprefix("Headers."), "").encode("latin-1", "replace"))
            pieces.append(after.encode())
        return b"".join(pieces)


def _is_key_of(request: Request) -> bool:
    """Whether the header names the key in the address; where the key is in the body, that is signed instead."""
    key = (request.view_args or {}).get("key")
    return key is None or normalise_key(request.headers.get(KEY_HEADER, "")) == normalise_key(key.removesuffix("/"))


def authorization(request: Request) -> tuple[str, str]:
    """The Authorization header's scheme in lower case, and what follows it."""
    scheme, _, value = request.environ.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return scheme.lower(), value.strip()


def _given(*values: str) -> tuple[bytes, ...]:
    return tuple(value.encode() for value in values if value)


def _raw(header: str) -> bytes:
    """A header's bytes as they came: WSGI hands them over as Latin-1."""
    return header.strip().encode("latin-1", "replace")


def _digests(values: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(value).digest() for value in values)


def _is_one_of(value: bytes, rights: tuple[bytes, ...]) -> bool:
    """In a time that tells nothing about the `rights` behind the digests: of one length, and every one compared."""
    digest = hashlib.sha256(value).digest()
    found = [hmac.compare_digest(digest, right) for right in rights]
    return any(found)
