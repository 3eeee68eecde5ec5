"""What each address takes and answers, in OpenAPI's words. A test holds it against the routes that there are."""

from __future__ import annotations

from typing import Any

from sync_service.access.clients import OBJECTS_SCOPE, SCOPES, SYNC_SCOPE
from sync_service.subscription.keys import LONGEST_KEY

_JSON = "application/json"


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _says(description: str, schema: str = "Message", **headers: str) -> dict[str, Any]:
    said: dict[str, Any] = {"description": description, "content": {_JSON: {"schema": _ref(schema)}}}
    if headers:
        said["headers"] = {
            name.replace("_", "-"): {"schema": {"type": "string"}, "description": text}
            for name, text in headers.items()
        }
    return said


_NOT_LET_IN = {
    "401": _says("No credentials, or a bad token.", WWW_Authenticate="How to come in."),
    "403": _says("Callout credentials that are wrong (Zuora tries again), or a token without the scope."),
}
_NO_TOKEN = {
    "401": _says("No token, or a bad one.", WWW_Authenticate="RFC 6750."),
    "403": _says("A token without the scope."),
}
_UNAVAILABLE = {"503": _says("The database cannot commit; nothing was accepted.", Retry_After="Seconds.")}
_SYNC_ANSWERS = {
    "200": _says("A callout: durable. An API caller: the sync has been completed.", "Synced"),
    "202": _says(
        "An API caller: not yet, held, or listed; `location` says where to look.", "Accepted", Location="Same."
    ),
    **_NOT_LET_IN,
    "404": _says("An API caller: neither Limio nor Zuora knows the key."),
    "413": _says("The body is larger than any callout's."),
    "422": _says("An API caller: the key can name nothing."),
    "502": _says("An API caller: the first attempt failed; the message says why."),
    **_UNAVAILABLE,
}
_CALLER: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": [SYNC_SCOPE]}]
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "API callers: `wait=N` seconds up to the configured limit, `respond-async` not at all (RFC 7240).",
    "schema": {"type": "string"},
}
_NOTIFICATION = {
    "name": "Zuora-Notification-Id",
    "in": "header",
    "description": "The same on every retry of a callout.",
    "schema": {"type": "string"},
}


def _in_path(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", **schema},
    }


def _sync(what: str, summary: str, key: str) -> dict[str, Any]:
    hints = "Optional hints about the order (source, order number, created by), in JSON, as a form or as XML."
    return {
        "post": {
            "operationId": f"sync{what}",
            "tags": ["Sync"],
            "summary": summary,
            "security": _CALLER,
            "parameters": [_in_path("key", key, maxLength=LONGEST_KEY), _PREFER, _NOTIFICATION],
            "requestBody": {
                "required": False,
                "description": hints,
                "content": {_JSON: {"schema": {"type": "object"}}},
            },
            "responses": _SYNC_ANSWERS,
        }
    }


def _read(operation: str, summary: str, parameters: list[dict[str, Any]], schema: str) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "tags": ["Objects"],
            "summary": summary,
            "security": [{"bearer": [OBJECTS_SCOPE]}],
            "parameters": parameters,
            "responses": {
                "200": _says("What the local store holds.", schema),
                "400": _says("An unknown type, or a parameter that is not understood."),
                **_NO_TOKEN,
                "404": _says("There is no such object."),
                **_UNAVAILABLE,
            },
        }
    }


def _open(operation: str, summary: str, content: str, **other: dict[str, Any]) -> dict[str, Any]:
    said = {"description": summary, "content": {content: {"schema": {"type": "string"}}}}
    if content == _JSON:
        said = _says(summary, "Status")
    responses = {"200": said, **{status.removeprefix("s"): text for status, text in other.items()}}
    return {
        "get": {
            "operationId": operation,
            "tags": ["Service"],
            "summary": summary,
            "security": [],
            "responses": responses,
        }
    }


_TYPE = _in_path("type", "A record type, in the plural or singular: `subscriptions`, `customers`, …")
_ID = _in_path("id", "The object's id, such as `sub-…`.")

PATHS: dict[str, Any] = {
    "/": _open("describeService", "What this service is and where to go.", _JSON),
    "/api/plugins/zuora/sync/subscription/{key}": _sync(
        "Subscription",
        "Sync one subscription with Zuora.",
        "A Limio id or reference, a Zuora subscription number or a Zuora id.",
    ),
    "/api/plugins/zuora/sync/account/{key}": _sync(
        "Account",
        "Sync every subscription that an account owns or pays for.",
        "A Zuora account number or id.",
    ),
    "/api/events/zuora": {
        "post": {
            "operationId": "handleZuoraEvent",
            "tags": ["Sync"],
            "summary": "The same with the key in the body.",
            "description": "A callout may send a list of them, bare or as `subscriptions`; each is taken by itself.",
            "security": _CALLER,
            "parameters": [_PREFER, _NOTIFICATION],
            "requestBody": {"required": True, "content": {_JSON: {"schema": _ref("Event")}}},
            "responses": _SYNC_ANSWERS,
        }
    },
    "/api/sync/requests/{kind}/{key}/{seq}": {
        "get": {
            "operationId": "getSyncRequest",
            "tags": ["Sync"],
            "summary": "What has become of a request that was answered with 202.",
            "security": [{"bearer": [SYNC_SCOPE]}],
            "parameters": [
                _in_path("kind", "As in the address that you were given.", enum=["subscription", "alias", "account"]),
                _in_path("key", "As in the address that you were given."),
                {**_in_path("seq", "As in the address that you were given."), "schema": {"type": "integer"}},
            ],
            "responses": {
                "200": _says("The sync has been completed.", "Synced"),
                "202": _says("Not yet, held, or listed.", "Accepted", Location="This address."),
                **_NO_TOKEN,
                "404": _says("No such request, or neither system knows the key."),
                "502": _says("The first attempt failed; the message says why."),
                **_UNAVAILABLE,
            },
        }
    },
    "/oauth2/token": {
        "post": {
            "operationId": "createToken",
            "tags": ["Authentication"],
            "summary": "An access token for client credentials.",
            "security": [],
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": _ref("TokenRequest")}},
            },
            "responses": {
                "200": _says("The token.", "Token"),
                "400": _says("Not a request that we understand, or a scope the client may not have.", "OauthError"),
                "401": _says("There is no such client, or its secret is another.", "OauthError"),
                "429": _says("Too many wrong secrets.", "OauthError", Retry_After="Seconds."),
                "503": _says("SECRET_KEY is not set, or the database is away.", "OauthError"),
            },
        }
    },
    "/api/objects/limio/{type}": _read(
        "listObjects",
        "A page of objects of one type.",
        [
            _TYPE,
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
            {
                "name": "queryMore",
                "in": "query",
                "description": "From the page before.",
                "schema": {"type": "string"},
            },
        ],
        "Page",
    ),
    "/api/objects/limio/{type}/{id}": _read("getObject", "One object.", [_TYPE, _ID], "Object"),
    "/api/objects/limio/{type}/{id}/related": _read(
        "getRelatedObjects", "Everything related to one object, not in pages.", [_TYPE, _ID], "Page"
    ),
    "/healthz": _open("getHealth", "The process is up.", _JSON),
    "/readyz": _open(
        "getReadiness",
        "It can work: the database is there and its schema current.",
        _JSON,
        s503=_says("It cannot; the message says why.", "Status"),
    ),
    "/metrics": _open("getMetrics", "Numbers for Prometheus; they name nobody.", "text/plain", **_UNAVAILABLE),
    "/openapi.json": _open("getOpenapi", "This description.", _JSON),
    "/docs": _open("getDocs", "This description as a page.", "text/html"),
}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "object", "properties": properties}
    return {**shape, "required": list(required)} if required else shape


_TEXT: dict[str, Any] = {"type": "string"}
_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}

COMPONENTS: dict[str, Any] = {
    "securitySchemes": {
        "basic": {"type": "http", "scheme": "basic", "description": "The credentials of the callout template."},
        "bearer": {
            "type": "oauth2",
            "description": "A client made with `sync-service client add`.",
            "flows": {
                "clientCredentials": {
                    "tokenUrl": "/oauth2/token",
                    "scopes": {
                        SYNC_SCOPE: "Sync subscriptions.",
                        OBJECTS_SCOPE: "Read the local store.",
                    },
                }
            },
        },
    },
    "schemas": {
        "Message": _object(("message",), message=_TEXT),
        "Status": _object(status=_TEXT, version=_TEXT, message=_TEXT),
        "Synced": _object(
            ("success", "status"),
            success={"type": "boolean"},
            status={"type": "string", "enum": ["accepted", "ignored", "completed", "not in Zuora", "left out"]},
            id=_TEXT_OR_NULL,
            owner=_TEXT_OR_NULL,
            reason=_TEXT,
            key=_TEXT,
            number=_TEXT,
            outcome=_TEXT,
            changes={"type": "integer"},
            notes={"type": "array", "items": _TEXT},
            message=_TEXT,
        ),
        "Accepted": _object(
            ("success", "status"),
            success={"type": "boolean", "const": False},
            status={"type": "string", "enum": ["accepted", "held"]},
            location=_TEXT,
            count={"type": "integer", "description": "How many subscriptions of the account were queued."},
            notes={"type": "array", "items": _TEXT},
            message=_TEXT,
        ),
        "Event": _object(
            ("subscriptionID",),
            subscriptionID={"type": "string", "description": "A Zuora subscription id or number."},
            type=_TEXT,
            data={"type": "object"},
        ),
        "TokenRequest": _object(
            ("grant_type",),
            grant_type={"type": "string", "const": "client_credentials"},
            client_id=_TEXT,
            client_secret=_TEXT,
            scope={"type": "string", "description": " ".join(sorted(SCOPES))},
        ),
        "Token": _object(
            ("access_token", "token_type", "expires_in"),
            access_token=_TEXT,
            token_type={"type": "string", "const": "Bearer"},
            expires_in={"type": "integer", "description": "Seconds."},
            scope=_TEXT,
        ),
        "OauthError": _object(("error",), error=_TEXT, error_description=_TEXT, message=_TEXT),
        "Object": {"type": "object", "description": "A Limio object as Limio's objects API shows it."},
        "Page": _object(("items",), items={"type": "array", "items": _ref("Object")}, queryMore=_TEXT),
    },
}
