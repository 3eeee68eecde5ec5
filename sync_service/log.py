"""Logging: one line an event, JSON for machines or plain text for people; secrets and personal data never go in.

The event names are fixed words (`callout_received`, `sync_claimed`, `sync_finished`, …); everything else is a field.
"""

from __future__ import annotations

import logging
import sys

import structlog


def set_up(log_format: str = "text", level: int = logging.INFO) -> None:
    """Send every log line of this process to standard error, in `text` or `json`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def logger() -> structlog.typing.FilteringBoundLogger:
    """The process's logger."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound
