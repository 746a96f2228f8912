"""The ports of pages and folders: what is asked of whatever writes results down. Few methods each, no base classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from casebase.association_pages import AssociationPage, WalkPage
    from casebase.dossiers import Dossier
    from casebase.evaluations import Evaluation
    from casebase.explanations import Report
    from casebase.maps import Maps
    from casebase.prototype_pages import PartsPage, PrototypesPage
    from casebase.summaries import Summary


class Renderer(Protocol):
    """A report in a form somebody can look at."""

    def render(self, report: Report, target: Path) -> Path:
        """Write one file (or a new directory) and return its path; nothing is left behind on failure."""
        ...

    def inline(self, report: Report) -> str:
        """The report as HTML for a notebook cell."""
        ...


class EvaluationWriter(Protocol):
    """An evaluation in forms somebody can look at."""

    def write(self, evaluation: Evaluation, folder: Path) -> Path:
        """Write page, JSON, tables and plots into a new folder and return it; nothing is left behind on failure."""
        ...

    def inline(self, evaluation: Evaluation) -> str:
        """The page as HTML for a notebook cell."""
        ...


class DossierWriter(Protocol):
    """A misclassification dossier in forms somebody can look at."""

    def write(self, dossier: Dossier, folder: Path) -> Path:
        """Write index, pages, JSON and CSV into a folder and return it; nothing is left behind on failure."""
        ...

    def inline(self, dossier: Dossier) -> str:
        """The index as HTML for a notebook cell."""
        ...


class MapsWriter(Protocol):
    """Saliency maps of one picture in forms somebody can look at."""

    def write(self, maps: Maps, folder: Path) -> Path:
        """Write page, JSON, pictures and raw maps into a folder and return it; nothing is left behind on failure."""
        ...

    def inline(self, maps: Maps) -> str:
        """The page as HTML for a notebook cell."""
        ...


class PrototypeWriter(Protocol):
    """Prototypes, or what they say of one image, in forms somebody can look at."""

    def write(self, page: PrototypesPage | PartsPage, target: Path) -> Path:
        """Write one self-contained page and return its path; nothing is left behind on failure."""
        ...

    def inline(self, page: PrototypesPage | PartsPage) -> str:
        """The page as HTML for a notebook cell."""
        ...


class AssociationWriter(Protocol):
    """A class association embedding, or a walk through it, in forms somebody can look at."""

    def write(self, page: AssociationPage | WalkPage, target: Path) -> Path:
        """Write one self-contained page and return its path; nothing is left behind on failure."""
        ...

    def inline(self, page: AssociationPage | WalkPage) -> str:
        """The page as HTML for a notebook cell."""
        ...


class SummaryWriter(Protocol):
    """A summary of a case base in forms somebody can look at."""

    def write(self, summary: Summary, target: Path) -> Path:
        """Write one page, or page and JSON into a folder; return the page. Nothing is left behind on failure."""
        ...

    def inline(self, summary: Summary) -> str:
        """The page as HTML for a notebook cell."""
        ...
