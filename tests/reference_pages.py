"""Writes the pages of docs/reference from the code: settings, errors, statuses. Run by `make docs`; a test compares."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sync_service
from sync_service.commerce.order import ProblemCode
from sync_service.errors import BusyError, SubscriptionError, SyncServiceError, TenantError
from sync_service.settings import Settings
from sync_service.web.openapi import describe

TOP = Path(__file__).parents[1]
FOLDER = TOP / "docs" / "reference"

_WRITTEN = "*Written by `make docs` from the code.*"
_KINDS: tuple[tuple[type[SyncServiceError], str, str], ...] = (
    (
        TenantError,
        "Of the tenant",
        "Uses up no attempt and never becomes final: everything waits, and one call probes.",
    ),
    (SubscriptionError, "Of one subscription", "Tried again with growing pauses, then final until a new request."),
    (BusyError, "Busy", "Tried again soon."),
    (SyncServiceError, "Of a command or a setting", "The command ends with the message."),
)


def settings_page() -> str:
    """Every setting: default and meaning, in the groups of `.env.example`."""
    lines = ["# Settings", "", _WRITTEN, ""]
    lines += [
        "From the environment or `.env`. A secret may come from a file: `NAME_FILE`. Blank counts as not set.",
        "",
    ]
    defaults = {name.upper(): value for name, value in vars(Settings()).items()}
    text = (TOP / ".env.example").read_text(encoding="utf-8")
    for title, body in re.findall(r"^# --- (.+?) -+\n(.*?)(?=^# --- |\Z)", text, re.MULTILINE | re.DOTALL):
        lines += [f"## {title[0].upper()}{title[1:]}", "", "| setting | default | |", "|---|---|---|"]
        for names, about in _read_group(body):
            shown = [f"`{name}`" for name in names]
            values = [_default(defaults[name]) for name in names]
            lines.append(f"| {'<br>'.join(shown)} | {'<br>'.join(values)} | {_cell(about)} |")
        lines.append("")
    return "\n".join(lines)


def _read_group(body: str) -> Iterator[tuple[list[str], str]]:
    """The names that stand together, and the comment before them."""
    about: list[str] = []
    names: list[str] = []
    for line in [*body.splitlines(), "# "]:
        if found := re.match(r"#?([A-Z_]+)=", line):
            names += [found[1]] if found[1] not in names else []
        elif line.startswith("#"):
            if names:
                yield names, " ".join(about)
                about, names = [], []
            about.append(line.lstrip("# "))


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "`on`" if value else "`off`"
    if isinstance(value, tuple):
        value = ",".join(str(each) for each in value)
    return f"`{value}`" if value != "" else ""


def errors_page() -> str:
    """Every error's code and what it says."""
    lines = ["# Error codes", "", _WRITTEN, ""]
    lines += ["In `--json`, in logs (`code`), in the history and in the label `code` of the metrics.", ""]
    of_kind: defaultdict[type[SyncServiceError], list[type[SyncServiceError]]] = defaultdict(list)
    for error in _errors():
        of_kind[next(kind for kind, _, _ in _KINDS if issubclass(error, kind))].append(error)
    for kind, title, then in _KINDS:
        lines += [f"## {title}", "", then, "", "| code | means |", "|---|---|"]
        codes = {error.code: error for error in reversed(of_kind[kind])}
        lines += [f"| `{code}` | {_cell(_about(error))} |" for code, error in sorted(codes.items())]
        lines.append("")
    lines += ["## Problems of an order", "", "What an order's answer names beside the field.", ""]
    told = re.findall(r'#: (.+(?:\n\s+#: .+)*)\n\s+[A-Z_]+ = "(\w+)"', inspect.getsource(ProblemCode))
    about = {code: _cell(text.replace("#: ", "")) for text, code in told}
    lines += ["| code | means |", "|---|---|", *(f"| `{code}` | {about[code]} |" for code in ProblemCode), ""]
    return "\n".join(lines)


def _errors() -> Iterator[type[SyncServiceError]]:
    """Every error of the package, the ancestors before their descendants."""
    for module in pkgutil.walk_packages(sync_service.__path__, "sync_service."):
        if not module.name.endswith(("__main__", ".env")) and ".migrations" not in module.name:
            importlib.import_module(module.name)
    waiting = [SyncServiceError]
    while waiting:
        error = waiting.pop(0)
        waiting += sorted(error.__subclasses__(), key=lambda each: each.__name__)
        if error not in [kind for kind, _, _ in _KINDS]:
            yield error


def _about(error: type[SyncServiceError]) -> str:
    return " ".join((error.__doc__ or "").split())


def statuses_page() -> str:
    """Every address with each status that it answers, from the OpenAPI document."""
    lines = ["# Addresses and statuses", "", _WRITTEN, ""]
    lines += [
        "`/docs` of the running service shows the same with bodies and examples, `/openapi.json` is for machines.",
        "",
    ]
    document = describe("")
    of_tag: defaultdict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                of_tag[operation["tags"][0]] += _statuses_of(document, f"{method.upper()} {path}", operation)
    for tag, rows in of_tag.items():
        lines += [f"## {tag}", "", "| address | status | means |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _statuses_of(document: dict[str, Any], address: str, operation: dict[str, Any]) -> Iterator[str]:
    shown = f"`{address}`<br>{_cell(operation['summary'])}"
    for status, response in operation["responses"].items():
        if "$ref" in response:
            response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        yield f"| {shown} | {status} | {_cell(response['description'])} |"
        shown = ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


#: The pages by their names.
PAGES = {"settings.md": settings_page, "errors.md": errors_page, "statuses.md": statuses_page}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
