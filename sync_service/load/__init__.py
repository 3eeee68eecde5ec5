"""Limio objects into the store."""
