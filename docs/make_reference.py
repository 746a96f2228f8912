"""Make docs/reference.md from the command line itself: the help of every command, exit codes and settings.

    python docs/make_reference.py

``tests/test_docs.py`` fails where the file and the code differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from casebase.cli import exits
from casebase.cli.main import app
from casebase.settings import Settings

TARGET = Path(__file__).with_name("reference.md")
COLUMNS = 96

EXITS = {
    "OK": "done",
    "FAILED": "it failed; the line on standard error says why",
    "USAGE": "the request itself: an unknown command, option, setting, class, space or network",
    "SKIPPED": "`index --strict` skipped at least one file; `data audit --strict` found something serious",
    "DAMAGED": "`verify` found damage, or `repair` could not mend all of it",
    "LOCKED": "another process is writing to this case base",
    "NO_BASE": "there is no case base at this path",
    "INTERRUPTED": "stopped with Ctrl-C; what was finished is kept",
}
SETTINGS = {
    "base": "folder of the case base; set by `--base` or by this variable, not in a file",
    "data": "what `index` reads when no folder is named; in `casebase.toml` it is relative to the base",
    "sql_url": "a database server instead of `cases.db`, as an SQLAlchemy URL; bring its driver; only SQLite is tested",
    "chroma_url": "a Chroma server instead of the embedded index, as `http://host:8000`; see [storage](storage.md)",
    "device": "`auto`, `cpu`, `cuda` or `mps`",
    "precision": "`auto`, `fp32` or `bf16`; see [indexing](indexing.md#precision)",
    "max_megapixels": "images with more pixels are skipped, or refused as a query",
    "workers": "threads that decode and embed; 0 means all cores this process may use",
    "batch_size": "images per forward pass",
    "seed": "of training, the linear head's splits, an untrained network's weights, the demo, the deletion check",
    "view_megabytes": "memory in which `train` keeps decoded images; what does not fit is decoded anew every epoch",
}


def commands(command: Any, path: tuple[str, ...] = ("casebase",), above: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Every command as (full name, command, context), groups before what is in them."""
    context = typer.Context(
        command, parent=above, info_name=path[-1], terminal_width=COLUMNS, max_content_width=COLUMNS,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    yield " ".join(path), command, context
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name), context)


def exit_codes() -> dict[str, int]:
    """The exit codes by their names in ``casebase.cli.exits``."""
    return {name: value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}


def render() -> str:
    """The whole page."""
    lines = [
        "# Reference",
        "",
        "Made by `make docs` from the program itself; edit the help texts, not this file.",
        "",
        "`--base`, `--json`, `--quiet`, `--debug`, `--no-color`, and where a command has them `--seed` and `--device`,",
        "may stand before or behind the command. Results go to standard output, everything else to standard error;",
        "under `--json` standard output carries one JSON value and nothing else.",
        "",
    ]
    for name, command, context in commands(get_command(app)):
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        lines += [f"## {name}", "", "```text", text, "```", ""]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {EXITS[name]} |" for name, code in exit_codes().items()]
    lines += [
        "",
        "## Settings",
        "",
        "A flag wins over the environment, the environment over `casebase.toml` in the case base's folder, that over",
        "the user's own `~/.config/casebase/casebase.toml` (on Windows below `%APPDATA%`), and that over the default.",
        "`casebase config --show-origin` shows what is in force and where it comes from; passwords in URLs are masked.",
        "",
        "| key | default | environment | meaning |",
        "|---|---|---|---|",
    ]
    for entry in fields(Settings):
        if entry.name != "origin":
            default = "–" if entry.default is None else f"`{entry.default}`"
            lines.append(f"| `{entry.name}` | {default} | `CASEBASE_{entry.name.upper()}` | {SETTINGS[entry.name]} |")
    lines += [
        "",
        "Also read: `CASEBASE_DEBUG` (as `--debug`), `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb` (colour).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
