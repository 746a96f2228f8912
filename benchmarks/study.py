"""``python -m benchmarks.study DATA``: the founding study's recipe, and casebase's own beside it, on one set.

Every step is a casebase command, printed before it is run, so that each can be typed again by hand. What stands behind
``--`` goes to both trainings, e.g. ``-- --weights resnet18.safetensors`` or ``-- --image-size 96``. See docs/study.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOUNDING = (
    "--arch", "resnet18", "--mean", "0.5", "--std", "0.5", "--image-size", "224",
    "--optimiser", "adam", "--lr", "1e-4", "--weight-decay", "0", "--schedule", "constant",
    "--epochs", "10", "--batch-size", "32", "--no-flip", "--patience", "0", "--keep", "last",
)  # fmt: skip
"""The published recipe: nothing of it is casebase's choice."""
RECIPES: dict[str, Sequence[str]] = {"founding": FOUNDING, "casebase": ("--arch", "resnet18")}


def parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command line, and what goes to the trainings."""
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("data", type=Path, help="a folder of class folders, or a manifest")
    parser.add_argument("--out", type=Path, default=Path("study"), help="where everything goes (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of split and training (%(default)s)")
    return parser.parse_args(words[:cut]), words[cut + 1 :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps; the exit code of the first that fails."""
    asked, further = parsed(sys.argv[1:] if arguments is None else arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, recipe in RECIPES.items():
        model, base = asked.out / f"model-{name}", asked.out / f"base-{name}"
        steps: list[list[object]] = [
            ["train", asked.data, *recipe, *further, "--seed", asked.seed, "--out", model],
            ["index", model / "split.csv", "--model", model, "--base", base],
            ["evaluate", "model", "--base", base],
            ["evaluate", "twins", "--base", base],
            ["errors", "--base", base],
        ]
        for step in steps:
            code = casebase(step)
            if code:
                return code
    sys.stdout.write(table({name: remembered(asked.out / f"model-{name}") for name in RECIPES}))
    return 0


def casebase(step: Sequence[object]) -> int:
    """Print a command and run it."""
    words = [str(word) for word in step]
    sys.stdout.write(f"\n$ casebase {shlex.join(words)}\n")
    sys.stdout.flush()
    return subprocess.run([sys.executable, "-m", "casebase", *words], check=False).returncode


def remembered(model: Path) -> dict[str, Any]:
    """What a model folder remembers of its training."""
    found: dict[str, Any] = json.loads((model / "model.json").read_text(encoding="utf-8"))["metadata"]
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """Both recipes side by side, each figure with its interval and n, and what the intervals allow to say."""
    lines = ["", f"{'':<12}" + "".join(f"{name:<36}" for name in found)]
    for part in ("train", "val", "test"):
        cells = [_cell(facts["accuracy"].get(part)) for facts in found.values()]
        lines.append(f"{part:<12}" + "".join(f"{cell:<36}" for cell in cells))
    kept = [f"epoch {facts['kept_epoch']} of {len(facts['epochs'])}" for facts in found.values()]
    lines.append(f"{'kept':<12}" + "".join(f"{cell:<36}" for cell in kept))
    lines.append(f"{'seconds':<12}" + "".join(f"{facts['seconds']:<36.0f}" for facts in found.values()))
    part = "test" if all("test" in facts["accuracy"] for facts in found.values()) else "val"
    spans = [facts["accuracy"][part] for facts in found.values() if part in facts["accuracy"]]
    if len(spans) == len(found) and max(s["low"] for s in spans) <= min(s["high"] for s in spans):
        lines.append(f"The {part} intervals overlap: on {spans[0]['n']} images, one run each shows no difference.")
    return "\n".join(lines) + "\n"


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{100 * found['value']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f}, n = {found['n']})"


if __name__ == "__main__":
    sys.exit(main())
