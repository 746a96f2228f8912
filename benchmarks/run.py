"""``python -m benchmarks.run``: time everything side by side and write ``RESULTS.md``."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PARTS = {
    "index": "benchmarks.index_bench",
    "query": "benchmarks.query_bench",
    "cold": "benchmarks.cold_bench",
    "memory": "benchmarks.memory_bench",
    "dossier": "benchmarks.dossier_bench",
    "road": "benchmarks.road_bench",
    "saliency": "benchmarks.saliency_bench",
    "prototypes": "benchmarks.prototypes_bench",
    "cae": "benchmarks.cae_bench",
}
OUT = Path(__file__).parent / "RESULTS.md"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line; unknown parts are refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas: %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the warm-up (%(default)s)")
    parser.add_argument("--photographs", type=int, default=384, help="photographs of the index part (%(default)s)")
    parser.add_argument("--sizes", default="10000,100000", help="cases of the query part (%(default)s)")
    parser.add_argument("--queries", type=int, default=200, help="queries of the query part (%(default)s)")
    parser.add_argument("--images", type=int, default=1500, help="N of the memory part, run at N and 4 N (%(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="the page to write (%(default)s)")
    parser.add_argument("--scratch", type=Path, help="folder to write in; a temporary one that is removed by default")
    found = parser.parse_args(arguments)
    found.only = [name.strip() for name in found.only.split(",") if name.strip()]
    unknown = [name for name in found.only if name not in PARTS]
    if unknown or not found.only:
        parser.error(f"--only takes {', '.join(PARTS)}, not {', '.join(unknown) or 'nothing'}")
    try:
        found.sizes = [int(size) for size in found.sizes.split(",")]
    except ValueError:
        parser.error("--sizes takes whole numbers, separated by commas")
    if min(found.rounds, found.photographs, found.queries, found.images, *found.sizes) < 1:
        parser.error("rounds, photographs, sizes, queries and images are at least 1")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts asked for; 1 where a bar was missed."""
    asked = parsed(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the bars are the CPU's
    from benchmarks import machine, results
    from benchmarks.options import Options, tell

    described = machine.describe()
    scratch = asked.scratch or Path(tempfile.mkdtemp(prefix="casebase-bench-"))
    scratch.mkdir(parents=True, exist_ok=True)
    options = Options(
        asked.rounds, asked.photographs, tuple(asked.sizes), asked.queries, asked.images, scratch.resolve()
    )
    sections = []
    try:
        for name in asked.only:
            tell(f"== {name}")
            sections.append(importlib.import_module(PARTS[name]).run(options))
            results.write(asked.out, described, sections)  # after every part: a later one may take long
    finally:
        if asked.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    print(results.render(described, sections))
    tell(f"written to {asked.out}")
    return 0 if all(section.passed for section in sections) else 1


if __name__ == "__main__":
    sys.exit(main())
