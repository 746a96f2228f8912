"""``casebase stats``, ``verify``, ``repair``, ``doctor``, ``config``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from casebase.cli import exits, options
from casebase.errors import UsageError
from casebase.reading import percent, printable

MEGABYTE = 1e6


def stats(
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Counts per class, split and space, store sizes, generation and fingerprint."""
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    with api.Base(options.chosen(base)) as opened:
        found = opened.stats()
    if json:
        screen.result(found.to_dict())
        return exits.OK
    from rich.table import Table
    from rich.text import Text

    out = screen.out()
    out.print(
        Text(f"{found.cases} cases, generation {found.generation}, fingerprint {found.classifier.get('fingerprint')}")
    )
    table = Table("class", "cases (label)", "cases (predicted)", box=None, pad_edge=False)
    for name in sorted({*found.labels, *found.predicted}):
        table.add_row(Text(printable(name)), str(found.labels.get(name, 0)), str(found.predicted.get(name, 0)))
    out.print(table)
    for name, row in found.splits.items():
        out.print(
            Text(
                f"split {printable(name)}: {row['images']} images, the network agrees with the label on "
                f"{percent(row['agree'])} "
                f"(95 % interval {percent(row['low'])} to {percent(row['high'])})"
            )
        )
    for name, row in found.spaces.items():
        audit = row.get("audit") or {}
        recall = (
            f", Chroma recall@5 {audit['nearest']:.3f} on {audit['queries']} queries" if audit.get("queries") else ""
        )
        out.print(Text(f"space {name}: {row['fingerprint']['dim']} numbers, {row['fingerprint']['precision']}{recall}"))
    for row in found.prototypes:
        stale = "" if row["classifier"] == found.classifier.get("fingerprint") else "; of another network"
        out.print(
            Text(
                f"prototypes {printable(row['profile'])}: {row['prototypes']} of {row['classes']} classes, "
                f"made {row['created']}{stale}"
            )
        )
    if found.association is not None:
        out.print(Text(_embedding(found.association, found.classifier.get("fingerprint"))))
    sizes = ", ".join(f"{name} {size / MEGABYTE:.1f} MB" for name, size in found.sizes.items())
    out.print(Text(f"on disk: {sizes}"))
    if found.skipped:
        out.print(Text(f"{len(found.skipped)} files were skipped in the last run:"))
        for row in found.skipped[:10]:
            out.print(Text(f"  {printable(row['path'])}: {printable(row['reason'])}"))
    return exits.OK


def _embedding(held: Mapping[str, Any], network: str | None) -> str:
    stale = "" if held["classifier"] == network else "; of another network"
    gates = "passed its gates" if held["trustworthy"] else f"failed {len(held['failed'])} of its gates"
    return (
        f"class association {printable(held['preset'])}: {len(held['classes'])} classes, {gates}, "
        f"made {held['created']}{stale}"
    )


def verify(
    deep: Annotated[bool, typer.Option("--deep", help="Read every vector; measure every list's recall.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Check that nothing is lost or damaged. Exit code 4 if something is."""
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    found = api.check(options.chosen(base), deep=deep)
    if json:
        screen.result(found.to_dict())
    else:
        from rich.table import Table
        from rich.text import Text

        out = screen.out()
        for finding in found.findings:
            mark = "note" if finding.harmless else "DAMAGE"
            mend = "; `casebase repair` mends it" if finding.repairable else ""
            out.print(Text(f"{mark}: {printable(finding.what)}{mend}"))
        checked = ", ".join(f"{name} {value}" for name, value in found.checked.items())
        out.print(Text(f"{'damaged' if found.damaged else 'sound'} ({checked}; {found.seconds:.1f} s)"))
        if found.recall:
            columns = ("space", "list", "index", "recall@5", "worst", "nearest missed", "queries", "serves answers")
            table = Table(*columns, box=None, pad_edge=False)
            for row in found.recall:
                missed = percent(row["nearest_missed"]) if row["nearest_missed"] else "0 %"
                table.add_row(
                    row["space"], row["list"], row["index"], f"{row['recall']:.3f}", f"{row['worst']:.2f}", missed,
                    str(row["queries"]), "yes" if row["served"] else "no",
                )  # fmt: skip
            out.print(table)
    return exits.DAMAGED if found.damaged else exits.OK


def repair(
    plan: Annotated[bool, typer.Option("--plan", "--dry-run", "-n", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Rebuild what is derived from cases.db, without the network; source images are never touched."""
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    with api.Base(options.chosen(base)) as opened:
        steps = api.plan()
        if not plan and not yes:
            if not sys.stdin.isatty():
                raise UsageError(
                    "`casebase repair` asks before it writes; say --yes, or --plan to see what it would do"
                )
            for step in steps:
                screen.note(f"  {step}")
            typer.confirm("go on?", abort=True, err=True)
        done = [] if plan else list(opened.repair())
        findings = None if plan else opened.verify()
    value: dict[str, Any] = {"schema": "casebase.repair/1", "plan": list(steps), "done": done}
    value["sound"] = None if findings is None else not findings.damaged
    if json:
        screen.result(value)
    else:
        from rich.text import Text

        for step in steps:
            screen.out().print(Text(f"{'would' if plan else 'did'}: {step}"))
        if findings is not None:
            screen.out().print(Text("damaged still; see `casebase verify`" if findings.damaged else "sound"))
    return exits.DAMAGED if findings is not None and findings.damaged else exits.OK


def doctor(
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Check the environment: versions, devices, store. Exit code 1 if something needed is missing."""
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import api

    checks = api.doctor(options.chosen(base))
    if json:
        screen.result({"schema": "casebase.doctor/1", "checks": checks})
    else:
        from rich.text import Text

        for row in checks:
            screen.out().print(Text(f"{'ok ' if row['ok'] else 'NO '} {row['name']}: {printable(str(row['found']))}"))
    return exits.OK if all(row["ok"] for row in checks) else exits.FAILED


def config(
    show_origin: Annotated[bool, typer.Option("--show-origin", help="Say where each value comes from.")] = False,
    base: options.BaseOption = None,
    json: options.JsonOption = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
    no_color: options.ColorOption = False,
) -> int:
    """Show the settings in force."""
    screen = options.screen(json=json, quiet=quiet, no_color=no_color, debug=debug)
    from casebase import settings

    rows = settings.shown(options.chosen(base))
    if json:
        screen.result({"schema": "casebase.config/1", "settings": rows})
        return exits.OK
    from rich.text import Text

    for row in rows:
        origin = f"   ({row['origin']})" if show_origin else ""
        screen.out().print(Text(f"{row['name']} = {printable(str(row['value']))}{origin}"))
    return exits.OK
