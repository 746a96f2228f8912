"""The service behind ``saliency``: one picture, several methods, several classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from casebase import clock, reading
from casebase.answers import Prediction
from casebase.errors import MissingExtra, ModelError, UnknownClass, UsageError
from casebase.explain import map_words, mapping
from casebase.explain.album import Album, Look
from casebase.explain.deletion import CELLS
from casebase.explain.figures import map_figure, quadrants, sides, whole_figure
from casebase.explain.passes import Passes
from casebase.explain.saliency import names
from casebase.explain.saliency.method import MethodSettings, RawMap
from casebase.explanations import QUERY_ID, Deletion, Figure, SaliencyMap, Scale, Shown
from casebase.maps import MapOf, Maps, MapsWanted
from casebase.overlay import sequential_bar
from casebase.reading import printable, some

KEY = QUERY_ID
_COUNTED = ("samples", "steps", "masks")
"""What methods call the number that ``--samples`` sets."""
SCALE = Scale(
    "Where it looked", sequential_bar(), "looked at least", "looked at most, each map scaled to its own range"
)

Settings = Callable[[str, int], tuple[MethodSettings, Mapping[str, str]]]


@dataclass(eq=False)
class _Made:
    """What a method came to: raw and shown maps by class, or the sentence why there are none."""

    method: str
    raw: dict[str, RawMap] = field(default_factory=dict)
    shown: dict[str, SaliencyMap] = field(default_factory=dict)
    problem: str | None = None
    seconds: float | None = None


def look(
    name: str,
    picture: reading.Picture,
    wanted: MapsWanted,
    passes: Passes,
    album: Album,
    settings: Settings,
    facts: Mapping[str, str],
) -> Maps:
    """Map one picture for the predicted class and others.

    A method that cannot explain this network has rows without a map that say why; where that is all of them, the first
    one's error is raised. Raises ``UsageError`` and ``UnknownClass`` for names that are not there, ``ModelError`` for
    a network whose answer is no number.
    """
    started = clock.seconds()
    methods = list(dict.fromkeys(names.known(one) for one in wanted.methods))
    if not methods:
        raise UsageError(f"name at least one saliency method; there is {', '.join(names.METHOD_NAMES)}")
    for one in wanted.classes:
        _check_class(one, passes)
    shown, seen = album.of_query(picture)
    prediction = _prediction(passes, seen, name)
    classes = list(dict.fromkeys([prediction.predicted, *wanted.classes]))
    made = _made(methods, classes, wanted, passes, seen, settings)
    maps = [one for part in made for one in part.shown.values() if one.degenerate is None]
    suspects = [mapping.Suspect(seen.view, maps, prediction.probabilities)] if maps else []
    told = [check for one in mapping.checks(passes, suspects, wanted.seed) for check in one]
    checks = {(check.method, check.target): check for check in told}
    rows = [
        replace(_row(part, target, prediction, shown, checks.get((part.method, target))), stem=stem)
        for target, stems in zip(classes, _stems(methods, classes), strict=True)
        for part, stem in zip(made, stems, strict=True)
    ]
    return Maps(
        path=name, sha256=picture.sha256, size=picture.size, prediction=prediction, classes=classes, rows=rows,
        whole=whole_figure(shown), scales=[SCALE] if maps else [],
        warnings=list(dict.fromkeys([*_warnings(made, wanted, picture, seen), *_told(rows)])),
        facts=facts, seconds=clock.seconds() - started,
    )  # fmt: skip


def _check_class(name: str, passes: Passes) -> None:
    if not passes.knows(name):
        raise UnknownClass(f"no class {printable(name)!r}; this network knows {some(passes.classes)}")


def _prediction(passes: Passes, seen: Look, name: str) -> Prediction:
    found = passes.probabilities(seen.view[None])[0]
    if not np.isfinite(found).all():
        raise ModelError(
            f"the network's scores for {printable(name)} are not finite, so there is no class to explain; "
            "its weights hold a NaN or an infinity, or the picture drives it there"
        )
    return Prediction({one: float(found[passes.place(one)]) for one in passes.classes})


def _made(
    methods: Sequence[str], classes: Sequence[str], wanted: MapsWanted, passes: Passes, seen: Look, settings: Settings
) -> list[_Made]:
    found: list[_Made] = []
    failed: list[Exception] = []
    for method in methods:
        one = _Made(method)
        found.append(one)
        before = clock.seconds()
        try:
            own, recorded = settings(method, wanted.seed)
            chosen = replace(own, layer=wanted.layer, samples=wanted.samples, sign=wanted.sign)
            raw = passes.maps(method, chosen, [(KEY, target) for target in classes], {KEY: seen.view}, {})
            told = {**passes.facts(method, chosen), **recorded}
        except (ModelError, MissingExtra) as error:
            one.problem = str(error)
            failed.append(error)
            continue
        one.seconds = (clock.seconds() - before) / len(classes)
        one.raw = {target: raw[KEY, target] for target in classes}
        one.shown = {
            target: mapping.shown_map(raw[KEY, target], method, target, QUERY_ID, told, chosen.sign)
            for target in classes
        }
    if len(failed) == len(found):
        raise failed[0]
    return found


def _row(part: _Made, target: str, prediction: Prediction, shown: Shown, check: Deletion | None) -> MapOf:
    title, map_ = mapping.entry(part.method).title, part.shown.get(target)
    row = MapOf(
        method=part.method, title=title, target=target, probability=prediction.probabilities[target],
        figure=Figure(None, "", title), seconds=part.seconds,
    )  # fmt: skip
    role = "predicted" if target == prediction.predicted else "rival"
    if map_ is None:
        why = part.problem or ""
        return replace(row, problem=why, figure=Figure(None, f"No map by {title}: {printable(why)}.", title, role))
    raw = part.raw[target].values
    if map_.degenerate is not None:
        text = f"The map means nothing: {printable(map_.degenerate)}."
        return replace(row, found=map_, raw=raw, problem=map_.degenerate, figure=Figure(None, text, title, role))
    told = None if check is None else map_words.said(check)
    return replace(
        row, found=map_, raw=raw, check=check, said=told,
        brief=None if check is None else map_words.figures(check),
        lies=sides(map_.values), shares=quadrants(map_.values),
        figure=map_figure(shown.view, map_, title, role, check, told),
    )  # fmt: skip


def _stems(methods: Sequence[str], classes: Sequence[str]) -> list[list[str]]:
    """File names, class by class and method by method: numbered, so that no two classes can fall together."""
    return [
        [f"{number:02d}-{_plain(target)}-{_plain(method)}" for method in methods]
        for number, target in enumerate(classes, start=1)
    ]


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "+-") else "_" for c in name)[:40]


def _told(rows: Sequence[MapOf]) -> list[str]:
    return [
        f"{row.title} for {printable(row.target)}: {row.problem}"
        if row.found is not None
        else f"{row.title}: {row.problem}"
        for row in rows
        if row.problem is not None
    ]


def _warnings(made: Sequence[_Made], wanted: MapsWanted, picture: reading.Picture, seen: Look) -> list[str]:
    """What was asked for and took no effect, and a picture with fewer pixels than the maps have cells."""
    told = []
    first = [next(iter(part.shown.values())) for part in made if part.shown]
    for name, value, facts in (("layer", wanted.layer, ("layer",)), ("samples", wanted.samples, _COUNTED)):
        without = [
            mapping.entry(one.method).title
            for one in first
            if value is not None and not any(one.facts.get(fact) for fact in facts)
        ]
        if without:
            told.append(f"--{name} is nothing to {', '.join(without)}")
    width, height = picture.size
    cells = [CELLS, *(max(raw.values.shape) for part in made for raw in part.raw.values() if _coarse(raw, seen))]
    if min(width, height) < max(cells):
        told.append(
            f"the picture has {width} x {height} pixels, fewer than a map of {max(cells)} x {max(cells)} cells: "
            "a map can tell no more places apart than the picture has"
        )
    return told


def _coarse(raw: RawMap, seen: Look) -> bool:
    """Whether a map has cells of its own rather than the pixels that the network is fed."""
    return len(raw.values) < len(seen.view)
