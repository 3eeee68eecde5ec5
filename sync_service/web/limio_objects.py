"""Limio's object reads, `GET /api/objects/limio/…`, over the local store. Nothing is filtered, as in Limio."""

from __future__ import annotations

from typing import TypeVar

from flask import Blueprint, Response, request
from werkzeug.exceptions import BadRequest, NotFound

from sync_service.access.clients import OBJECTS_SCOPE
from sync_service.store.cursors import CursorInvalid
from sync_service.store.engine import Database
from sync_service.store.objects import (
    MAX_ON_A_PAGE,
    UnknownObjectType,
    list_objects,
    read_object,
    read_related,
)
from sync_service.web.answers import answer, answer_page, read_limit
from sync_service.web.auth import BearerAuth

DEFAULT_LIMIT = 50
Found = TypeVar("Found")
_PARAMETERS = frozenset({"limit", "queryMore"})
#: Longer than any id, so no question to a database.
_LONGEST_ID = 255


def objects_blueprint(database: Database, bearer: BearerAuth) -> Blueprint:
    """One object, a page of them, everything related to one."""
    blueprint = Blueprint("limio_objects", __name__, url_prefix="/api/objects/limio")

    @blueprint.before_request
    def admit() -> None:
        bearer.admit(request, OBJECTS_SCOPE)

    @blueprint.get("/<path_type>")
    def list_of_type(path_type: str) -> Response:
        _refuse_parameters(_PARAMETERS)
        limit, query_more = read_limit(DEFAULT_LIMIT, MAX_ON_A_PAGE), request.args.get("queryMore") or None
        with database.reading() as session:
            page = list_objects(session, path_type, limit, query_more)
        return answer_page(page)

    @blueprint.get("/<path_type>/<object_id>")
    def one(path_type: str, object_id: str) -> Response:
        _refuse_parameters(frozenset())
        with database.reading() as session:
            document = read_object(session, path_type, _id(object_id))
        return answer(200, _found(document))

    @blueprint.get("/<path_type>/<object_id>/related")
    def related(path_type: str, object_id: str) -> Response:
        _refuse_parameters(frozenset({"queryMore"}))
        with database.reading() as session:
            page = read_related(session, path_type, _id(object_id), request.args.get("queryMore") or None)
        return answer_page(_found(page))

    @blueprint.errorhandler(UnknownObjectType)
    @blueprint.errorhandler(CursorInvalid)
    def refuse(error: Exception) -> Response:
        return answer(400, {"message": str(error)})

    return blueprint


def _found(value: Found | None) -> Found:
    if value is None:
        raise NotFound("There is no such object.")
    return value


def _id(object_id: str) -> str:
    if len(object_id) > _LONGEST_ID or not object_id.isprintable():
        raise NotFound("There is no such object.")
    return object_id


def _refuse_parameters(known: frozenset[str]) -> None:
    unknown = sorted(set(request.args) - known)
    if unknown:
        raise BadRequest("Objects are not filtered: only limit and queryMore are understood here.")
