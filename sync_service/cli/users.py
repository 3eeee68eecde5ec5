"""`user`: who may log in to the admin pages."""

from __future__ import annotations

import getpass
import json
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
from sync_service.cli.wiring import open_database, read_settings

_ROLES = click.Choice([role.value for role in Role])


@click.group()
def user() -> None:
    """People who may log in to the admin pages."""


@user.command("add")
@click.argument("email")
@click.option("--role", type=_ROLES, required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.option("--sign-on", is_flag=True, help="Make no password: EMAIL, who must be new, comes in by single sign-on.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def user_add(email: str, role: str, password_stdin: bool, sign_on: bool, as_json: bool) -> None:
    """Let EMAIL log in, or give somebody who may already another role and a new password; prints it, once."""
    if sign_on:
        add_user(open_database(read_settings()), email, Role(role), with_password=False, actor=_myself())
        click.echo(json.dumps({"email": email, "role": role}) if as_json else f"{email} may sign in as {role}.")
        return
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = put_user(open_database(read_settings()), email, Role(role), given, actor=_myself())
    if as_json:
        click.echo(json.dumps({"email": email, "role": role} | ({} if given else {"password": password})))
        return
    click.echo(f"{email} may log in as {role}.")
    if not given:
        click.echo(f"password: {password}")
        click.echo("Keep the password now: it is shown this once and stored only as a hash.", err=True)


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def user_list(as_json: bool) -> None:
    """Who there is."""
    with open_database(read_settings()).reading() as session:
        users = list_users(session)
    if as_json:
        rows = [{"email": each.email, "role": each.role, "disabled": each.disabled_at is not None} for each in users]
        click.echo(json.dumps(rows))
        return
    if not users:
        click.echo("Nobody: `user add EMAIL --role …` lets somebody log in.")
    for each in users:
        click.echo(f"{'disabled' if each.disabled_at else each.role:8}  {each.email}")


@user.command("role")
@click.argument("email")
@click.argument("role", type=_ROLES)
def user_role(email: str, role: str) -> None:
    """Make EMAIL a ROLE, from the next page on."""
    change_role(open_database(read_settings()), email, Role(role), actor=_myself())
    click.echo(f"{email} is {role}.")


@user.command("password")
@click.argument("email")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def user_password(email: str, as_json: bool) -> None:
    """Give EMAIL a temporary password, which only serves to choose another, and end the log-ins there are."""
    password = reset_password(open_database(read_settings()), email, actor=_myself())
    click.echo(json.dumps({"email": email, "password": password}) if as_json else f"password: {password}")


@user.command("log-out")
@click.argument("email")
def user_log_out(email: str) -> None:
    """End every log-in of EMAIL."""
    end_sessions(open_database(read_settings()), email, actor=_myself())
    click.echo("Logged out.")


@user.command("forget-account")
@click.argument("email")
def user_forget_account(email: str) -> None:
    """Let another account of the identity provider in as EMAIL; without, only the one that came first may."""
    forget_account(open_database(read_settings()), email, actor=_myself())
    click.echo("Forgotten.")


@user.command("enable")
@click.argument("email")
def user_enable(email: str) -> None:
    """Let EMAIL in again, with the role and password there were."""
    enable_user(open_database(read_settings()), email, actor=_myself())
    click.echo("Enabled.")


@user.command("disable")
@click.argument("email")
def user_disable(email: str) -> None:
    """Let EMAIL in no longer, and end the log-ins there are."""
    disable_user(open_database(read_settings()), email, actor=_myself())
    click.echo("Disabled.")


def _myself() -> str:
    return f"{getpass.getuser()} (command line)"
