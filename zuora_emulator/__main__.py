"""`python -m zuora_emulator`."""

from zuora_emulator.commands import emulator

emulator(prog_name="python -m zuora_emulator")
