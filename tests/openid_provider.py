"""A real OpenID provider for the tests: Django OAuth Toolkit, in a process of its own.

`python -m tests.openid_provider FOLDER PORT REDIRECT` serves until it is ended. People log in with their address and
PASSWORD; every redirect of a client must be REDIRECT. It wants PKCE, and takes a code once.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

BACK = "/admin/sign-on/back"
CLIENT_ID, CLIENT_SECRET = "sync-service", "the secret of the client"
PASSWORD = "what the provider knows"
#: Email address, groups, and whether the provider vouches for the address.
PEOPLE: dict[str, tuple[list[str], bool]] = {
    "olga@example.com": (["staff", "sync-operators"], True),
    "vera@example.com": (["sync-viewers"], True),
    "otto@example.com": (["staff"], True),
    "mallory@example.com": (["sync-operators"], False),
}
_START_SECONDS = 60.0


@dataclass(frozen=True)
class OpenidProvider:
    """The running provider."""

    issuer: str
    #: Where the service that trusts it is, or seems to be.
    public_url: str
    _store: Path

    def set_client_secret(self, secret: str) -> None:
        """Let the client have this secret and no other from now on."""
        with closing(sqlite3.connect(self._store, timeout=20, isolation_level=None)) as store:
            store.execute("UPDATE oauth2_provider_application SET client_secret = ?", [secret])

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a service that trusts it."""
        return {
            "public_url": self.public_url,
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_name": "Example Login",
            "oidc_role_claim": "groups",
            "oidc_operators": ("sync-operators",),
            "oidc_viewers": ("sync-viewers",),
        }


@contextmanager
def running_provider(folder: Path, port: int, public_url: str) -> Iterator[OpenidProvider]:
    """The provider at `port` of this machine, for a service at `public_url`."""
    redirect = f"{public_url}{BACK}"
    # "localhost", so that the service at 127.0.0.1 is another site for a browser's cookies.
    issuer = f"http://localhost:{port}/o"
    with (folder / "provider.log").open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.openid_provider", str(folder), str(port), redirect],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        _wait_until_ready(child, issuer, folder / "provider.log")
        yield OpenidProvider(issuer, public_url, folder / "provider.db")
    finally:
        child.terminate()
        child.wait(20)


def _wait_until_ready(child: subprocess.Popen[bytes], issuer: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            if requests.get(f"{issuer}/.well-known/openid-configuration", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(f"The OpenID provider did not start:\n{log.read_text()[-2000:]}")


_LOGIN = """<!doctype html><html lang="en"><title>Log in</title><h1>Example Login</h1>
<form method="post">{% csrf_token %}<label>Address {{ form.username }}</label><label>Secret {{ form.password }}</label>
<button>Continue</button></form>"""


def serve(folder: str, port: str, redirect: str) -> None:
    """Set the provider up in `folder` and serve it for ever."""
    import django
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from django.conf import settings

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["localhost"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/provider.db"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        LOGIN_URL="/login/",
        USE_TZ=True,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": _LOGIN})]
                },
            }
        ],
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": key.decode(),
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}.claiming_validator",
            "SCOPES": {"openid": "Sign in", "email": "Address", "profile": "Name"},
            "PKCE_REQUIRED": True,
        },
    )
    django.setup()
    _fill(redirect)
    from django.core.wsgi import get_wsgi_application
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", int(port), get_wsgi_application(), threaded=True)


def _fill(redirect: str) -> None:
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    for email, (groups, _) in PEOPLE.items():
        user = User.objects.create_user(email, email, PASSWORD)
        user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    Application.objects.create(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=redirect,
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )


def claiming_validator() -> Any:
    """The toolkit's validator, telling of a person what companies' providers tell."""
    from oauth2_provider.oauth2_validators import OAuth2Validator

    class Claiming(OAuth2Validator):
        oidc_claim_scope = None

        def get_additional_claims(self, request: Any) -> dict[str, Any]:
            user = request.user
            return {
                "email": user.email,
                "email_verified": PEOPLE[user.email][1],
                "groups": [group.name for group in user.groups.all()],
            }

    return Claiming()


def __getattr__(name: str) -> Any:
    """Django asks this module for its addresses."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.contrib.auth.views import LoginView
    from django.urls import include, path

    return [
        path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
        path("login/", LoginView.as_view()),
    ]


if __name__ == "__main__":
    from tests import openid_provider

    openid_provider.serve(*sys.argv[1:])
