"""(c) Starting cold: ``--help`` without heavy libraries, one query in a fresh process, the same query warm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.options import Options, tell
from benchmarks.photographs import gather
from benchmarks.results import Section
from benchmarks.timing import Bar, Check, Contender, Row, ratios, rounds, spread
from casebase import api, settings

HEAVY = (
    "torch",
    "torchvision",
    "torchcam",
    "chromadb",
    "sqlalchemy",
    "alembic",
    "sklearn",
    "open_clip",
    "diffusers",
    "timm",
)
LIGHTER = ("numpy", "PIL", "jinja2", "safetensors")
EVERYTHING = "import torch, torchvision, chromadb, open_clip, diffusers, timm"
HELP_FASTER = 20.0
PHOTOGRAPHS = 300
_SEEN = """
import json, sys
sys.argv = ["casebase", "--help"]
try:
    from casebase.cli.main import run
    run()
except SystemExit:
    pass
finally:
    print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}


def fresh(arguments: Sequence[str]) -> str:
    """The standard output of this Python in a fresh process; raises where it fails."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def imported() -> tuple[list[str], list[str]]:
    """Heavy libraries that ``casebase --help`` brings in (there should be none), and lighter ones (only told)."""
    names = set(json.loads(fresh(["-c", _SEEN]).strip().splitlines()[-1]))
    return [name for name in HEAVY if name in names], [name for name in LIGHTER if name in names]


def run(options: Options) -> Section:
    """Fresh processes in turns, then a warm process."""
    photographs = gather(min(PHOTOGRAPHS, options.photographs), options.scratch)
    tell(f"(c) cold start: {photographs.about}")
    base, picture = options.scratch / "cold-base", photographs.files[0]
    with api.Base(settings.Settings(base=base, device="cpu"), create=True) as made:
        made.index(
            photographs.manifest, api.IndexOptions(api.ModelChoice(arch="resnet18", weights=photographs.weights))
        )
    asking = ["-m", "casebase", "query", str(picture), "--base", str(base), "--quiet"]
    laps = rounds(
        [
            Contender("help", lambda: _none(fresh(["-m", "casebase", "--help"]))),
            Contender("everything", lambda: _none(fresh(["-c", EVERYTHING]))),
            Contender("bare", lambda: _none(fresh(["-c", "pass"]))),
            Contender("query", lambda: _none(fresh([*asking, "--no-overlays"]))),
            Contender("explain", lambda: _none(fresh(asking))),
        ],
        options.rounds,
        tell=tell,
    )
    with api.Base(settings.Settings(base=base, device="cpu")) as opened:
        warm = rounds(
            [
                Contender("query", lambda: _none(opened.query(picture))),
                Contender("explain", lambda: _none(opened.explain(picture))),
            ],
            max(10, options.rounds),
            warm_up=2,
        )
    wall = {name: [lap.wall for lap in found] for name, found in laps.items()}
    heavy, lighter = imported()
    none = Check("heavy libraries imported", len(heavy), Bar(0, at_least=False), 0)
    note = f"{', '.join(heavy) or 'none'} of {', '.join(HEAVY)}; besides: {', '.join(lighter) or 'none'}"
    cold, query = spread(wall["query"]).median, spread([lap.wall for lap in warm["query"]]).median
    explained = [1000 * lap.wall for lap in warm["explain"]]
    rows = [
        Row("importing everything ÷ `casebase --help`", spread(ratios(wall["everything"], wall["help"])), "×", 1,
            Bar(HELP_FASTER), [none], note),
        Row("`casebase --help`", spread(wall["help"]), " s"),
        Row(f'`python -c "{EVERYTHING}"`', spread(wall["everything"]), " s"),
        Row("`python -c pass`", spread(wall["bare"]), " s"),
        Row("cold `casebase query --no-overlays`", spread(wall["query"]), " s"),
        Row("cold `casebase query` with maps", spread(wall["explain"]), " s"),
        Row("warm `Base.query`", spread([1000 * lap.wall for lap in warm["query"]]), " ms", 1),
        Row("warm `Base.explain` with maps and overlay", spread(explained), " ms", 1),
        Row("cold ÷ warm query", spread([cold / query]), "×", 0, note="medians of separate series"),
    ]  # fmt: skip
    about = (
        f"Every figure but the warm ones is a whole fresh process, page cache warm, {options.rounds} rounds in turns. "
        f"The base: {photographs.about}."
    )
    return Section("(c) Cold start", about, rows)


def _none(_: object) -> None:
    """A contender gives no figures of its own."""
