"""The settings as the environment and a `.env` file say them. Only `app.py` and the command line ask."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from sync_service.settings import Settings, load_settings


def read_environment() -> Settings:
    """The settings of the environment; a `.env` file in the working directory fills what is not set.

    Raises SettingsInvalid.
    """
    given = {name: value for name, value in read_env_file().items() if value is not None}
    return load_settings({**given, **os.environ})


def read_env_file() -> Mapping[str, str | None]:
    """What the `.env` file of the working directory says; nothing if there is none."""
    return dotenv_values(Path(".env"))
