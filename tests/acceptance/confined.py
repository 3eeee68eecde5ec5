"""Runs a command with the system calls that a unit of deploy/ permits, as systemd would, and no privilege to get more.

python -m tests.acceptance.confined UNIT COMMAND...
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

_LIBRARY = "libseccomp.so.2"
#: Of <seccomp.h>.
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_UNKNOWN = -1


def permitted_calls(unit: Path) -> set[str]:
    """What the unit's lines SystemCallFilter leave, by name; a line with ~ takes away."""
    calls = set(_members("@default"))
    for line in re.findall(r"^SystemCallFilter=(.+)$", unit.read_text(), re.MULTILINE):
        named = set().union(*(_members(name) for name in line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


@cache
def _members(name: str) -> frozenset[str]:
    if not name.startswith("@"):
        return frozenset({name})
    words = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    told = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
    inner = [line.strip() for line in told.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return frozenset().union(*(_members(each) for each in inner))


def confine(calls: set[str]) -> None:
    """Answer every other system call of this process, and of what it becomes and starts, with EPERM."""
    library = ctypes.CDLL(_LIBRARY, use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for name in calls:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN:
            library.seccomp_rule_add(filter_, ctypes.c_uint32(_ALLOW), number, 0)
    status = library.seccomp_load(filter_)
    if status != 0:
        raise OSError(-status, "the filter was not taken")


if __name__ == "__main__":
    confine(permitted_calls(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
