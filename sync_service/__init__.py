"""Keeps the local Limio store in step with what Zuora says of each subscription."""

__version__ = "0.3.0"
