"""Which address of Zuora's is answered by what, and how its refusals go out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zuora_emulator import catalog_api, memo_api, messages, money_api, object_query, order_api, people_api, zoql
from zuora_emulator.answers import Json
from zuora_emulator.descriptions import describe
from zuora_emulator.fields import Refused
from zuora_emulator.messages import Answer, Request
from zuora_emulator.tenant import KINDS
from zuora_emulator.zuora_api import ZuoraApi

#: The resource of an error's code, where it is not that of reads.
_RESOURCES = (("/v1/orders", 400000),)


def answer(api: ZuoraApi, request: Request) -> tuple[str, Answer]:
    """The route's name and the answer."""
    name, work, keys = _find_route(request)
    try:
        with api.tenant.lock:
            found = work(api, request, *keys)
    except Refused as refused:
        if request.path.startswith("/object-query/"):
            return name, messages.query_refusal(refused.code, str(refused))
        modern = request.is_modern(api.default_version)
        return name, messages.refusal(code_of(request, refused.code), str(refused), modern=modern)
    except ValueError:
        return name, messages.refusal(50000090, "The request body is not valid JSON.")
    return name, found if isinstance(found, Answer) else Answer(200, found)


def code_of(request: Request, code: int) -> int:
    """An error's code with the resource of what was asked for; reads and deletions have that of 500000.

    Source: "Error handling" of Zuora's developer guides: the resource is taken from the payload.
    """
    if code // 100 != 500000 or request.method in ("GET", "DELETE"):
        return code
    found = next((number for path, number in _RESOURCES if request.path.startswith(path)), 500000)
    return found * 100 + code % 100


def _not_here(_: ZuoraApi, request: Request) -> Answer:
    if request.path.startswith("/v1/action/"):
        return Answer(400, {"code": "ClientError", "message": f"Invalid action '{request.parts[-1]}'"})
    return messages.refusal(50000045, f"HTTP {request.method} {request.path} is not supported by the emulator.")


def _query(api: ZuoraApi, request: Request, kind: str) -> Json:
    return object_query.query(api.tenant, kind, request.query)


def _query_one(api: ZuoraApi, _: Request, kind: str, key: str) -> Json:
    return object_query.find(api.tenant, kind, key)


def _zoql(api: ZuoraApi, request: Request) -> Json:
    asked = request.json()
    of_profiles = api.notifications.store.zoql(str(asked.get("queryString", "")))
    return of_profiles if of_profiles is not None else zoql.query(api.tenant, asked)


def _describe(api: ZuoraApi, _: Request, name: str) -> Answer:
    """As "Describe an object", whose answers are XML, errors too."""
    found = describe(name, api.tenant.custom_fields)
    if found is None:
        return Answer(404, b"<error>Not found</error>", content_type="text/xml; charset=utf-8")
    return Answer(200, found, content_type="text/xml; charset=utf-8")


def _provision(api: ZuoraApi, request: Request, *_: str) -> Answer:
    return api.notifications.answer(request)


_Work = Callable[..., Any]
#: Addresses and what answers them; the first that fits.
_ROUTES: dict[str, _Work] = {
    **order_api.ROUTES,
    **catalog_api.ROUTES,
    **people_api.ROUTES,
    **money_api.ROUTES,
    **memo_api.ROUTES,
    "GET /v1/subscriptions/accounts/{key}": ZuoraApi.subscriptions_of,
    "GET /v1/subscriptions/{key}": ZuoraApi.subscription,
    "GET /v1/subscriptions/{key}/versions/{version}": ZuoraApi.version,
    "GET /v1/accounts/{key}": ZuoraApi.account,
    "GET /v1/contacts/{id}": ZuoraApi.contact,
    "POST /v1/operations/billing-preview": ZuoraApi.preview,
    "GET /object-query/{kind}": _query,
    "GET /object-query/{kind}/{key}": _query_one,
    "POST /v1/action/query": _zoql,
    "POST /v1/action/queryMore": lambda api, request: zoql.query_more(api.tenant, request.json()),
    "GET /v1/describe/{object}": _describe,
    "GET /v1/notification-history/callout": lambda api, request: api.callouts.history(request),
    "GET /events/{kind}": _provision,
    "POST /events/{kind}": _provision,
    "GET /events/{kind}/{id}": _provision,
    "PUT /events/{kind}/{id}": _provision,
    "DELETE /events/{kind}/{id}": _provision,
    "GET /notifications/{kind}": _provision,
    "POST /notifications/{kind}": _provision,
    "GET /notifications/{kind}/{id}": _provision,
    "PUT /notifications/{kind}/{id}": _provision,
    "DELETE /notifications/{kind}/{id}": _provision,
    "POST /notifications/callout-histories/resend": _provision,
}
_BY_SHAPE: dict[tuple[str, int], list[tuple[str, list[str]]]] = {}
for _name in _ROUTES:
    _method, _path = _name.split(" ")
    _pieces = _path.strip("/").split("/")
    _BY_SHAPE.setdefault((_method, len(_pieces)), []).append((_name, _pieces))


def _find_route(request: Request) -> tuple[str, _Work, list[str]]:
    """The route's name, its work, and the pieces of the path that are keys."""
    for name, pieces in _BY_SHAPE.get((request.method, len(request.parts)), ()):
        if all(piece[0] == "{" or piece == part for piece, part in zip(pieces, request.parts, strict=True)):
            keys = [part for piece, part in zip(pieces, request.parts, strict=True) if piece[0] == "{"]
            if name.startswith("GET /object-query/") and keys[0] not in KINDS:
                break
            return name, _ROUTES[name], keys
    return "other", _not_here, []
