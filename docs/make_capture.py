"""Make docs/capture.svg: what the terminal shows for the image that the demo's network gets wrong.

    casebase demo
    python docs/make_capture.py casebase-demo

Only the drawn birds of the demo are shown.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.terminal_theme import MONOKAI

import casebase
from casebase.cli.render_terminal import terminal

COLUMNS = 96
TARGET = Path(__file__).with_name("capture.svg")


def main(demo: Path) -> None:
    """Ask about the wrong one of the demo's two images, and draw the answer."""
    console = Console(
        record=True, width=COLUMNS, force_terminal=True, color_system="truecolor", file=io.StringIO(), highlight=False
    )
    with casebase.open(demo / "base") as base:
        image = os.path.relpath(base.examples()[-1])
        report = base.explain(image, k=3, rival="ribbon-finch").report
    if report is None:
        raise SystemExit("this explanation has no report")
    typed = f"casebase query {image} --k 3 --rival ribbon-finch --base {demo / 'base'}"
    console.print(f"$ {typed}\n", style="bold")
    terminal(report, console, pictures=True)
    # rich's frame asks the web for a font; ours asks for nothing and takes what the reader's machine has
    frame = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    TARGET.write_text(console.export_svg(title="casebase query", theme=MONOKAI, code_format=frame), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "casebase-demo"))
