"""``casebase prototypes``."""

from __future__ import annotations

import typer

app = typer.Typer(help="Typical cases and parts of classes.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _prototypes() -> None:
    """Typical cases and parts of classes."""
