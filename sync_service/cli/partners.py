"""`partner`: organisations that sell on, their people, and whose a subscription is."""

from __future__ import annotations

import getpass

import click

from sync_service.cli.output import print_rows, say, with_json
from sync_service.cli.wiring import open_store
from sync_service.partner.organisations import (
    Organisation,
    Partners,
    list_orgs,
    list_users,
    lock_org,
    org_document,
    user_document,
)
from sync_service.subscription.keys import normalise_key

#: More partners than any company has.
_MANY = 100_000


@click.group()
def partner() -> None:
    """Partner organisations, their users and subscriptions."""


@partner.command("add")
@click.argument("name")
@click.option("--account", required=True, help="The partner's account in Zuora, by id or number.")
@click.option("--pays/--customer-pays", required=True, help="Who gets the invoices for what the partner orders.")
@click.option("--salesforce-account", help="The partner's account in Salesforce.")
@click.option("--logo", help="The https address of its logo.")
@with_json
def partner_add(
    name: str, account: str, pays: bool, salesforce_account: str | None, logo: str | None, as_json: bool
) -> None:
    """Make a partner organisation called NAME."""
    more = {"salesforce_account_id": salesforce_account, "logo": logo}
    row = _partners().add(Organisation(name=name, zuora_account_id=account, is_invoice_owner=pays, **more))
    say(f"{row.name} is {row.id}.", org_document(row), as_json=as_json)


@partner.command("list")
@with_json
def partner_list(as_json: bool) -> None:
    """List the partner organisations."""
    with open_store().reading() as session:
        found = [org_document(row) for row in list_orgs(session, limit=_MANY)]
    print_rows(
        found,
        as_json=as_json,
        shape=dict,
        none="There is no partner; `partner add NAME --account …` makes one.",
        headings=("organisation", "name", "Zuora account", "pays", "state"),
        cells=lambda each: (
            *(each["id"], each["name"], each["data"]["zuoraAccountId"]),
            *("the partner" if each["data"]["isZuoraInvoiceOwner"] else "its customers", each["status"]),
        ),
    )


@partner.group("user")
def user() -> None:
    """People who act for a partner organisation."""


@user.command("add")
@click.argument("organisation")
@click.argument("email")
@click.option("--name", help="The person's name.")
@with_json
def user_add(organisation: str, email: str, name: str | None, as_json: bool) -> None:
    """Let EMAIL act for ORGANISATION, and for no other."""
    row = _partners().add_user(organisation, email, name)
    say(f"{row.email} acts for {organisation} as {row.id}.", user_document(row), as_json=as_json)


@user.command("list")
@click.argument("organisation")
@with_json
def user_list(organisation: str, as_json: bool) -> None:
    """List the people who act for ORGANISATION."""
    with open_store().reading() as session:
        lock_org(session, organisation)
        found = [user_document(row) for row in list_users(session, organisation)]
    print_rows(
        found,
        as_json=as_json,
        shape=dict,
        none="There is no user; `partner user add ORGANISATION EMAIL` makes one.",
        headings=("user", "email", "state"),
        cells=lambda each: (each["id"], each["name"], each["status"]),
    )


@user.command("disable")
@click.argument("organisation")
@click.argument("user_id")
@with_json
def user_disable(organisation: str, user_id: str, as_json: bool) -> None:
    """Let USER_ID of ORGANISATION in no more."""
    row = _partners().set_user_disabled(organisation, user_id, disabled=True)
    say(f"{row.email} is disabled.", user_document(row), as_json=as_json)


@user.command("enable")
@click.argument("organisation")
@click.argument("user_id")
@with_json
def user_enable(organisation: str, user_id: str, as_json: bool) -> None:
    """Let USER_ID of ORGANISATION in again."""
    row = _partners().set_user_disabled(organisation, user_id, disabled=False)
    say(f"{row.email} is enabled again.", user_document(row), as_json=as_json)


@partner.command("disable")
@click.argument("organisation")
@with_json
def partner_disable(organisation: str, as_json: bool) -> None:
    """Disable ORGANISATION.

    Tokens that it holds end within half a minute. Its subscriptions stay its own.
    """
    row = _partners().set_disabled(organisation, disabled=True)
    say(f"{row.name} is disabled.", org_document(row), as_json=as_json)


@partner.command("enable")
@click.argument("organisation")
@with_json
def partner_enable(organisation: str, as_json: bool) -> None:
    """Let ORGANISATION in again."""
    row = _partners().set_disabled(organisation, disabled=False)
    say(f"{row.name} is enabled again.", org_document(row), as_json=as_json)


@partner.command("assign")
@click.argument("key")
@click.argument("organisation", required=False)
@click.option("--none", "no_partner", is_flag=True, help="It belongs to no partner.")
@with_json
def partner_assign(key: str, organisation: str | None, no_partner: bool, as_json: bool) -> None:
    """Let the subscription KEY belong to ORGANISATION."""
    if (organisation is None) is not no_partner:
        raise click.UsageError("Give an ORGANISATION or --none.")
    row = _partners().assign(normalise_key(key), organisation)
    shape = {"subscription": row.id, "reference": row.reference, "partner_org": row.partner_org}
    say(f"{row.reference} belongs to {organisation or 'no partner'}.", shape, as_json=as_json)


def _partners() -> Partners:
    return Partners(open_store(), getpass.getuser())
