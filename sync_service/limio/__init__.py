"""Limio's objects as documents: their shapes, and what may be read from and written to them. Pure."""
