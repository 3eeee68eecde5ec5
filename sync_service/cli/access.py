"""`client`: who may call our API."""

from __future__ import annotations

from typing import Any

import click

from sync_service.access.clients import SCOPES, add_client, add_partner_client, list_clients, revoke_client
from sync_service.cli.output import iso, print_json, print_table, say, with_json
from sync_service.cli.wiring import open_database, read_settings
from sync_service.store.tables import OauthClientRow


@click.group()
def client() -> None:
    """OAuth clients of this service."""


@client.command("add")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(sorted(SCOPES)), help="What it may do.")
@click.option("--partner", "organisation", help="The partner organisation that it acts for, instead of --scope.")
@click.option("--callout", is_flag=True, help="Zuora itself uses this client: it gets the answers for callouts.")
@with_json
def client_add(name: str, scopes: tuple[str, ...], organisation: str | None, callout: bool, as_json: bool) -> None:
    """Make a client called NAME and print its secret, once."""
    if bool(scopes) is (organisation is not None) or (callout and organisation is not None):
        raise click.UsageError("Give --scope, or --partner alone.")
    database = open_database(read_settings())
    if organisation is not None:
        client_id, secret = add_partner_client(database, name, organisation)
    else:
        client_id, secret = add_client(database, name, scopes, callout=callout)
    if as_json:
        print_json({"client_id": client_id, "client_secret": secret})
        return
    click.echo(f"client_id:     {client_id}\nclient_secret: {secret}")
    click.echo("Keep the secret now: it is shown this once and stored only as a hash.", err=True)


@client.command("list")
@with_json
def client_list(as_json: bool) -> None:
    """List the clients."""
    clients = list_clients(open_database(read_settings()))
    if as_json:
        print_json([_shape(each) for each in clients])
        return
    if not clients:
        click.echo("There is no client; `client add NAME --scope …` makes one.")
        return
    print_table(
        ("client_id", "state", "scope", "name", "made"),
        [(each.client_id, _state(each), each.scope, each.name, iso(each.created_at)) for each in clients],
    )


@client.command("revoke")
@click.argument("client_id")
@with_json
def client_revoke(client_id: str, as_json: bool) -> None:
    """Refuse CLIENT_ID from now on.

    Tokens it holds end within half a minute.
    """
    revoke_client(open_database(read_settings()), client_id)
    say("Revoked.", {"client_id": client_id, "revoked": True}, as_json=as_json)


def _shape(client: OauthClientRow) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "name": client.name,
        "scope": client.scope,
        "callout": client.callout,
        "partner_org": client.partner_org,
        "created_at": iso(client.created_at),
        "revoked": client.revoked_at is not None,
    }


def _state(client: OauthClientRow) -> str:
    kind = "callout" if client.callout else "partner" if client.partner_org else "api"
    return "revoked" if client.revoked_at else kind
