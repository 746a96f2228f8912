"""The app, and the one place where errors become a sentence and an exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from casebase import __version__
from casebase.cli import (
    cae_cmd,
    cae_show_cmd,
    cases_cmd,
    data_audit_cmd,
    data_cmd,
    demo_cmd,
    errors_cmd,
    evaluate_cae_cmd,
    evaluate_cmd,
    evaluate_prototypes_cmd,
    evaluate_saliency_cmd,
    exits,
    index_cmd,
    prototypes_cmd,
    query_cmd,
    saliency_cmd,
    summarize_cmd,
    train_cmd,
    upkeep_cmd,
)
from casebase.cli.screen import fail
from casebase.errors import CasebaseError

app = typer.Typer(
    name="casebase",
    help="Why did the classifier say that, and which training images speak for it or against it?\n\n"
    "  casebase index photos/            make a case base from a folder of class folders\n\n"
    "  casebase query image.jpg --k 5    ask about an image",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
app.command("index")(index_cmd.index)
app.command("query")(query_cmd.query)
app.command("saliency")(saliency_cmd.saliency)
app.command("train")(train_cmd.train)
app.command("errors")(errors_cmd.errors)
app.command("demo")(demo_cmd.demo)
app.command("stats")(upkeep_cmd.stats)
app.command("verify")(upkeep_cmd.verify)
app.command("repair")(upkeep_cmd.repair)
app.command("doctor")(upkeep_cmd.doctor)
app.command("config")(upkeep_cmd.config)
app.add_typer(cases_cmd.app, name="cases")
data_cmd.app.command("audit")(data_audit_cmd.audit)
app.add_typer(data_cmd.app, name="data")
evaluate_cmd.app.command("saliency")(evaluate_saliency_cmd.saliency)
evaluate_cmd.app.command("prototypes")(evaluate_prototypes_cmd.prototypes)
evaluate_cmd.app.command("cae")(evaluate_cae_cmd.cae)
app.add_typer(evaluate_cmd.app, name="evaluate")
prototypes_cmd.app.command("summarize")(summarize_cmd.summarize)
app.add_typer(prototypes_cmd.app, name="prototypes")
cae_cmd.app.command("show")(cae_show_cmd.show)
app.add_typer(cae_cmd.app, name="cae")


def _version(*, value: bool) -> None:
    if value:
        sys.stdout.write(f"casebase {__version__}\n")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[  # noqa: FBT002  # handled by its callback; typer wants a positional default
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(value=value), is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Commands and their options."""


STOPPED = "stopped; what was finished is kept, and the same command goes on from there"
GROUPS = ("cae", "cases", "data", "evaluate", "prototypes")
"""Commands that have commands of their own."""
COMMON_FLAGS = ("--json", "--quiet", "-q", "--debug", "--no-color")
COMMON_VALUES = ("--base", "--seed", "--device")


def commands_first(arguments: Sequence[str]) -> list[str]:
    """Common options written before the command are moved behind it: their place is free."""
    moved: list[str] = []
    words: list[str] = []
    rest = list(arguments)
    while rest:
        head = rest[0]
        if head in COMMON_FLAGS or head.startswith(tuple(f"{name}=" for name in COMMON_VALUES)):
            moved.append(rest.pop(0))
        elif head in COMMON_VALUES and len(rest) > 1:
            moved += [rest.pop(0), rest.pop(0)]
        elif not head.startswith("-") and (not words or (words[0] in GROUPS and len(words) == 1)):
            words.append(rest.pop(0))
        else:
            break
    return [*words, *moved, *rest] if words else list(arguments)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Nothing but a traceback under ``--debug`` escapes."""
    debug = "--debug" in arguments or bool(os.environ.get("CASEBASE_DEBUG"))
    try:
        code = app(commands_first(arguments), standalone_mode=False, prog_name="casebase")
        if code == exits.INTERRUPTED:  # typer turns Ctrl-C into its code, without a word
            fail(STOPPED)
        return int(code or 0)
    except CasebaseError as error:
        if debug:
            traceback.print_exc()
        fail(str(error))
        return exits.code_of(error)
    except KeyboardInterrupt:
        fail(STOPPED)
        return exits.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left; so do we, quietly
        return exits.FAILED
    except Exception as error:
        return _unexpected(error, debug=debug)


def _unexpected(error: Exception, *, debug: bool) -> int:
    kind = type(error)
    if kind.__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error}\n")
        return exits.USAGE
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own usage errors
        fail(f"{str(error.format_message()).rstrip('.')}. Try `casebase --help`.")
        return exits.USAGE
    if kind.__name__ == "Abort":  # a no to a question, or the end of the input
        fail("nothing was done")
        return exits.INTERRUPTED
    if debug:
        traceback.print_exc()
        return exits.FAILED
    said = str(error).splitlines()[0] if str(error) else "no message"
    try:
        with tempfile.NamedTemporaryFile("w", prefix="casebase-", suffix=".log", delete=False, encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
        where = f"details are in {Path(log.name)}"
    except OSError:  # a full disk may well be the reason of it all
        where = "--debug shows the details"
    fail(f"unexpected {kind.__name__} ({said}); {where}, please report it")
    return exits.FAILED


def run() -> NoReturn:
    """The console script."""
    sys.exit(invoke(sys.argv[1:]))
