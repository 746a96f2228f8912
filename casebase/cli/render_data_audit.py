"""An audit of a data set on the terminal: findings first, worst first, then the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from casebase.cli import render_evaluation
from casebase.commands import typed
from casebase.data_audit import DataAudit
from casebase.evaluations import Evaluation

ROWS = render_evaluation.ROWS


def terminal(audit: DataAudit, console: Console, page: Path | None) -> None:
    """Print an audit as evaluations are printed; of long tables the first rows, and where the others are."""
    tables = []
    for table in audit.tables:
        over = len(table.rows) - ROWS
        title = (
            table.title if over <= 0 else f"{table.title} ({ROWS} of {len(table.rows)}; --json and --report have all)"
        )
        tables.append(replace(table, title=title, rows=list(table.rows)[:ROWS], shown=None))
    said = Evaluation(
        "data-audit",
        f"Audit of {audit.data}, {audit.n} images",
        [one.statement for one in audit.findings],
        tables,
        [],
        {},
    )
    following = [] if page is not None else typed("data", "audit", audit.data, "--report", "audit.html")
    render_evaluation.terminal(said, console, page=page, following=following)
