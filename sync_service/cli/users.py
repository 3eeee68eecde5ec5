"""`user`: who may log in to the admin pages."""

from __future__ import annotations

import getpass
import json
import sys

import click

from sync_service.cli.wiring import open_database, read_settings
from sync_service.web.admin.people import Role, disable_user, list_users, put_user


@click.group()
def user() -> None:
    """People who may log in to the admin pages."""


@user.command("add")
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of making one.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def user_add(email: str, role: str, password_stdin: bool, as_json: bool) -> None:
    """Let EMAIL log in, or give somebody who may already another role and a new password; prints it, once."""
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
    for each in users:
        click.echo(f"{'disabled' if each.disabled_at else each.role:8}  {each.email}")


@user.command("disable")
@click.argument("email")
def user_disable(email: str) -> None:
    """Let EMAIL in no longer, and end the log-ins there are."""
    disable_user(open_database(read_settings()), email, actor=_myself())
    click.echo("Disabled.")


def _myself() -> str:
    return f"{getpass.getuser()} (command line)"
