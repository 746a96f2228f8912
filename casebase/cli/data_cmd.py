"""``casebase data``: data sets before any training."""

from __future__ import annotations

import typer

app = typer.Typer(help="Data sets before any training.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Data sets before any training."""
