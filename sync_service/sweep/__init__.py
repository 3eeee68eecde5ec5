"""Sweeps: Zuora compared with the store in bulk, so that what no callout announced is found."""
