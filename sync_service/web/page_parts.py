"""What the admin pages and the portal share: views in classes, styles and scripts, error pages, where to go on.

Scripts of the pages get errors as JSON. Styles and scripts stand under an address that changes with what is in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request, send_from_directory, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import Forbidden, HTTPException, NotFound
from werkzeug.wrappers import Response as AnyResponse

from sync_service.access.passwords import HashingBusy
from sync_service.access.sessions import FormTokens
from sync_service.web.answers import log_crash, log_no_commit

View = Callable[..., Any]
_View = TypeVar("_View", bound=View)
_AWAY = "The database does not answer just now. Nothing was changed; please try again in a moment."


def get(rule: str, endpoint: str = "") -> Callable[[_View], _View]:
    """A method of Pages that shows the page at `rule`; `endpoint` is the method's name if none is given."""
    return _mark(rule, endpoint, "GET", for_all=True)


def post(rule: str, endpoint: str = "", *, for_all: bool = False) -> Callable[[_View], _View]:
    """A method of Pages that takes the form for `rule`; unless it is `for_all`, behind the pages' guard."""
    return _mark(rule, endpoint, "POST", for_all=for_all)


def _mark(rule: str, endpoint: str, method: str, *, for_all: bool) -> Callable[[_View], _View]:
    def mark(view: _View) -> _View:
        vars(view).setdefault("routes", []).append((rule, endpoint or view.__name__, method, for_all))
        return view

    return mark


class Pages:
    """Views that are methods, marked with `get` and `post`."""

    def attach(self, blueprint: Blueprint) -> None:
        """Add them to `blueprint`."""
        for name, view in vars(type(self)).items():
            for rule, endpoint, method, for_all in getattr(view, "routes", ()):
                bound = getattr(self, name)
                blueprint.add_url_rule(rule, endpoint, bound if for_all else self.guard(bound), methods=[method])

    def guard(self, view: View) -> View:
        """`view` for those alone who may change something."""
        return view


class PageGuard:
    """What guards the pages in one folder: forms that were made for this browser, and cookies of theirs alone."""

    def __init__(self, folder: str, home: str, forms: FormTokens, *, secure: bool) -> None:
        """`folder`: where the pages are, such as `/admin`; `home`: the endpoint of the first of them."""
        self.folder, self._home, self._forms, self._secure = folder, home, forms, secure

    def next_page(self, wanted: str | None) -> str:
        """`wanted` where it is the address of one of these pages, else the first of them; never one elsewhere."""
        home = url_for(self._home)
        if not wanted or "\\" in wanted or not wanted.isprintable() or wanted.startswith("//"):
            return home
        parts = urlsplit(wanted)
        here = parts.path == self.folder or parts.path.startswith(f"{self.folder}/")
        return wanted if here and not parts.scheme and not parts.netloc else home

    def make_token(self, cookie: str) -> str:
        """What proves that a form was made for the browser that holds `cookie`."""
        return self._forms.make(cookie)

    def check_form(self, cookie: str) -> None:
        """Raises Forbidden where the form at hand was not made for this browser."""
        given = request.form.get("form_token") or request.headers.get("X-Form-Token", "")
        if not self._forms.is_right(cookie, given):
            raise Forbidden("This form is too old or came from another page. Go back, reload the page and try again.")

    def set_cookie(self, answer: AnyResponse, name: str, value: str, *, seconds: int | None = None) -> None:
        """A cookie that neither scripts nor other sites get; for `seconds`, or until the browser is closed."""
        answer.set_cookie(
            name, value, max_age=seconds, path=self.folder, httponly=True, samesite="Lax", secure=self._secure
        )


def see_other(endpoint: str, **values: Any) -> AnyResponse:
    """Lead the browser on to another page, by GET."""
    return redirect(url_for(endpoint, **values), 303)


def whole(text: str) -> int | None:
    """The number that `text` of an address is; None where it is none, or larger than any id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def attach_problems(blueprint: Blueprint, template: str) -> Callable[[int, str, str], Response]:
    """Errors at the addresses of `blueprint` as `template`, which gets a status, a title and a text.

    Returns what shows such a page, for errors of the pages' own.
    """

    def say(status: int, title: str, text: str, retry_after: str | None = None) -> Response:
        if request.headers.get("Accept", "").startswith("application/json"):
            answer = make_response({"message": text}, status)
        else:
            answer = make_response(render_template(template, title=title, text=text, status=status), status)
        if retry_after is not None:
            answer.headers["Retry-After"] = retry_after
        return answer

    @blueprint.route("/<path:_rest>", methods=["GET", "POST"])
    def nowhere(_rest: str) -> str:
        raise NotFound("There is no such page.")

    @blueprint.errorhandler(HTTPException)
    def say_http_error(error: HTTPException) -> Response:
        return say(error.code or 500, error.name, error.description or "")

    @blueprint.errorhandler(HashingBusy)
    def say_busy(error: HashingBusy) -> Response:
        return say(503, "Not just now", str(error), "1")

    @blueprint.errorhandler(SQLAlchemyError)
    @blueprint.errorhandler(TimeoutError)
    def say_away(error: Exception) -> Response:
        log_no_commit(error)
        return say(503, "Not just now", _AWAY, "5")

    @blueprint.errorhandler(Exception)
    def say_crash(error: Exception) -> Response:
        log_crash(error)
        return say(500, "Something went wrong", "The fault is on our side; it is in the log.")

    return say


def addresses() -> Callable[..., str]:
    """`url_for` for the templates of one request: a page asks for a hundred addresses, most as the page before."""
    root = request.script_root
    return lambda endpoint, **values: _address_of(root, endpoint, tuple(values.items()))


@lru_cache(4096)
def _address_of(_root: str, endpoint: str, values: tuple[tuple[str, Any], ...]) -> str:
    return url_for(endpoint, **dict(values))


_FOLDER = Path(__file__).parent / "static" / "admin"
_FOREVER = "public, max-age=31536000, immutable"


def attach_assets(blueprint: Blueprint) -> None:
    """Serve them under `blueprint`, and give its templates `asset(name)`."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_FOLDER.iterdir()))).hexdigest()[:12]

    @blueprint.get("/assets/<version>/<path:name>")
    def asset(version: str, name: str) -> Response:
        answer = send_from_directory(_FOLDER, name)
        answer.headers["Cache-Control"] = _FOREVER if version == digest else "no-cache"
        return answer

    @blueprint.context_processor
    def give() -> dict[str, Any]:
        address_of = addresses()
        return {
            "asset": lambda name: address_of(f"{blueprint.name}.asset", version=digest, name=name),
            "url_for": address_of,
        }
