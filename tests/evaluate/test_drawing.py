"""Figures: the same bytes every time, both grounds, no inline style, nothing from outside, hostile names."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from casebase.evaluate import drawing
from casebase.evaluations import Plot

STYLES = Path(drawing.__file__).parents[1] / "explain" / "templates" / "report.css"
SVG = "{http://www.w3.org/2000/svg}"


def example(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=drawing.PREDICTED, marker="o", label="up")
    axes.bar([0.2], [0.5], color=drawing.shade(drawing.WARNING, 1.0), width=0.1)
    axes.text(0.5, 0.5, "$5 & <b>", color=drawing.INK)
    drawing.name_axes(axes, across="confidence", up="right answers")
    drawing.in_percent(axes.yaxis)
    axes.legend()


@pytest.fixture(scope="module")
def plot() -> Plot:
    return drawing.plot("example", "An example", "A line that rises.", example)


def test_the_same_drawing_gives_the_same_bytes(plot: Plot) -> None:
    again = drawing.plot("example", "An example", "A line that rises.", example)
    assert again.svg == plot.svg
    assert again.png == plot.png
    assert "casebase example" not in plot.svg


def test_no_date_no_program_and_no_address_but_the_names_of_svg(plot: Plot) -> None:
    assert set(re.findall(r"https?://[^\"]+", plot.svg)) == {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip
    assert not re.search(r"20\d\d-\d\d|Matplotlib", plot.svg)
    with Image.open(io.BytesIO(plot.png)) as picture:
        assert not {"Software", "Creation Time"} & set(picture.info)


def test_it_is_one_described_element_with_text_and_without_inline_style(plot: Plot) -> None:
    assert plot.svg.startswith("<svg ")
    root = ET.fromstring(plot.svg)
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "An example"
    assert root.findtext(f"{SVG}desc") == "A line that rises."
    assert not [e for e in root.iter() if e.get("style")]
    texts = {e.text: e for e in root.iter(f"{SVG}text")}
    assert {"$5 & <b>", "confidence", "right answers", "up", "40 %"} <= set(texts)
    assert "sans-serif" in str(texts["confidence"].get("font-family"))
    assert texts["confidence"].get("text-anchor") == "middle"
    assert texts["confidence"].get("fill") == drawing.QUIET


def test_every_colour_is_a_token_and_has_a_value_in_the_dark(plot: Plot) -> None:
    drawn, sheet = re.sub(r"<style>.*?</style>", "", plot.svg), re.findall(r"<style>(.*?)</style>", plot.svg)
    used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', drawn))
    assert {drawing.PAPER, drawing.PREDICTED, drawing.WARNING, drawing.INK} <= used <= set(drawing.DARK)
    assert len(sheet) == 1
    for token in used:
        assert f"[fill='{token}']{{fill:{drawing.DARK[token]}}}" in sheet[0]
        assert f"[stroke='{token}']{{stroke:{drawing.DARK[token]}}}" in sheet[0]


def test_the_tokens_are_those_of_the_page() -> None:
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", STYLES.read_text(encoding="utf-8"), re.DOTALL)
    )
    for name in ("PAPER", "RAISED", "INK", "QUIET", "RULE", "TRACK", "PREDICTED", "RIVAL", "WARNING"):
        token = getattr(drawing, name)
        assert token == light[name.lower()]
        assert drawing.DARK[token] == dark[name.lower()]


def test_the_picture_stands_on_paper_and_is_as_large_as_was_asked(plot: Plot) -> None:
    with Image.open(io.BytesIO(plot.png)) as picture:
        assert picture.size == (6 * drawing.DPI, 4 * drawing.DPI)
        assert picture.convert("RGB").getpixel((2, 2)) == tuple(bytes.fromhex(drawing.PAPER[1:]))


def luminance(colour: np.ndarray) -> float:
    """WCAG 2.2, relative luminance of sRGB in [0, 1]."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("token", [drawing.PREDICTED, drawing.RIVAL, drawing.WARNING])
def test_ink_can_be_read_on_the_deepest_shade(token: str, *, dark: bool) -> None:
    def rgb(name: str) -> np.ndarray:
        return np.array(list(bytes.fromhex((drawing.DARK[name] if dark else name)[1:]))) / 255

    depth = drawing.shade(token, 2.0)[3]
    ground = depth * rgb(token) + (1 - depth) * rgb(drawing.PAPER)
    bright, dim = sorted([luminance(ground), luminance(rgb(drawing.INK))], reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def settings() -> dict[str, object]:
    """All but the backend: asking for that one imports pyplot."""
    return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}


def test_settings_of_the_process_are_put_back(plot: Plot) -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError):
        drawing.plot("fails", "", "", lambda axes: 1 / 0)  # type: ignore[arg-type, return-value]
    assert settings() == before


def test_drawing_leaves_pyplot_alone() -> None:
    """In a process of its own: other libraries of this test run may have imported it."""
    code = (
        "import sys\nfrom casebase.evaluate import drawing\n"
        "drawing.plot('one', '', '', lambda axes: axes.plot([0, 1], [0, 1]) and None)\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_a_user_has_set_changes_no_figure(plot: Plot) -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert drawing.plot("example", "An example", "A line that rises.", example).svg == plot.svg


def test_threads_do_not_disturb_each_other(plot: Plot) -> None:
    found: dict[int, str] = {}

    def work(number: int) -> None:
        found[number] = drawing.plot("example", "An example", "A line that rises.", example).svg

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found.values()) == {plot.svg}


def test_hostile_and_foreign_names_are_drawn_as_they_are() -> None:
    evil = "</text><script>alert(1)</script>\x1b[31m$\\frac{1}{0}$"
    made = drawing.plot("e", evil, evil, lambda axes: axes.set_xlabel(drawing.shortened(f"猫{evil}", 80)))  # type: ignore[arg-type, return-value]
    root = ET.fromstring(made.svg)
    assert not [e for e in root.iter() if e.tag.endswith("script")]
    assert "\x1b" not in made.svg
    assert any((e.text or "").startswith("猫</text>") for e in root.iter(f"{SVG}text"))


def test_two_panels_stand_side_by_side() -> None:
    def both(axes: object) -> None:
        left, right = axes  # type: ignore[misc]
        left.set_title("left one")
        right.set_title("right one")

    made = drawing.panels("two", "", "", both)
    root = ET.fromstring(made.svg)
    x = {e.text: float(e.get("x", "0")) for e in root.iter(f"{SVG}text")}
    assert x["left one"] + 200 < x["right one"]


def test_a_long_name_is_cut_with_a_mark() -> None:
    assert drawing.shortened("a" * 30, 10) == "a" * 9 + "…"
    assert drawing.shortened("short") == "short"
