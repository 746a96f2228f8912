"""The misclassification dossier: every wrong answer of a part of the base, those first that a person should look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.answers import Retrieval, finite
from casebase.cases import Case
from casebase.errors import UsageError
from casebase.evaluations import Measured
from casebase.explanations import Level, Statement
from casebase.parts import Part
from casebase.reading import printable

if TYPE_CHECKING:
    from casebase.writers import DossierWriter

SCHEMA = "casebase.errors/1"
INDEX, DATA, TABLE = "index.html", "errors.json", "errors.csv"
"""The files of a dossier beside its pages."""
COLUMNS = (
    "place", "id", "path", "label", "predicted", "right", "confidence", "label_probability", "trust_score", "care",
    "agreeing", "nearest", "suspected_label", "near_copies", "verdict", "page",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A reason to look at the label, or at the data, before blaming the network.

    ``kind`` is ``label`` (its label may be wrong), ``copy`` (the same pixels are among the cases) or ``near-copy`` (the
    same photograph seems to be); ``case_id`` is the case it rests on, where it rests on one.
    """

    kind: str
    text: str
    case_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON of one suspicion."""
        return {"kind": self.kind, "text": self.text, "case": self.case_id}


@dataclass(frozen=True, eq=False)
class Entry:
    """One answer of the dossier: the image, what was said of it, and what a person should know first.

    ``care`` in [0, 1] is how much it matters (:func:`casebase.explain.care.care`); ``place`` counts from 1 in order of
    importance. ``contrast`` names the right answers of similar evidence by id, ``alike`` the wrong ones that an entry
    which is ``right`` was chosen for.
    """

    place: int
    case: Case
    retrieval: Retrieval
    care: float
    agreeing: int
    verdict: Statement
    suspicions: Sequence[Suspicion] = ()
    contrast: Sequence[str] = ()
    alike: Sequence[str] = ()

    @property
    def right(self) -> bool:
        """Whether the network's answer is the label."""
        return self.case.label == self.retrieval.prediction.predicted

    @property
    def predicted(self) -> str:
        """What the network calls the image."""
        return self.retrieval.prediction.predicted

    @property
    def label_probability(self) -> float | None:
        """Softmax of the label; None for a label that is no class of the network."""
        return self.retrieval.prediction.probabilities.get(self.case.label)

    @property
    def suspected(self) -> bool:
        """Whether the label itself is in doubt."""
        return any(one.kind == "label" for one in self.suspicions)

    @property
    def copied(self) -> list[Suspicion]:
        """The copies and near-copies of the image among the cases."""
        return [one for one in self.suspicions if one.kind in ("copy", "near-copy")]

    @property
    def silent(self) -> bool:
        """Whether nothing in the report would have warned a reader of this answer."""
        return self.verdict.level is Level.CALM

    @property
    def page(self) -> str:
        """The page of this entry, relative to the dossier's folder."""
        return f"{'right' if self.right else 'errors'}/{self.place:04d}-{self.case.id}.html"

    def to_dict(self, written: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The query's object of ``casebase.query/1`` with the label and what the dossier adds.

        ``written`` is what explaining added: overlays, checks, warnings, seconds, the page.
        """
        return {
            **self.retrieval.to_dict(),
            "overlays": {"gradcam": None, "gradcam_label": None},
            **(written or {"page": None}),
            "place": self.place,
            "label": self.case.label,
            "id": self.case.id,
            "right": self.right,
            "care": finite(self.care),
            "agreeing": self.agreeing,
            "verdict": self.verdict.text,
            "suspicions": [one.to_dict() for one in self.suspicions],
            "contrast": list(self.contrast),
        }

    def row(self, *, written: bool) -> dict[str, Any]:
        """One line of the CSV: the columns are :data:`COLUMNS`."""
        near = [one.case_id for one in self.copied if one.case_id is not None]
        values = (
            self.place, self.case.id, self.case.path, self.case.label, self.predicted, self.right,
            finite(self.retrieval.prediction.confidence), finite(self.label_probability),
            finite(self.retrieval.trust.trust_score), finite(self.care), self.agreeing, len(self.retrieval.nearest),
            self.suspected, " ".join(near), self.verdict.text, self.page if written else None,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))


@dataclass(frozen=True, eq=False)
class Group:
    """The mistakes of one kind: ``label`` called ``predicted``, the most important first; ``total`` before a limit."""

    label: str
    predicted: str
    total: int
    entries: Sequence[Entry]


@dataclass(frozen=True, eq=False)
class Dossier:
    """Every wrong answer of one part of a base, in order of importance.

    ``wrong`` counts them all, ``entries`` holds those that were asked for. ``confusion`` maps label to predicted to
    number, over the whole part. ``contrasts`` are right answers of similar evidence. ``facts`` tell where all of it
    comes from. Nothing here holds a picture: pages are made one after the other by :meth:`save`.
    """

    part: Part
    total: int
    wrong: int
    entries: Sequence[Entry]
    contrasts: Sequence[Entry]
    confusion: Mapping[str, Mapping[str, int]]
    accuracy: Measured
    statements: Sequence[Statement]
    facts: Mapping[str, str]
    settings: Mapping[str, Any]
    synthetic: str | None = None
    writer: DossierWriter | None = field(default=None, repr=False)

    @property
    def split(self) -> str:
        """The part in words."""
        return self.part.name

    @property
    def suspected(self) -> int:
        """Number of entries whose label is in doubt."""
        return sum(entry.suspected for entry in self.entries)

    @property
    def silent(self) -> int:
        """Number of entries without any warning."""
        return sum(entry.silent for entry in self.entries)

    @property
    def groups(self) -> list[Group]:
        """Entries by (label, predicted); the group with the most important entry comes first."""
        found: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            found.setdefault((entry.case.label, entry.predicted), []).append(entry)
        return [
            Group(label, predicted, self.confusion.get(label, {}).get(predicted, 0), entries)
            for (label, predicted), entries in found.items()
        ]

    def head(self) -> dict[str, Any]:
        """Everything of :meth:`to_dict` but the entries."""
        return {
            "schema": SCHEMA,
            "split": self.part.split,
            "part": self.part.name,
            "total": self.total,
            "wrong": self.wrong,
            "shown": len(self.entries),
            "accuracy": finite(self.accuracy.value),
            "accuracy_low": finite(self.accuracy.low),
            "accuracy_high": finite(self.accuracy.high),
            "confusion": {label: dict(row) for label, row in self.confusion.items()},
            "statements": [{"text": said.text, "level": str(said.level)} for said in self.statements],
            "settings": dict(self.settings),
        }

    def to_dict(self) -> dict[str, Any]:
        """Schema ``casebase.errors/1``. The ``errors.json`` that :meth:`save` writes names overlays and pages too."""
        return {
            **self.head(),
            "errors": [entry.to_dict() for entry in self.entries],
            "correct": [entry.to_dict() for entry in self.contrasts],
        }

    def save(self, folder: str | Path) -> Path:
        """Write ``index.html``, a page per entry, ``errors.json`` and ``errors.csv`` into a folder; return it.

        All or nothing; an older dossier of that name is replaced. Raises ``UsageError`` where something else is there,
        ``StorageFailed`` where nothing can be written.
        """
        if self.writer is None:
            raise UsageError("this dossier came without a writer; get it from casebase.open(…).errors(…)")
        return self.writer.write(self, Path(folder))

    def _repr_html_(self) -> str:
        """The index, without its pictures, in a notebook cell."""
        return "" if self.writer is None else self.writer.inline(self)


def table(entries: Sequence[Entry], *, written: bool) -> str:
    """Entries as CSV text with a heading; cells that a spreadsheet would run as a formula are defused."""
    out = io.StringIO()
    lines = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    lines.writeheader()
    for entry in entries:
        lines.writerow({key: _cell(value) for key, value in entry.row(written=written).items()})
    return out.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
