"""`user` and `client`: who may log in to the admin pages, and which other systems may call the API."""

from __future__ import annotations

import getpass
import sys
from typing import Any

import click

from sync_service.access.clients import (
    SCOPES,
    add_client,
    add_partner_client,
    end_previous_secret,
    list_clients,
    revoke_client,
    rotate_secret,
)
from sync_service.access.users import (
    Role,
    add_user,
    change_role,
    disable_user,
    enable_user,
    end_sessions,
    forget_account,
    list_users,
    put_user,
    reset_password,
)
from sync_service.cli.output import iso, print_rows, project, say, with_json
from sync_service.cli.wiring import open_store
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
    database = open_store()
    if organisation is not None:
        client_id, secret = add_partner_client(database, name, organisation, actor=_myself())
    else:
        client_id, secret = add_client(database, name, scopes, callout, actor=_myself())
    _show_secret(client_id, secret, as_json=as_json)


@client.command("rotate")
@click.argument("client_id")
@with_json
def client_rotate(client_id: str, as_json: bool) -> None:
    """Give CLIENT_ID a new secret and print it, once.

    The one before works for 24 hours more, or until `client end-old-secret`.
    """
    _show_secret(client_id, rotate_secret(open_store(), client_id, actor=_myself()), as_json=as_json)


@client.command("end-old-secret")
@click.argument("client_id")
@with_json
def client_end_old_secret(client_id: str, as_json: bool) -> None:
    """Refuse the secret before the last rotation from now on."""
    end_previous_secret(open_store(), client_id, actor=_myself())
    say("Only the new secret works now.", {"client_id": client_id, "old_secret_ended": True}, as_json=as_json)


@client.command("list")
@with_json
def client_list(as_json: bool) -> None:
    """List the clients."""
    print_rows(
        list_clients(open_store()),
        as_json=as_json,
        shape=_shape,
        none="There is no client; `client add NAME --scope …` makes one.",
        headings=("client_id", "state", "scope", "name", "made", "used"),
        cells=lambda each: (
            *(each.client_id, _state(each), each.scope, each.name),
            *(iso(each.created_at), iso(each.used_at) or "never"),
        ),
    )


@client.command("revoke")
@click.argument("client_id")
@with_json
def client_revoke(client_id: str, as_json: bool) -> None:
    """Refuse CLIENT_ID from now on.

    Tokens it holds end within half a minute.
    """
    revoke_client(open_store(), client_id, actor=_myself())
    say("Revoked.", {"client_id": client_id, "revoked": True}, as_json=as_json)


_CLIENT = ("client_id", "name", "scope", "callout", "partner_org", "created_at", "used_at", "previous_until")


def _show_secret(client_id: str, secret: str, *, as_json: bool) -> None:
    say(
        f"client_id:     {client_id}\nclient_secret: {secret}",
        {"client_id": client_id, "client_secret": secret},
        as_json=as_json,
    )
    if not as_json:
        click.echo("Keep the secret now: it is shown this once and stored only as a hash.", err=True)


def _shape(client: OauthClientRow) -> dict[str, Any]:
    shape = project(client, _CLIENT, times=("created_at", "used_at", "previous_until"))
    return {**shape, "revoked": client.revoked_at is not None}


def _state(client: OauthClientRow) -> str:
    kind = "callout" if client.callout else "partner" if client.partner_org else "api"
    return "revoked" if client.revoked_at else kind


_ROLES = click.Choice([role.value for role in Role])


@click.group()
def user() -> None:
    """People who may log in to the admin pages."""


@user.command("add")
@click.argument("email")
@click.option("--role", type=_ROLES, required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.option("--sign-on", is_flag=True, help="Make no password: EMAIL, a new user, signs in by single sign-on.")
@with_json
def user_add(email: str, role: str, password_stdin: bool, sign_on: bool, as_json: bool) -> None:
    """Let EMAIL log in and print the password, once. An existing user gets the new role and a new password."""
    if sign_on:
        add_user(open_store(), email, Role(role), with_password=False, actor=_myself())
        say(f"{email} may sign in as {role}.", {"email": email, "role": role}, as_json=as_json)
        return
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = put_user(open_store(), email, Role(role), given, actor=_myself())
    shape = {"email": email, "role": role} | ({} if given else {"password": password})
    text = f"{email} may log in as {role}." + ("" if given else f"\npassword: {password}")
    say(text, shape, as_json=as_json)
    if not given and not as_json:
        click.echo("Keep the password now: it is shown this once and stored only as a hash.", err=True)


@user.command("list")
@with_json
def user_list(as_json: bool) -> None:
    """List the users of the admin pages."""
    with open_store().reading() as session:
        users = list_users(session)
    print_rows(
        users,
        as_json=as_json,
        shape=lambda each: (
            {**project(each, ("email", "role")), "disabled": each.disabled_at is not None}
            | project(each, ("created_at",), times=("created_at",))
        ),
        none="There is no user; `user add EMAIL --role …` makes one.",
        headings=("email", "role", "state", "made"),
        cells=lambda each: (each.email, each.role, "disabled" if each.disabled_at else "active", iso(each.created_at)),
    )


@user.command("role")
@click.argument("email")
@click.argument("role", type=_ROLES)
@with_json
def user_role(email: str, role: str, as_json: bool) -> None:
    """Give EMAIL the ROLE. It takes effect on the next request."""
    change_role(open_store(), email, Role(role), actor=_myself())
    say(f"{email} is {role}.", {"email": email, "role": role}, as_json=as_json)


@user.command("password")
@click.argument("email")
@with_json
def user_password(email: str, as_json: bool) -> None:
    """Give EMAIL a temporary password.

    It only serves to choose another one. Ends all sessions of EMAIL.
    """
    password = reset_password(open_store(), email, actor=_myself())
    say(f"password: {password}", {"email": email, "password": password}, as_json=as_json)


@user.command("log-out")
@click.argument("email")
@with_json
def user_log_out(email: str, as_json: bool) -> None:
    """End every session of EMAIL."""
    end_sessions(open_store(), email, actor=_myself())
    say("Logged out.", {"email": email, "logged_out": True}, as_json=as_json)


@user.command("forget-account")
@click.argument("email")
@with_json
def user_forget_account(email: str, as_json: bool) -> None:
    """Unlink EMAIL from its single sign-on account.

    The next account of the identity provider that signs in with this address is linked to it.
    """
    forget_account(open_store(), email, actor=_myself())
    say("Forgotten.", {"email": email, "account_forgotten": True}, as_json=as_json)


@user.command("enable")
@click.argument("email")
@with_json
def user_enable(email: str, as_json: bool) -> None:
    """Let EMAIL log in again, with its role and password."""
    enable_user(open_store(), email, actor=_myself())
    say("Enabled.", {"email": email, "disabled": False}, as_json=as_json)


@user.command("disable")
@click.argument("email")
@with_json
def user_disable(email: str, as_json: bool) -> None:
    """Refuse EMAIL from now on and end its sessions."""
    disable_user(open_store(), email, actor=_myself())
    say("Disabled.", {"email": email, "disabled": True}, as_json=as_json)


def _myself() -> str:
    return f"{getpass.getuser()} (command line)"
