"""Syncing many numbers at once, resumable."""
