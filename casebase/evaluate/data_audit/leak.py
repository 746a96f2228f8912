"""Can the class be told from the files alone, without looking at the pictures?

A tree of depth 3 on what headers say (format, size, shape, bytes per pixel, quantisation tables, what came along),
judged on images it did not learn from: a difference of pipeline is a classifier, and a network finds it too. The alarm
is an accuracy more than five points above always naming the largest class, at a binomial p below 0.01; or, since
nothing can be five points above a class that has nearly everything, a balanced accuracy ten points above chance that
at most one of 999 shuffles of the labels reaches: a second question must not double the false alarms.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from casebase import clock
from casebase.data_audit import Attribute, LeakTest, Seen
from casebase.evaluate.data_audit.rules import rules
from casebase.evaluations import Measured
from casebase.file_facts import FileFacts
from casebase.shares import grouped_share

DEPTH = 3
FOLDS = 5
FEWEST = 10
"""A class with fewer independent images is left out: five folds of it would hold next to nothing."""
ABOVE, SIGNIFICANT = 0.05, 0.01
ABOVE_CHANCE, RARE = 0.10, 0.002
SHUFFLES = 999
DENSITY = "bytes per pixel"
"""The one attribute that depends on what a picture shows: at one quality, busy pictures take more bytes."""
MOST_TABLES = 20
"""Quantisation tables that get a column of their own; rarer ones are told by the quality they mean."""

Matrix = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Sheet:
    """What headers say as numbers: ``values (n, f)``, the name of every column, and the attribute it belongs to."""

    values: Matrix
    names: Sequence[str]
    attributes: Sequence[str]

    def of(self, attribute: str) -> Matrix:
        """The columns of one attribute."""
        return self.values[:, [place for place, name in enumerate(self.attributes) if name == attribute]]


def leak_test(seen: Sequence[Seen], seed: int = 0) -> LeakTest:
    """The test on all images whose header could be read; folds never part a group or exact copies of a file."""
    known = [one for one in seen if one.facts is not None]
    together = _together(known)
    alone = {label: len({together[i] for i, one in enumerate(known) if one.label == label})
             for label in {one.label for one in known}}  # fmt: skip
    left_out = sorted(label for label, count in alone.items() if count < FEWEST)
    classes = sorted(set(alone) - set(left_out))
    if len(classes) < 2:
        return LeakTest(impossible=_why_not(sorted(alone), left_out), left_out=left_out)
    rows = [place for place, one in enumerate(known) if one.label in classes]
    chosen = [known[place] for place in rows]
    codes = np.array([classes.index(one.label) for one in chosen], np.intp)
    groups = np.unique([together[place] for place in rows], return_inverse=True)[1]
    sheet = sheet_of([one.facts for one in chosen if one.facts is not None])
    return _tested(sheet, codes, groups, _folds(codes, groups, seed), classes, left_out, seed)


def _folds(codes: Codes, groups: Codes, seed: int) -> list[Any]:
    """Stratified folds that part no group; where every image is a group of its own, the quick way to the same."""
    if len(set(groups.tolist())) == len(groups):
        return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(codes, codes))
    return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(codes, codes, groups))


def _tested(
    sheet: Sheet, codes: Codes, groups: Codes, folds: list[Any], classes: list[str], left_out: list[str], seed: int
) -> LeakTest:
    counts = np.bincount(codes)
    majority = float(counts.max() / counts.sum())
    said = _foretold(sheet.values, codes, folds, None)
    right = said == codes
    accuracy, p = _share(right, groups, seed), _p(right, groups, majority)
    fair = _foretold(sheet.values, codes, folds, "balanced")
    balanced, balanced_p = _balanced(fair, codes, groups, seed)
    single = []
    for name in dict.fromkeys(sheet.attributes):
        good = _foretold(sheet.of(name), codes, folds, None) == codes
        single.append(Attribute(name, _share(good, groups, seed), _p(good, groups, majority)))
    order = {name: place for place, name in enumerate(dict.fromkeys(sheet.attributes))}
    single.sort(key=lambda one: (-(one.accuracy.value or 0.0), order[one.name]))
    rest = [place for place, name in enumerate(sheet.attributes) if name != DENSITY]
    without = _foretold(sheet.values[:, rest], codes, folds, None) == codes
    beyond = _plainly(without, groups, majority)
    without_density = Attribute(f"all but {DENSITY}", _share(without, groups, seed), _p(without, groups, majority))
    plain = _plainly(right, groups, majority)
    chance = 1.0 / len(classes)
    uneven = _fairly(balanced, balanced_p, chance)
    beyond |= _fairly(
        *_balanced(_foretold(sheet.values[:, rest], codes, folds, "balanced"), codes, groups, seed), chance
    )
    tree = _tree(None if plain or not uneven else "balanced").fit(sheet.values, codes)
    return LeakTest(
        None, len(codes), classes, len(folds), len(set(groups.tolist())) < len(groups), majority, accuracy, p,
        chance, balanced, balanced_p, plain or uneven, (plain or uneven) and not beyond, single, without_density,
        rules(tree, sheet.values, codes, sheet.names, classes), left_out,
    )  # fmt: skip


def _plainly(right: NDArray[np.bool_], groups: Codes, majority: float) -> bool:
    return float(right.mean()) > majority + ABOVE and _p(right, groups, majority) < SIGNIFICANT


def _fairly(balanced: float, p: float, chance: float) -> bool:
    return balanced > chance + ABOVE_CHANCE and p <= RARE


def _together(known: Sequence[Seen]) -> list[int]:
    """A number for each image, the same for those of one group and for exact copies of one file."""
    found: dict[object, int] = {}
    numbers = []
    for place, one in enumerate(known):
        key = ("group", one.group) if one.group is not None else ("file", one.sha256 or place)
        numbers.append(found.setdefault(key, len(found)))
    return numbers


def _why_not(labels: Sequence[str], left_out: Sequence[str]) -> str:
    if len(labels) < 2:
        return "there is only one class, so nothing can tell classes apart"
    return f"fewer than two classes have {FEWEST} independent images ({len(left_out)} have fewer)"


def sheet_of(facts: Sequence[FileFacts]) -> Sheet:
    """Headers as numbers. Words become a column for each value; those a format has not are -1."""
    words: dict[str, list[str]] = {
        "format": [one.format for one in facts],
        "mode": [one.mode for one in facts],
        "quantisation tables": [one.tables or "none" for one in facts],
        "chroma subsampling": [one.chroma or "none" for one in facts],
    }
    columns: list[tuple[str, str, Sequence[float]]] = []
    for name, said in words.items():
        common = Counter(said).most_common(MOST_TABLES)
        columns += [(name, f"{name} = {value}", [one == value for one in said])
                    for value, _ in sorted(common)]  # fmt: skip
    columns += [
        ("width", "width", [one.width for one in facts]),
        ("height", "height", [one.height for one in facts]),
        ("aspect", "aspect (width / height)", [one.aspect for one in facts]),
        (DENSITY, DENSITY, [one.bytes_per_pixel for one in facts]),
        ("JPEG quality", "JPEG quality", [-1.0 if one.quality is None else one.quality for one in facts]),
        ("EXIF", "EXIF is there", [one.exif for one in facts]),
        ("colour profile", "a colour profile is there", [one.icc for one in facts]),
        ("orientation", "EXIF orientation", [one.orientation for one in facts]),
        ("progressive", "progressive JPEG", [one.progressive for one in facts]),
    ]
    values = np.array([column for _, _, column in columns], np.float64).T
    return Sheet(values, [name for _, name, _ in columns], [attribute for attribute, _, _ in columns])


def _tree(weight: str | None) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=2, class_weight=weight, random_state=0)


def _foretold(values: Matrix, codes: Codes, folds: list[Any], weight: str | None) -> Codes:
    """The class of every image as a tree says that has not seen it."""
    said = np.full(len(codes), -1, np.intp)
    for learn, test in folds:
        if len(test):
            said[test] = _tree(weight).fit(values[learn], codes[learn]).predict(values[test])
    return said


def _share(right: NDArray[np.bool_], groups: Codes, seed: int) -> Measured:
    return grouped_share(right, groups.tolist(), seed)


def _p(right: NDArray[np.bool_], groups: Codes, majority: float) -> float:
    """One-sided binomial test; images of one group count as one, which is the careful side."""
    n = len(set(groups.tolist()))
    good = int(np.floor(right.mean() * n + 1e-9))
    return float(binomtest(good, n, majority, alternative="greater").pvalue)


def _balanced(said: Codes, codes: Codes, groups: Codes, seed: int) -> tuple[float, float]:
    """Mean recall of the classes, and how often it is as high with labels dealt anew.

    Labels are dealt to whole groups where all images of a group have one, else to images.
    """
    counts = np.bincount(codes)

    def recall(truth: Codes) -> float:
        return float(np.mean(np.bincount(truth[said == truth], minlength=len(counts)) / np.bincount(truth)))

    found = recall(codes)
    first = np.unique(groups, return_index=True)[1]
    whole = bool(np.all(codes[first][groups] == codes))
    random, better = clock.generator(seed), 0
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(SHUFFLES):
            dealt = random.permutation(codes[first])[groups] if whole else random.permutation(codes)
            better += recall(dealt) >= found
    return found, (better + 1) / (SHUFFLES + 1)
