"""Signing in with an OpenID provider: sending people there, and believing only what it signed."""
