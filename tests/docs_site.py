"""Hooks of mkdocs: what the pages link to outside of docs/ is in the site too, under `top/`."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

TOP = Path(__file__).parents[1]
#: Pages of the repository's top; a link from one of them is meant from there.
_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
#: Other files that pages link to, and what they are called in the site: a server may hide names with a dot.
_FILES = {"LICENSE": "LICENSE.txt", ".env.example": "env.example.txt", "deploy/nginx.conf": "nginx.conf.txt"}

_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in what lies outside of docs/."""
    for name, shown in [*((page, page) for page in _PAGES), *_FILES.items()]:
        files.append(File.generated(config, f"top/{shown}", abs_src_path=str(TOP / name)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Let links lead to where things are in the site."""
    here = page.file.src_uri
    folder = "" if here.startswith("top/") else posixpath.dirname(f"docs/{here}")

    def change(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[2]))
        place = target.removeprefix("docs/") if target.startswith("docs/") else f"top/{_FILES.get(target, target)}"
        return link[1] + posixpath.relpath(place, posixpath.dirname(here) or ".")

    return _LINK.sub(change, markdown)
