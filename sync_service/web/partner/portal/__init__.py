"""The pages at /partner: what a partner's people do in a browser."""
