"""Zuora's callouts to us, made, compared and removed through its API."""
