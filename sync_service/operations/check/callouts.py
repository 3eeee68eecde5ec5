"""Whether Zuora has a callout template and an active notification that send to us, for every communication profile.

Sources: "List callout templates" and "List notification definitions" of Zuora's API reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sync_service.errors import NotFoundInZuora, PermissionRefused, RequestRefused
from sync_service.queue.limit import Share
from sync_service.queue.status.findings import Finding, Severity
from sync_service.queue.story_lease import hold_story_lease
from sync_service.settings import Settings
from sync_service.store.engine import Database
from sync_service.zuora.callout_definitions import (
    Definition,
    Profile,
    fetch_profiles,
    fetch_rows,
    read_definition,
    same_id,
)
from sync_service.zuora.client import ZuoraClient

_SECONDS = 30.0
_SET_UP = "Set it up: `callouts install`, or by hand as docs/callout-templates.md says."


def check_provisioned(database: Database, settings: Settings, zuora: ZuoraClient) -> Iterator[Finding]:
    """Present and active: templates whose address begins with PUBLIC_URL, and definitions that use them."""
    name = "callouts in zuora"
    if not settings.public_url:
        words = "PUBLIC_URL is not set, so ours cannot be told from others."
        yield Finding(name, Severity.NOT_CHECKED, words, "Set PUBLIC_URL to the address under which Zuora reaches us.")
        return
    share = Share.of(settings)
    with hold_story_lease(database, "check", share, wait_seconds=10, probe=True) as lease:
        reading = lease.counting(zuora.reading(_SECONDS))
        try:
            templates = fetch_rows(reading, Definition.TEMPLATE)
            definitions = fetch_rows(reading, Definition.DEFINITION)
            profiles = fetch_profiles(reading)
        except (PermissionRefused, NotFoundInZuora, RequestRefused) as error:
            words = f"Zuora does not let us see its notifications: {error}"
            remedy = 'Permit the user of our OAuth client "Events & Notifications Manage Access", or look by hand.'
            yield Finding(name, Severity.NOT_CHECKED, words, remedy)
            return
    yield judge(name, settings.public_url, templates, definitions)
    yield judge_profiles(settings.public_url, templates, definitions, profiles)


def judge(
    name: str, public_url: str, templates: list[Mapping[str, Any]], definitions: list[Mapping[str, Any]]
) -> Finding:
    """What the two lists mean for us."""
    ours = {str(each.get("id")): each for each in templates if _is_ours(each, public_url)}
    using = [each for each in definitions if _uses(each, ours, public_url)]
    if not using:
        missing = "no notification uses our callout template" if ours else "no callout template sends to us"
        return Finding(name, Severity.WARNING, f"In Zuora {missing}.", _SET_UP)
    active = [each for each in using if _is_active(each)]
    asleep = [str(each.get("name")) for each in using if each not in active]
    asleep += [str(each.get("name")) for each in ours.values() if each.get("active") is False]
    if asleep:
        remedy = "Activate them in Zuora (Settings, Notifications): what is inactive sends nothing."
        return Finding(name, Severity.FAILED, f"Not active: {', '.join(asleep)}.", remedy)
    return Finding(name, Severity.OK, f"{len(active)} notifications send to us: {', '.join(_events(active))}.")


def judge_profiles(
    public_url: str,
    templates: list[Mapping[str, Any]],
    definitions: list[Mapping[str, Any]],
    profiles: tuple[Profile, ...] | None,
) -> Finding:
    """Whether every communication profile has a notification of ours: one without is silent for its accounts."""
    name = "communication profiles"
    ours = {str(each.get("id")): each for each in templates if _is_ours(each, public_url)}
    using = [read_definition(each) for each in definitions if _uses(each, ours, public_url) and _is_active(each)]
    if not using or profiles is None:
        return Finding(
            name, Severity.NOT_CHECKED, "Zuora does not list them." if using else "Nothing of ours is there."
        )
    if not all(each.profiles for each in using):
        return Finding(name, Severity.NOT_CHECKED, "Zuora does not say which profiles our notifications belong to.")
    covered = frozenset().union(*(each.profiles for each in using))
    silent = [each.name for each in profiles if same_id(each.id) not in covered]
    if silent:
        words = f"Accounts with these communication profiles do not call us: {', '.join(silent)}."
        return Finding(name, Severity.FAILED, words, "Run `callouts install --yes` again: it covers every profile.")
    return Finding(name, Severity.OK, f"Each of {len(profiles)} has a notification of ours.")


def _is_ours(template: Mapping[str, Any], public_url: str) -> bool:
    return str(template.get("calloutBaseurl") or "").startswith(f"{public_url.rstrip('/')}/")


def _uses(definition: Mapping[str, Any], ours: Mapping[str, Any], public_url: str) -> bool:
    inline = definition.get("callout")
    ids = definition.get("calloutTemplateIds") or ()
    return any(str(each) in ours for each in ids) or (isinstance(inline, Mapping) and _is_ours(inline, public_url))


def _is_active(definition: Mapping[str, Any]) -> bool:
    return definition.get("active") is not False and definition.get("calloutActive") is True


def _events(definitions: list[Mapping[str, Any]]) -> list[str]:
    return sorted({str(each.get("eventTypeName") or each.get("name")) for each in definitions})
