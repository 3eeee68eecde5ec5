"""`python -m sync_service.emulator`."""

from sync_service.emulator.commands import emulator

emulator(prog_name="python -m sync_service.emulator")
