"""What a case base holds: of each class a few typical cases with weights, and the cases they say least of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.answers import finite
from casebase.cases import Case
from casebase.errors import UsageError
from casebase.evaluations import Measured
from casebase.explanations import Statement
from casebase.spaces import NETWORK_SPACE

if TYPE_CHECKING:
    from casebase.writers import SummaryWriter

SCHEMA = "casebase.summary/1"
PAGE, DATA = "index.html", "summary.json"
BY = ("predicted", "label")
SORTS = ("disputed", "residual", "name")
SHOWN = 20
"""Classes on page and screen; the JSON has all."""
MOST = 100
"""Typical cases, and criticisms, of one class."""


@dataclass(frozen=True, slots=True)
class SummaryWanted:
    """What to summarise and how.

    ``k`` typical cases and ``criticisms`` of each class; a class is what the network calls so (``by`` predicted) or
    what is labelled so (label); ``classes`` names some, none means all. Page and screen show the first ``shown``
    classes in order of ``sort``: most disputed cases, largest residual, or name. Of a class with more than ``most``
    cases, as many are drawn. Raises ``UsageError`` for what makes no sense.
    """

    k: int = 5
    criticisms: int = 3
    by: str = "predicted"
    classes: Sequence[str] = ()
    space: str = NETWORK_SPACE
    sort: str = "disputed"
    shown: int = SHOWN
    most: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("criticisms", 0), ("shown", 1), ("most", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("k", "criticisms"):
            if getattr(self, name) > MOST:
                raise UsageError(f"{name} must be at most {MOST}, not {getattr(self, name)}: few cases are a summary")
        for name, among in (("by", BY), ("sort", SORTS)):
            if getattr(self, name) not in among:
                raise UsageError(f"{name} must be {' or '.join(among)}, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Typical:
    """A case that stands for ``share`` in (0, 1] of its class; ``weight`` > 0 is that before scaling to a sum of 1.

    ``group_size`` counts it and its near-duplicates, which weigh as one case.
    """

    case: Case
    weight: float
    share: float
    group_size: int

    def to_dict(self) -> dict[str, Any]:
        """The case with its weight."""
        return {
            **self.case.to_dict(), "weight": finite(self.weight), "share": finite(self.share),
            "group_size": self.group_size,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Criticism:
    """A case of which the typical ones say little.

    ``witness`` is above 0 where the class has more like it than the typical cases account for, else below.
    ``odder_than`` is the share in [0, 1] of the class's other cases that are more like the class than this one.
    """

    case: Case
    witness: float
    odder_than: float
    group_size: int

    def to_dict(self) -> dict[str, Any]:
        """The case with why it is odd."""
        return {
            **self.case.to_dict(), "witness": finite(self.witness), "odder_than": finite(self.odder_than),
            "disputed": self.case.disputed, "group_size": self.group_size,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class ClassSummary:
    """One class: ``cases`` in it, ``disputed`` of them called other than their label.

    ``considered`` is what was looked at after drawing and folding near-duplicates. ``residual`` is MMD^2 >= 0 of the
    typical cases; ``nothing`` that of no case, ``chance`` the mean of as many random ones, ``with_criticisms`` that
    of the typical cases and criticisms together, all under their best weights. ``optimality`` is what the weights miss
    of the conditions of a best choice. ``recognised`` is the share of the measured images of this class whose nearest
    typical case is of it. ``notes`` say what is less than was asked for.
    """

    name: str
    cases: int
    disputed: int
    considered: int
    typical: Sequence[Typical]
    criticisms: Sequence[Criticism]
    bandwidth: float | None
    residual: float
    nothing: float
    chance: float
    with_criticisms: float
    optimality: float
    recognised: Measured
    notes: Sequence[str]

    @property
    def left(self) -> float:
        """The residual as a share of what it is without any case, in [0, 1]."""
        return self.residual / self.nothing if self.nothing > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The class as JSON."""
        return {
            "class": self.name,
            "cases": self.cases,
            "disputed": self.disputed,
            "considered": self.considered,
            "bandwidth": finite(self.bandwidth),
            "mmd2": {
                "typical": finite(self.residual), "nothing": finite(self.nothing), "random": finite(self.chance),
                "with_criticisms": finite(self.with_criticisms),
            },
            "kkt": finite(self.optimality),
            "recognised": _measured(self.recognised),
            "typical": [one.to_dict() for one in self.typical],
            "criticisms": [one.to_dict() for one in self.criticisms],
            "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Summary:
    """All classes asked for, in the order of ``wanted.sort``. Nothing is written until :meth:`save`.

    ``accuracy`` is the share of the measured images whose nearest typical case is of the class they are labelled with,
    ``agreement`` of the class the network calls them, ``own_accuracy`` how often that is their label. ``measured_on``
    says which images these are.
    """

    wanted: SummaryWanted
    classes: Sequence[ClassSummary]
    accuracy: Measured
    agreement: Measured
    own_accuracy: Measured
    measured_on: str
    statements: Sequence[Statement]
    facts: Mapping[str, str]
    seconds: float
    synthetic: str | None = None
    writer: SummaryWriter | None = field(default=None, repr=False)

    @property
    def shown(self) -> Sequence[ClassSummary]:
        """The classes that page and screen show."""
        return self.classes[: self.wanted.shown]

    @property
    def left_out(self) -> int:
        """How many classes are in the JSON alone."""
        return len(self.classes) - len(self.shown)

    def to_dict(self, page: str | Path | None = None) -> dict[str, Any]:
        """Schema ``casebase.summary/1``; ``page`` is where :meth:`save` has written, None before."""
        wanted = self.wanted
        return {
            "schema": SCHEMA,
            "by": wanted.by,
            "space": wanted.space,
            "k": wanted.k,
            "criticisms": wanted.criticisms,
            "sort": wanted.sort,
            "seed": wanted.seed,
            "classes": [one.to_dict() for one in self.classes],
            "nearest_typical": {
                "measured_on": self.measured_on,
                "accuracy": _measured(self.accuracy),
                "agreement": _measured(self.agreement),
                "network_accuracy": _measured(self.own_accuracy),
            },
            "statements": [{"level": str(one.level), "text": one.text} for one in self.statements],
            "page": None if page is None else str(page),
            "facts": dict(self.facts),
            "seconds": finite(self.seconds),
        }

    def save(self, target: str | Path) -> Path:
        """Write the page to a file that ends in .html, or page and ``summary.json`` into a folder; return the page.

        All or nothing; an older summary there is replaced. Raises ``UsageError`` where something else would be lost,
        ``StorageFailed`` where nothing can be written.
        """
        if self.writer is None:
            raise UsageError("this summary came without a writer; get it from casebase.open(…).summarize(…)")
        return self.writer.write(self, Path(target))

    def _repr_html_(self) -> str:
        return "" if self.writer is None else self.writer.inline(self)


def _measured(figure: Measured) -> dict[str, Any]:
    return {
        "value": finite(figure.value), "low": finite(figure.low), "high": finite(figure.high), "n": figure.n,
        "reason": figure.reason,
    }  # fmt: skip
