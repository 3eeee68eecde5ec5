"""The page to go on with after a log-in: one of ours, whatever the address says."""

from __future__ import annotations

from urllib.parse import urlsplit


def next_page(wanted: str | None, folder: str, home: str) -> str:
    """`wanted` where it is an address in `folder`, such as `/admin`; else `home`. Never one elsewhere."""
    if not wanted or "\\" in wanted or not wanted.isprintable() or wanted.startswith("//"):
        return home
    parts = urlsplit(wanted)
    inside = not parts.scheme and not parts.netloc and (parts.path == folder or parts.path.startswith(f"{folder}/"))
    return wanted if inside else home
