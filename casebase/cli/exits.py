"""Exit codes: one table, and the way from an error to its code."""

from __future__ import annotations

from casebase import errors

OK = 0
FAILED = 1
USAGE = 2
SKIPPED = 3
DAMAGED = 4
LOCKED = 5
NO_BASE = 10
INTERRUPTED = 130

CODES: dict[type[errors.CasebaseError], int] = {
    errors.CasebaseError: FAILED,
    errors.UsageError: USAGE,
    errors.Locked: LOCKED,
    errors.NoCaseBase: NO_BASE,
}


def code_of(error: errors.CasebaseError) -> int:
    """The code of the nearest class above an error that has one."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
