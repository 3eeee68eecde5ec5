"""`callouts install|list|remove`: the notifications by which Zuora tells us what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from sync_service.cli.contexts import open_client
from sync_service.cli.operating import callouts
from sync_service.cli.output import fail, print_json, print_table, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.errors import NotConfigured, PermissionRefused, SyncServiceError
from sync_service.operations.provision.install import ProvisionPlan, apply_plan, list_ours, plan_install, plan_remove
from sync_service.operations.provision.wanted import PREFIX, SOURCE_FIELDS, CalloutTerms, check_terms, is_this_machine
from sync_service.queue.limit import Share, check_tenant
from sync_service.queue.story_lease import hold_story_lease
from sync_service.settings import Settings
from sync_service.zuora.callout_definitions import TenantCallouts, fetch_found
from sync_service.zuora.reading import Reading

#: For all calls together: three notifications for each communication profile are made one after another.
_SECONDS = 600.0
_MARKS = {"create": "+", "change": "~", "delete": "-"}
_PERMISSION = (
    'In Zuora, give the role of our OAuth client\'s user "Events & Notifications Manage Access"'
    " (Settings, Administration, Manage User Roles)."
)

_prefix = click.option("--prefix", default=PREFIX, show_default=True, help="What our names in Zuora begin with.")
_yes = click.option("--yes", is_flag=True, help="Do it. Without this nothing is changed.")


@callouts.command("install")
@_yes
@_prefix
@click.option(
    "--source-field",
    "source_fields",
    multiple=True,
    default=SOURCE_FIELDS,
    show_default=True,
    help="A custom field of orders that says where they come from. May be given several times.",
)
@click.option("--no-filter", is_flag=True, help="Let our own orders call us too; we tell them ourselves.")
@click.option("--renew-password", is_flag=True, help="Send the password again: Zuora does not say which one it has.")
@with_json
def install(
    yes: bool, prefix: str, source_fields: tuple[str, ...], no_filter: bool, renew_password: bool, as_json: bool
) -> None:
    """Set Zuora up to send callouts to this service.

    Makes templates and notifications for orders, accounts and contacts, in every communication profile.
    Prints what it would do, and with --yes does it. Only what bears our names is ever changed; repeatable.
    """
    settings = read_settings()
    terms = _terms(settings, prefix, source_fields, filtered=not no_filter)
    check_terms(terms, local=is_this_machine(settings.zuora_base_url))
    _carry_out(settings, lambda found: plan_install(found, terms, renew_password=renew_password), yes, as_json)


@callouts.command("remove")
@_yes
@_prefix
@with_json
def remove(yes: bool, prefix: str, as_json: bool) -> None:
    """Remove this service's callouts from Zuora.

    Prints what it would do, and with --yes does it.
    """
    settings = read_settings()
    terms = _terms(settings, prefix)
    _carry_out(settings, lambda found: plan_remove(found, terms), yes, as_json)


@callouts.command("list")
@_prefix
@with_json
def list_callouts(prefix: str, as_json: bool) -> None:
    """List this service's callouts in Zuora."""
    settings = read_settings()
    with _looking(settings) as (_, found):
        rows = list(list_ours(found, _terms(settings, prefix)))
    if as_json:
        names = ("thing", "name", "about", "active")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif rows:
        shown = [(thing, name, "active" if active else "not active", about) for thing, name, about, active in rows]
        print_table(("kind", "name", "state", "about"), shown)
    else:
        click.echo("No sync-service callouts found in Zuora. `callouts install` makes them.")


def _carry_out(
    settings: Settings, plan_for: Callable[[TenantCallouts], ProvisionPlan], yes: bool, as_json: bool
) -> None:
    with _looking(settings) as (reading, found):
        plan = plan_for(found)
        if not as_json:
            _show(plan)
        done = _apply(reading, plan) if yes else 0
    if as_json:
        print_json({**plan.as_json(), "applied": yes})
    elif plan.is_empty:
        click.echo("Already up to date.")
    elif yes:
        click.echo(f"Done: {done} steps.")
    else:
        click.echo("Nothing was changed. Do it with --yes.")


@contextmanager
def _looking(settings: Settings) -> Iterator[tuple[Reading, TenantCallouts]]:
    """A look at what the tenant has, under a lease that counts our calls; what follows may call on.

    Raises WrongTenant where the store was filled from another one.
    """
    zuora = open_client(settings)
    if zuora is None:
        raise NotConfigured
    database = open_database(settings)
    share = Share.of(settings)
    lease_ms = round(_SECONDS * 1000)
    with hold_story_lease(database, "callouts", share, wait_seconds=10, probe=True, lease_ms=lease_ms) as lease:
        reading = lease.counting(zuora.reading(_SECONDS))
        try:
            with database.reading() as session:
                check_tenant(session, zuora.tenant(reading))
            yield reading, fetch_found(reading)
        except PermissionRefused as refusal:
            fail(f"{refusal}\n{_PERMISSION}")


def _apply(reading: Reading, plan: ProvisionPlan) -> int:
    """Take the steps; leaves with what Zuora said to the first that it refused."""
    done = 0
    try:
        for _ in apply_plan(reading, plan):
            done += 1
    except PermissionRefused:
        raise
    except SyncServiceError as error:
        step = plan.steps[done]
        fail(
            f"Zuora refused to {step.act} the {step.thing} {step.name}: {error}\n{done} of {len(plan.steps)} are done."
        )
    return done


def _show(plan: ProvisionPlan) -> None:
    for step in plan.steps:
        why = f": {'; '.join(step.why)}" if step.why else ""
        click.echo(f"{_MARKS[step.act]} {step.thing} {step.name}{why}")
        if step.act == "create" and (address := step.body.get("calloutBaseurl")):
            click.echo(f"    {address}")
        rule = step.body.get("filterRule")
        if step.act == "create" and (condition := step.body.get("condition") or (rule and rule["condition"])):
            click.echo(f"    if {condition}")
    for kept in plan.kept:
        click.echo(f"= {kept}")
    for note in plan.notes:
        click.echo(f"! {note}")


def _terms(
    settings: Settings, prefix: str, source_fields: tuple[str, ...] = SOURCE_FIELDS, *, filtered: bool = True
) -> CalloutTerms:
    return CalloutTerms(
        public_url=settings.public_url,
        username=settings.callout_username,
        password=settings.callout_password,
        prefix=prefix.strip(),
        sources=settings.ignored_sources,
        users=settings.zuora_integration_users,
        source_fields=source_fields,
        filtered=filtered,
    )
