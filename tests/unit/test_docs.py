"""The documents speak of what is there: steps that are functions, settings that exist, commands that run."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from sqlmodel import SQLModel

from sync_service.cli.main import COMMANDS, main
from sync_service.settings import Settings
from sync_service.store import tables  # noqa: F401 - registers the tables
from sync_service.web.openapi import describe
from tests import reference_pages

TOP = Path(__file__).parents[2]
STEPS = sorted(set(re.findall(r"`(sync_service(?:\.\w+)+)`", (TOP / "docs/how-a-sync-works.md").read_text())))
SETTINGS = [setting.name.upper() for setting in fields(Settings)]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_a_sync_is_where_its_page_says(step: str) -> None:
    parts = step.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return
    pytest.fail(f"{step} is nowhere")


def test_the_page_has_steps() -> None:
    assert len(STEPS) > 10


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_explained(setting: str) -> None:
    assert re.search(rf"^#?{setting}=", (TOP / ".env.example").read_text(), re.MULTILINE)
    assert f"`{setting}`" in (TOP / "README.md").read_text()


@pytest.mark.parametrize("setting", [each.name.upper() for each in fields(Settings) if not each.repr])
def test_how_every_secret_is_changed_is_said(setting: str) -> None:
    told = (TOP / "docs/hardening.md").read_text()
    assert f"`{setting.removesuffix('_PREVIOUS')}`" in told or setting == "DATABASE_URL"


def test_no_setting_is_explained_that_does_not_exist() -> None:
    assert set(re.findall(r"^#?([A-Z_]+)=", (TOP / ".env.example").read_text(), re.MULTILINE)) == set(SETTINGS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_has_help(command: str) -> None:
    assert re.search(rf"`{command}\b", (TOP / "README.md").read_text())
    loaded = main.get_command(click.Context(main), command)
    assert loaded is not None
    assert loaded.help
    assert loaded.get_short_help_str(80) == COMMANDS[command][1]


PAGES = [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")]


def test_files_that_documents_name_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:sync_service|zuora_emulator|tests|deploy|docs)/[\w./-]+)`", page.read_text()):
            assert (TOP / path).exists(), f"{page.name} names {path}"


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_guide_to_the_api_calls_addresses_that_exist() -> None:
    described = describe("")["paths"]
    patterns = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in described}
    calls = re.findall(r"^\$ curl (.*)\"\$SYNC([^\"?]+)", (TOP / "docs/api.md").read_text(), re.MULTILINE)

    assert len(calls) > 7
    for options, address in calls:
        method = "post" if "-X POST" in options or "-d " in options else "get"
        found = [path for path, pattern in patterns.items() if pattern.fullmatch(address)]
        assert any(method in described[path] for path in found), f"{method} {address}"


def test_the_architecture_page_names_every_package_and_every_table() -> None:
    page = (TOP / "docs/architecture.md").read_text()
    packages = {path.parent.name for path in (TOP / "sync_service").glob("*/__init__.py")}

    assert packages == set(re.findall(r"^\| `sync_service/(\w+)` \|", page, re.MULTILINE))
    listed = page.partition("## Tables")[2].partition("Migrations are")[0]
    first_cells = " ".join(re.findall(r"^\| (`.*?) \|", listed, re.MULTILINE))
    assert set(SQLModel.metadata.tables) == set(re.findall(r"\w+", first_cells))


def test_the_page_of_data_protection_says_of_every_table_whether_it_holds_something_of_people() -> None:
    page = (TOP / "docs/data-protection.md").read_text()
    there = set(SQLModel.metadata.tables)
    holding = set(re.findall(r"\w+", " ".join(re.findall(r"^\| .*? \| (.*?) \|", page, re.MULTILINE)))) & there
    without = set(re.findall(r"`(\w+)`", page.partition("Nothing of people, but ids")[2].partition("whose names")[0]))

    assert holding | without == there
    assert not holding & without


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (reference_pages.FOLDER / name).read_text(encoding="utf-8") == reference_pages.PAGES[name](), "make docs"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def test_every_link_to_a_heading_names_one() -> None:
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", page.read_text()):
            assert anchor in _anchors(page.parent / target if target else page), f"{page.name} links to #{anchor}"


def test_the_menu_of_the_site_has_every_page_once() -> None:
    menu = re.findall(r"([\w/.-]+\.md)$", (TOP / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [path.relative_to(TOP / "docs").as_posix() for path in TOP.glob("docs/**/*.md")]

    assert sorted(each for each in menu if not each.startswith("top/")) == sorted(pages)


@pytest.mark.long  # the three above see what is most often forgotten
def test_the_site_is_built_and_no_link_in_it_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]

    built = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60, check=False)

    assert built.returncode == 0, built.stderr
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "top/index.html", "runbook.html", "reference/errors.html"} <= pages
    outside = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//')
    assert [page for page in sorted(pages) if outside.search((tmp_path / page).read_text())] == []


#: A command in a console, in a code span or in an indented block, without its comment.
SHOWN = re.compile(r"(?:\$ |`|^ {4,})sync-service ([a-z][^`\n|#;&>]*)", re.MULTILINE)


def test_every_command_that_a_document_shows_exists_with_its_options() -> None:
    shown = [(page.name, line.strip()) for page in PAGES for line in SHOWN.findall(page.read_text())]

    assert len(shown) > 60
    for page, line in shown:
        command: click.Command | None = main
        words = shlex.split(line.replace("'", ""))
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            group, word = command, words.pop(0)
            command = group.get_command(click.Context(group), word)
            assert command is not None or word.isupper(), f"{page}: sync-service {line}"
        if isinstance(command, click.Group) and words:  # the emulator serves where no other word is said
            command = command.get_command(click.Context(command), "serve")
        known = {"--help", *(opt for each in (command.params if command else ()) for opt in each.opts)}
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= known, f"{page}: sync-service {line}"
