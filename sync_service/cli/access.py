"""`client`: who may call our API."""

from __future__ import annotations

import json

import click

from sync_service.access.clients import SCOPES, add_client, list_clients, revoke_client
from sync_service.cli.wiring import open_database, read_settings


@click.group()
def client() -> None:
    """OAuth clients of this service."""


@client.command("add")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(sorted(SCOPES)), required=True)
@click.option("--callout", is_flag=True, help="Zuora itself uses this client: it gets the answers for callouts.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def client_add(name: str, scopes: tuple[str, ...], callout: bool, as_json: bool) -> None:
    """Make a client called NAME and print its secret, once."""
    client_id, secret = add_client(open_database(read_settings()), name, scopes, callout=callout)
    if as_json:
        click.echo(json.dumps({"client_id": client_id, "client_secret": secret}))
        return
    click.echo(f"client_id:     {client_id}\nclient_secret: {secret}")
    click.echo("Keep the secret now: it is shown this once and stored only as a hash.", err=True)


@client.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def client_list(as_json: bool) -> None:
    """The clients there are."""
    clients = list_clients(open_database(read_settings()))
    if as_json:
        rows = [
            {"client_id": each.client_id, "name": each.name, "scope": each.scope, "callout": each.callout}
            | {"revoked": each.revoked_at is not None}
            for each in clients
        ]
        click.echo(json.dumps(rows))
        return
    if not clients:
        click.echo("No client: `client add NAME --scope …` makes one.")
    for each in clients:
        state = "revoked" if each.revoked_at else "callout" if each.callout else "api"
        click.echo(f"{each.client_id}  {state:8}  {each.scope}  {each.name}")


@client.command("revoke")
@click.argument("client_id")
def client_revoke(client_id: str) -> None:
    """Refuse CLIENT_ID from now on; tokens it holds end within half a minute."""
    revoke_client(open_database(read_settings()), client_id)
    click.echo("Revoked.")
