"""Cuts what this product uses out of Zuora's OpenAPI file: `python tests/zuora_openapi/extract.py FILE.json[.gz]`."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUBSET = Path(__file__).with_name("subset.json")

#: The operations that the emulator serves, as the file names them.
OPERATIONS = (
    "POST /oauth/token",
    "GET /v1/subscriptions/{subscription-key}",
    "GET /v1/subscriptions/{subscription-key}/versions/{version}",
    "GET /v1/subscriptions/accounts/{account-key}",
    "GET /v1/accounts/{account-key}",
    "POST /v1/accounts",
    "PUT /v1/accounts/{account-key}",
    "GET /v1/contacts/{contactId}",
    "POST /v1/contacts",
    "PUT /v1/contacts/{contactId}",
    "GET /v1/orders/{orderNumber}",
    "GET /v1/orders/subscription/{subscriptionNumber}",
    "GET /v1/orders",
    "GET /v1/orders/invoiceOwner/{accountNumber}",
    "POST /v1/orders",
    "POST /v1/orders/preview",
    "DELETE /v1/orders/{orderNumber}",
    "PUT /v1/orders/{orderNumber}/customFields",
    "PUT /v1/subscriptions/{subscriptionNumber}/customFields",
    "GET /v1/catalog/products",
    "GET /v1/catalog/products/{product-key}",
    "GET /v1/products/{product-key}/product-rate-plans",
    "GET /v1/product-rate-plans/{id}",
    "GET /v1/paymentgateways",
    "GET /v1/payment-methods/{payment-method-id}",
    "PUT /v1/payment-methods/{payment-method-id}",
    "GET /v1/accounts/{account-key}/payment-methods",
    "PUT /v1/payment-profile",
    "POST /v1/credit-memos",
    "GET /v1/credit-memos/{creditMemoKey}",
    "POST /v1/credit-memos/{creditMemoKey}/refund",
    "POST /v1/debit-memos",
    "GET /v1/debit-memos/{debitMemoKey}",
    "POST /v1/debit-memos/{debitMemoKey}/collect",
    "PUT /v1/debit-memos/{debitMemoKey}/write-off",
    "POST /v1/payments",
    "GET /v1/payments",
    "GET /v1/payments/{paymentKey}",
    "GET /v1/refunds",
    "GET /v1/refunds/{refundKey}",
    "GET /v1/invoices/{invoiceKey}",
    "GET /v1/invoices/{invoiceKey}/items",
    "GET /v1/invoices/{invoiceKey}/files",
    "GET /v1/billing-documents",
    "POST /v1/operations/billing-preview",
    "GET /object-query/subscriptions",
    "GET /object-query/subscriptions/{key}",
    "GET /object-query/accounts",
    "GET /object-query/accounts/{key}",
    "GET /object-query/contacts",
    "GET /object-query/contacts/{key}",
    "GET /object-query/invoices",
    "GET /object-query/invoices/{key}",
    "GET /object-query/product-rate-plans",
    "GET /object-query/product-rate-plans/{key}",
    "POST /v1/action/query",
    "POST /v1/action/queryMore",
    "GET /v1/notification-history/callout",
    "GET /events/event-triggers",
    "POST /events/event-triggers",
    "GET /events/event-triggers/{id}",
    "PUT /events/event-triggers/{id}",
    "GET /notifications/callout-templates",
    "POST /notifications/callout-templates",
    "GET /notifications/callout-templates/{id}",
    "PUT /notifications/callout-templates/{id}",
    "GET /notifications/notification-definitions",
    "POST /notifications/notification-definitions",
    "GET /notifications/notification-definitions/{id}",
    "PUT /notifications/notification-definitions/{id}",
)
#: The operations whose request bodies the product makes for orders.
REQUESTS = (
    "POST /v1/orders",
    "POST /v1/orders/preview",
    "POST /v1/accounts",
    "PUT /v1/accounts/{account-key}",
    "POST /v1/contacts",
    "PUT /v1/contacts/{contactId}",
    "POST /v1/debit-memos",
    "POST /v1/debit-memos/{debitMemoKey}/collect",
    "PUT /v1/debit-memos/{debitMemoKey}/write-off",
    "POST /v1/credit-memos",
    "POST /v1/credit-memos/{creditMemoKey}/refund",
    "POST /v1/payments",
    "PUT /v1/payment-methods/{payment-method-id}",
    "PUT /v1/payment-profile",
    "PUT /v1/subscriptions/{subscriptionNumber}/customFields",
)
#: What a schema says of a form; the rest is documentation.
_KEPT = ("type", "enum", "format", "required", "additionalProperties", "oneOf", "anyOf")
#: Limits that requests must keep; what Zuora answers is taken as it comes.
LIMITS = ("maxLength", "minimum", "maximum")


def extract(openapi: dict[str, Any]) -> dict[str, Any]:
    """The schemas of good answers and of requests, and every schema that those refer to."""
    every: dict[str, Any] = openapi["components"]["schemas"]
    operations, requests = {}, {}
    for operation in OPERATIONS:
        method, path = operation.split(" ")
        answers = openapi["paths"][path][method.lower()]["responses"]
        good = next(answer for status, answer in sorted(answers.items()) if status.startswith("2"))
        operations[operation] = _shorten(good["content"]["application/json"]["schema"], every)
    for operation in REQUESTS:
        method, path = operation.split(" ")
        body = openapi["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
        requests[operation] = _shorten(body, every)
    return {
        "source": f"{openapi['info']['title']}, OpenAPI file of version {openapi['info']['version']}",
        "operations": operations,
        "requests": requests,
        "schemas": _referred([operations, requests], every),
    }


def _referred(beginning: Any, every: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    waiting = list(_references(beginning))
    while waiting:
        name = waiting.pop()
        if name not in schemas:
            schemas[name] = _shorten(every[name], every)
            waiting += _references(schemas[name])
    return dict(sorted(schemas.items()))


def _shorten(schema: Any, every: dict[str, Any]) -> Any:
    """A schema as JSON Schema: `allOf` merged into one object, `nullable` as a type, words for people left out."""
    if "$ref" in schema:
        name = _name(schema["$ref"])
        # Two refer to a file beside the file, which is not published.
        return {"$ref": f"#/schemas/{name}"} if name in every else {}
    short: dict[str, Any] = {key: schema[key] for key in _KEPT + LIMITS if key in schema}
    if schema.get("nullable") and isinstance(short.get("type"), str):
        short["type"] = [short["type"], "null"]
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            short[inner] = _shorten(schema[inner], every)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            short[choice] = [_shorten(each, every) for each in schema[choice]]
    return _merge(short, schema, every)


def _merge(short: dict[str, Any], schema: Any, every: dict[str, Any]) -> dict[str, Any]:
    """`short` with the fields of a schema and of all that it is made of."""
    properties = {}
    for part in schema.get("allOf", ()):
        whole = _shorten(every[_name(part["$ref"])] if "$ref" in part else part, every)
        properties |= whole.pop("properties", {})
        short["required"] = sorted({*short.get("required", ()), *whole.pop("required", ())})
        short |= whole
    properties |= {name: _shorten(value, every) for name, value in schema.get("properties", {}).items()}
    if properties:
        short["properties"] = dict(sorted(properties.items()))
    return {key: value for key, value in short.items() if key != "required" or value}


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield _name(schema["$ref"])
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def write(subset: dict[str, Any]) -> str:
    """The file: a line for each schema, so that a newer file of Zuora's shows what changed."""
    lines = [f'{{\n"source": {json.dumps(subset["source"])},']
    for key in ("operations", "requests", "schemas"):
        entries = ",\n".join(
            f"{json.dumps(name)}: {json.dumps(schema, separators=(',', ':'), ensure_ascii=False)}"
            for name, schema in subset[key].items()
        )
        lines.append(f'"{key}": {{\n{entries}\n}}' + ("" if key == "schemas" else ","))
    return "\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    SUBSET.write_text(write(extract(json.loads(content))), encoding="utf-8")
