"""The command `sync-service`: a flat list of its parts."""

from __future__ import annotations

import click

from sync_service import __version__
from sync_service.cli import (
    access,
    backfilling,
    catalog,
    checking,
    demo,
    operating,
    ordering,
    partners,
    provisioning,
    serve,
    stock,
    sweeping,
    syncing,
    users,
    webhooks,
)
from sync_service.cli.wiring import PlainGroup
from zuora_emulator.commands import emulator


@click.group(cls=PlainGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Keeps Limio subscriptions in step with Zuora."""


for command in (
    serve.run,
    serve.web,
    serve.worker,
    serve.scheduler,
    stock.db,
    stock.load,
    syncing.plan,
    syncing.sync,
    syncing.why,
    backfilling.backfill,
    sweeping.sweep,
    catalog.catalog,
    checking.check,
    checking.show_settings,
    operating.status,
    operating.failed,
    operating.held,
    operating.history,
    operating.callouts,
    webhooks.webhooks,
    operating.scrub,
    ordering.orders,
    access.client,
    users.user,
    partners.partner,
    emulator,
    demo.demo,
):
    main.add_command(command)

for command in (provisioning.install, provisioning.list_callouts, provisioning.remove):
    operating.callouts.add_command(command)

if __name__ == "__main__":
    main()
