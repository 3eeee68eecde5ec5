"""Whether people can sign in: the identity provider answers, is the one that we trust, and publishes keys."""

from __future__ import annotations

from collections.abc import Iterator

from sync_service.access.sign_on.attempts import AnswerInvalid, ProviderAway, SetUpWrong
from sync_service.access.sign_on.provider import OpenidProvider, client_for_admins
from sync_service.queue.findings import Finding, Severity
from sync_service.settings import Settings

_NAME = "sign-on"


def check_sign_on(settings: Settings) -> Iterator[Finding]:
    """One finding if an identity provider is set. Only a sign-on tries the client's secret."""
    if not settings.oidc_issuer:
        return
    try:
        OpenidProvider(client_for_admins(settings)).look()
    except ProviderAway:
        says = f"{settings.oidc_issuer} does not answer."
        yield Finding(_NAME, Severity.FAILED, says, "See OIDC_ISSUER, and whether this host reaches it.")
    except (SetUpWrong, AnswerInvalid) as error:
        yield Finding(_NAME, Severity.FAILED, f"It is not usable: {error.detail}.", "See docs/signing-in.md.")
    else:
        yield Finding(_NAME, Severity.OK, f"{settings.oidc_issuer} answers and publishes its keys.")
