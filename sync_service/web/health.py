"""Is the process up, can it work, and how does the whole service do: for load balancers and monitoring.

None of them names a subscription, a person or a secret. The first two are open and cheap; /metrics needs its token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from sync_service import __version__
from sync_service.errors import SyncServiceError
from sync_service.queue.limit import Share
from sync_service.store.engine import Database
from sync_service.web.answers import answer
from sync_service.web.auth import NotLetIn, authorization
from sync_service.web.metrics import Numbers, Scrapes


def health_blueprint(
    database: Database, share: Share, check: Callable[[Database], None], *, metrics_token: str
) -> Blueprint:
    """`/healthz`, `/readyz` and `/metrics`; `check` raises where the schema is older than this release needs.

    Without a `metrics_token` /metrics is closed to all.
    """
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return answer(200, {"status": "ok", "version": __version__})

    @blueprint.get("/readyz")
    def readyz() -> Response:
        try:
            check(database)
        except (SQLAlchemyError, TimeoutError):
            return answer(503, {"status": "not ready", "message": "The database cannot be reached: see DATABASE_URL."})
        except SyncServiceError as error:
            return answer(503, {"status": "not ready", "message": str(error)})
        return answer(200, {"status": "ready", "version": __version__})

    scrapes = Scrapes(Numbers(database, share))

    # No second spelling: what a proxy keeps closed under one name must not be open under another.
    @blueprint.get("/metrics", strict_slashes=True)
    def metrics() -> Response:
        if not metrics_token:
            return answer(403, {"message": "METRICS_TOKEN is not set, so the metrics are closed."})
        kind, token = authorization(request)
        if kind != "bearer" or not hmac.compare_digest(token.encode("utf-8", "replace"), metrics_token.encode()):
            raise NotLetIn(401, "This address needs METRICS_TOKEN as a Bearer token.", "Bearer")
        text = scrapes.read()
        if text is None:
            return answer(503, {"message": "The numbers are just being read; please ask again."}, {"Retry-After": "1"})
        return Response(text, content_type=CONTENT_TYPE_LATEST)

    return blueprint
