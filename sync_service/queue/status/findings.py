"""The findings of a check, as values that need nothing of what made them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    #: It works, and deserves attention.
    WARNING = "warning"
    FAILED = "failed"
    #: Nothing can be said; the reason is in the words.
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    verdict: Severity
    says: str
    #: What to do about it.
    remedy: str | None = None
    #: The moment that it goes by, in ms by the database's clock: when a process was last seen, a callout came.
    at: int | None = None
    #: The database alone tells it, so that it can be known better now than from the last check.
    is_of_store: bool = False

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"name": self.name, "verdict": str(self.verdict), "says": self.says, "remedy": self.remedy}


def as_progress(findings: Iterable[Finding], at: int) -> dict[str, Any]:
    """The findings of one check as a job keeps them; `at` is the database's clock in ms."""
    listed = [asdict(finding) for finding in findings]
    worst = [verdict for verdict in (Severity.FAILED, Severity.WARNING) if any(f["verdict"] == verdict for f in listed)]
    return {"at": at, "verdict": str(worst[0]) if worst else "ok", "findings": listed}


def from_progress(progress: Mapping[str, Any]) -> list[Finding]:
    """The findings that `as_progress` kept."""
    return [Finding(**{**each, "verdict": Severity(each["verdict"])}) for each in progress.get("findings", ())]


_WORST_FIRST = (Severity.FAILED, Severity.WARNING, Severity.NOT_CHECKED, Severity.OK)


def worst(findings: Iterable[Finding]) -> Finding:
    """The first of the worst of `findings`, of which there is at least one."""
    return min(findings, key=lambda finding: _WORST_FIRST.index(finding.verdict))


def has_failed(findings: Iterable[Finding]) -> bool:
    """Whether anything is not as it must be."""
    return any(finding.verdict is Severity.FAILED for finding in findings)
