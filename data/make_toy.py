"""Draw the sample in data/toy again, or a set of your own: the birds of ``casebase demo``.

python data/make_toy.py                                   # the sample: two birds of each species
python data/make_toy.py --to /tmp/birds --per-class 240   # a set to train on, dealt to train, val and test
python data/make_toy.py --to /tmp/trap --per-class 240 --shortcut
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from casebase.indexer import write_set

SAMPLE = Path(__file__).with_name("toy")
FEWEST_TO_DEAL = 20


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=SAMPLE, help="a folder that does not exist yet")
    parser.add_argument("--per-class", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shortcut", action="store_true", help="each species keeps to its own scenery")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    if given.to == SAMPLE:
        shutil.rmtree(SAMPLE, ignore_errors=True)
    splits = {"train": 1.0} if given.per_class < FEWEST_TO_DEAL else {"train": 0.75, "val": 0.125, "test": 0.125}
    write_set(
        given.to, per_class=given.per_class, seed=given.seed, shortcut=given.shortcut, splits=splits,
        processes=given.processes,
    )  # fmt: skip


if __name__ == "__main__":
    main()
