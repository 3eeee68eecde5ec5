"""`user`: who may log in to the admin pages."""

from __future__ import annotations

import getpass
import sys

import click

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
from sync_service.cli.output import iso, print_json, print_table, say, with_json
from sync_service.cli.wiring import open_database, read_settings

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
        add_user(open_database(read_settings()), email, Role(role), with_password=False, actor=_myself())
        say(f"{email} may sign in as {role}.", {"email": email, "role": role}, as_json=as_json)
        return
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = put_user(open_database(read_settings()), email, Role(role), given, actor=_myself())
    shape = {"email": email, "role": role} | ({} if given else {"password": password})
    text = f"{email} may log in as {role}." + ("" if given else f"\npassword: {password}")
    say(text, shape, as_json=as_json)
    if not given and not as_json:
        click.echo("Keep the password now: it is shown this once and stored only as a hash.", err=True)


@user.command("list")
@with_json
def user_list(as_json: bool) -> None:
    """List the users of the admin pages."""
    with open_database(read_settings()).reading() as session:
        users = list_users(session)
    if as_json:
        print_json(
            [
                {"email": each.email, "role": each.role, "disabled": each.disabled_at is not None}
                | {"created_at": iso(each.created_at)}
                for each in users
            ]
        )
        return
    if not users:
        click.echo("There is no user; `user add EMAIL --role …` makes one.")
        return
    rows = [
        (each.email, each.role, "disabled" if each.disabled_at else "active", iso(each.created_at)) for each in users
    ]
    print_table(("email", "role", "state", "made"), rows)


@user.command("role")
@click.argument("email")
@click.argument("role", type=_ROLES)
@with_json
def user_role(email: str, role: str, as_json: bool) -> None:
    """Give EMAIL the ROLE. It takes effect on the next request."""
    change_role(open_database(read_settings()), email, Role(role), actor=_myself())
    say(f"{email} is {role}.", {"email": email, "role": role}, as_json=as_json)


@user.command("password")
@click.argument("email")
@with_json
def user_password(email: str, as_json: bool) -> None:
    """Give EMAIL a temporary password.

    It only serves to choose another one. Ends all sessions of EMAIL.
    """
    password = reset_password(open_database(read_settings()), email, actor=_myself())
    say(f"password: {password}", {"email": email, "password": password}, as_json=as_json)


@user.command("log-out")
@click.argument("email")
@with_json
def user_log_out(email: str, as_json: bool) -> None:
    """End every session of EMAIL."""
    end_sessions(open_database(read_settings()), email, actor=_myself())
    say("Logged out.", {"email": email, "logged_out": True}, as_json=as_json)


@user.command("forget-account")
@click.argument("email")
@with_json
def user_forget_account(email: str, as_json: bool) -> None:
    """Unlink EMAIL from its single sign-on account.

    The next account of the identity provider that signs in with this address is linked to it.
    """
    forget_account(open_database(read_settings()), email, actor=_myself())
    say("Forgotten.", {"email": email, "account_forgotten": True}, as_json=as_json)


@user.command("enable")
@click.argument("email")
@with_json
def user_enable(email: str, as_json: bool) -> None:
    """Let EMAIL log in again, with its role and password."""
    enable_user(open_database(read_settings()), email, actor=_myself())
    say("Enabled.", {"email": email, "disabled": False}, as_json=as_json)


@user.command("disable")
@click.argument("email")
@with_json
def user_disable(email: str, as_json: bool) -> None:
    """Refuse EMAIL from now on and end its sessions."""
    disable_user(open_database(read_settings()), email, actor=_myself())
    say("Disabled.", {"email": email, "disabled": True}, as_json=as_json)


def _myself() -> str:
    return f"{getpass.getuser()} (command line)"
