"""The command `sync-service`: its parts by name, each loaded when it is used, so that help comes at once."""

from __future__ import annotations

import importlib
from typing import Any

import click

from sync_service import __version__
from sync_service.errors import SettingsInvalid, SyncServiceError

#: Where each command stands, and its line in the help.
COMMANDS = {
    "backfill": ("sync_service.cli.backfilling:backfill", "Sync many subscriptions and wait for the end."),
    "callouts": ("sync_service.cli.provisioning:callouts", "Zuora's notifications to us."),
    "catalog": ("sync_service.cli.ordering:catalog", "Look after what orders may buy."),
    "check": ("sync_service.cli.checking:check", "Check the installation and say what to repair."),
    "client": ("sync_service.cli.access:client", "OAuth clients of this service."),
    "db": ("sync_service.cli.database:db", "Look after the database."),
    "demo": ("sync_service.cli.demo:demo", "Tour the product against a Zuora tenant on this machine."),
    "emulator": ("zuora_emulator.commands:emulator", "A Zuora tenant on this machine, to try things on."),
    "export": ("sync_service.cli.database:export", "Write all that the store holds of a customer, as JSON."),
    "failed": ("sync_service.cli.operating:failed", "Subscriptions whose sync failed for good."),
    "held": ("sync_service.cli.operating:held", "Plans that the safety stop keeps for a person's decision."),
    "history": ("sync_service.cli.operating:history", "Show every run of KEY: what changed, when and why."),
    "load": ("sync_service.cli.database:load", "Load Limio objects, one JSON object a line."),
    "orders": ("sync_service.cli.ordering:orders", "Limio's orders on their way into Zuora."),
    "partner": ("sync_service.cli.partners:partner", "Partner organisations, their users and subscriptions."),
    "plan": ("sync_service.cli.syncing:plan", "Show what a sync of KEY would change; write nothing."),
    "run": ("sync_service.cli.serve:run", "Run web, worker and scheduler on this machine."),
    "scheduler": ("sync_service.cli.serve:scheduler", "Run the periodic jobs and deliver webhooks."),
    "scrub": ("sync_service.cli.database:scrub", "Erase the personal values of a customer for good."),
    "settings": ("sync_service.cli.checking:show_settings", "Show the settings in force, with secrets masked."),
    "status": ("sync_service.cli.operating:status", "Show the queue, failures, Zuora's health, budget and jobs."),
    "sweep": ("sync_service.cli.sweeping:sweep", "Find changes that no callout reported, and sync them."),
    "sync": ("sync_service.cli.syncing:sync", "Sync KEY now and show what changed."),
    "user": ("sync_service.cli.access:user", "People who may log in to the admin pages."),
    "web": ("sync_service.cli.serve:web", "Accept callouts and serve the API, with gunicorn."),
    "webhooks": (
        "sync_service.cli.webhooks:webhooks",
        "Webhooks to other systems: endpoints, the delivery log, replay.",
    ),
    "why": ("sync_service.cli.syncing:why", "Show all that is known of KEY on one screen."),
    "worker": ("sync_service.cli.serve:worker", "Take requests from the queue and sync them."),
}


class _Commands(click.Group):
    """Commands whose own errors end in one plain message instead of a traceback; settings with exit status 2.

    With --json that message is `{"error": {"code", "message"}}` on standard output.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list, without loading any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from sync_service.cli import output  # help needs none of it

        try:
            with output.plain_output():
                return super().invoke(ctx)
        except SettingsInvalid as error:
            output.fail(f"The settings cannot be used:\n{error}", 2, code=error.code)
        except SyncServiceError as error:
            output.fail(str(error), code=error.code)
        except click.ClickException as error:
            if not output.wants_json(ctx):
                raise
            output.fail(error.format_message(), error.exit_code, code="usage")
        except Exception as error:
            from sync_service.store.engine import tell_trouble  # the database's library is large

            trouble = tell_trouble(error)
            if trouble is None and isinstance(error, OSError) and error.filename is not None:
                output.fail(f"{error.filename}: {error.strerror}.", code="file unusable")
            if trouble is None:
                raise
            output.fail(
                f"The database cannot be used: {trouble}. Check DATABASE_URL and that the server is up.",
                code="database unavailable",
            )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Keeps Limio subscriptions in step with Zuora."""


if __name__ == "__main__":
    main()
