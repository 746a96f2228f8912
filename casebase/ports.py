"""The ports: what the rules of casebase ask of networks and stores. Few methods each, no base classes.

Those of pages and folders are in :mod:`casebase.writers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from casebase.answers import Comparable
from casebase.cases import Case, Fingerprint, SourceImage, Status
from casebase.reading import Preprocess

if TYPE_CHECKING:
    from casebase.association import Association, Codes, Nodes
    from casebase.evidence import EvidenceTable
    from casebase.prototypes import Activation, PrototypeSet

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reading:
    """One forward pass: ``features (N, D) float32``, not normalised, and ``probabilities (N, C) float32`` or None."""

    features: Matrix
    probabilities: Matrix | None


class Embedder(Protocol):
    """Pictures to vectors of one space, and to class probabilities where it is the explained network's own space."""

    @property
    def space(self) -> str: ...
    @property
    def fingerprint(self) -> Fingerprint: ...
    @property
    def preprocess(self) -> Preprocess: ...
    @property
    def batch_size(self) -> int: ...

    def read(self, views: NDArray[np.uint8]) -> Reading:
        """``(N, H, W, 3) uint8`` views, as :meth:`Preprocess.pixels` makes them, through the network once."""
        ...


class Classifier(Protocol):
    """The explained network as a set of classes. ``fingerprint`` names weights, head, classes and preprocessing."""

    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def fingerprint(self) -> str: ...

    def class_weights(self, name: str) -> Vector | None:
        """The head's row ``(D,)`` for a class; None where the head is not one linear layer on the features."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What the store remembers of one image, to tell whether it has changed."""

    file_size: int
    file_mtime: int
    sha256: str
    label: str
    split: str | None
    group: str | None
    status: str
    spaces: frozenset[str]
    held_out: bool


@dataclass(frozen=True, eq=False)
class Entry:
    """An image on its way into the store: what was read of it, and one vector for each space that was asked for.

    ``vectors`` maps a space to ``(D,) float32`` features, not normalised. ``probabilities`` is ``(C,) float32``, or
    None while no classifier exists.
    """

    image: SourceImage
    source: int
    file_size: int
    file_mtime: int
    width: int
    height: int
    sha256: str
    pixel_hash: str
    look_hash: int
    held_out: bool
    vectors: Mapping[str, Vector]
    probabilities: Vector | None


@dataclass(frozen=True, slots=True)
class Where:
    """Which cases a search may return: those whose ``predicted`` class is one of ``predicted``; None means all."""

    predicted: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Ball:
    """Only cases strictly nearer to ``centre`` ``(D,)`` than ``radius``."""

    centre: Vector
    radius: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A case found and its distance, before any rule has been applied."""

    case: Case
    distance: float


@dataclass(frozen=True, slots=True)
class Found:
    """Hits in order of (distance, id), the index that served them, and that index's recall@k."""

    hits: Sequence[Hit]
    index: str
    recall: float
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class Examined:
    """A block of images as the explained network saw them.

    ``features (n, D) float32`` of one space, not normalised; ``probabilities (n, C) float32`` in the order of
    :meth:`CaseBase.class_names`; ``cases`` in the order of the rows.
    """

    cases: Sequence[Case]
    features: Matrix
    probabilities: Matrix


class CaseBase(Protocol):
    """Rows and vectors behind one door: callers never see the two stores disagree."""

    def snapshot(self) -> CaseBase:
        """The base as it is now, unmoved by later changes; what belongs to one answer is asked of one snapshot.

        A method of a snapshot raises ``Moved`` where a change came in between and the old state cannot be had.
        """
        ...

    def spaces(self) -> Mapping[str, Fingerprint]:
        """The spaces that can be asked, with the fingerprint under which their vectors were made."""
        ...

    def classes(self) -> Mapping[str, int]:
        """Number of active cases by *predicted* class."""
        ...

    def count(self) -> int:
        """Number of active cases."""
        ...

    def nearest(
        self,
        space: str,
        vector: Vector,
        k: int,
        *,
        where: Where = Where(),
        within: Ball | None = None,
        weights: Vector | None = None,
    ) -> Found:
        """The ``k`` active cases nearest to ``vector`` ``(D,)`` in order of (distance, id), or as many as there are.

        ``weights`` ``(D,)`` turns the cosine into its class-weighted form, on both sides.
        """
        ...

    def get(self, ids: Sequence[str]) -> Mapping[str, Case]:
        """The cases of these ids, whatever their status; unknown ids are absent."""
        ...

    def vectors(self, space: str, ids: Sequence[str]) -> Matrix:
        """Unit vectors ``(len(ids), D)`` in the order of ``ids``; an unknown id raises ``NotFound``."""
        ...

    def known_pixels(self, pixel_hash: str) -> Sequence[Case]:
        """Cases of any status, withdrawn ones excepted, with exactly these pixels."""
        ...

    def percentile(self, space: str, predicted: str, similarity: float) -> float | None:
        """Share (0..100) of the class's own pairs that are no more alike than ``similarity``; None with too few."""
        ...

    def comparable(self, space: str, predicted: str, distance: float) -> Comparable | None:
        """How usual a nearest-twin distance is for this class; None with too few reference images."""
        ...

    def evidence(self, space: str) -> EvidenceTable | None:
        """What the network said of the held-out images, and how near the cases lie to them; None without any.

        None also for ``contribution``, whose distances depend on the class.
        """
        ...

    def class_names(self) -> Sequence[str]:
        """The explained network's classes, in the order of stored probabilities; empty before the first index."""
        ...

    def parts(self) -> Mapping[tuple[Status, str | None], int]:
        """Number of active cases and of held-out images, by status and split."""
        ...

    def examined(self, space: str, status: Status, *, split: str | None = None) -> Iterator[Examined]:
        """Active cases, or held-out images, of one split or of all, in blocks and in a fixed order."""
        ...


@dataclass(frozen=True, eq=False)
class Stored:
    """A block of stored images and their unnormalised features ``(n, D) float32`` in one space."""

    rows: NDArray[np.int64]
    labels: Sequence[str]
    groups: Sequence[str | None]
    held_out: NDArray[np.bool_]
    features: Matrix


@dataclass(frozen=True, slots=True)
class Relabel:
    """What a source now says about an image whose pixels have not changed."""

    label: str
    split: str | None
    group: str | None
    held_out: bool
    file_size: int
    file_mtime: int


@dataclass(frozen=True, eq=False)
class Changes:
    """What one run of ``index`` makes visible, all at once.

    ``classify`` turns features ``(n, D)`` of the network's own space into ``(n, C)`` probabilities for images that
    were stored without a prediction, or for all of them where ``reclassify`` is set. ``facts`` describes the
    classifier: fingerprint, classes, and ``fair`` (whether it was fitted without seeing the cases).
    """

    withdrawn: Sequence[str]
    relabelled: Mapping[str, Relabel]
    classify: Callable[[Matrix], Matrix] | None
    reclassify: bool
    facts: Mapping[str, Any]


class CaseStore(CaseBase, Protocol):
    """The writing side: everything stays pending until :meth:`publish`."""

    def writing(self, command: str) -> AbstractContextManager[int]:
        """Hold the store for writing and record a run; gives the run's number. Raises ``Locked``."""
        ...

    def source(self, root: Path) -> int:
        """The number under which a root's images are known; a new root gets the next one."""
        ...

    def source_number(self, root: Path) -> int:
        """The number a root has, or would get; nothing is written."""
        ...

    def held_out(self) -> int:
        """Number of held-out images."""
        ...

    def labels(self) -> Mapping[str, int]:
        """Active cases by *label*."""
        ...

    def declare(self, space: str, fingerprint: Fingerprint, facts: Mapping[str, Any]) -> None:
        """Announce a space; raises ``FingerprintMismatch`` where it exists under another fingerprint."""
        ...

    def known(self, ids: Sequence[str]) -> Mapping[str, Known]:
        """What is stored of these images, pending versions before older ones; withdrawn ones are not known."""
        ...

    def ids_of(self, source: int) -> Iterator[str]:
        """Ids of a source's images that are not withdrawn."""
        ...

    def retain(self, run: int, entries: Sequence[Entry]) -> None:
        """Store images as pending, in one transaction; a known image with the same bytes only gains vectors."""
        ...

    def stored(self, space: str) -> Iterator[Stored]:
        """All images that are not withdrawn, in blocks, in order of their rows."""
        ...

    def publish(self, run: int, changes: Changes) -> bool:
        """Make everything pending visible in one transaction and rebuild the indexes; False if nothing changed."""
        ...

    def prototypes(self, profile: str | None = None) -> PrototypeSet | None:
        """The set of a profile; where none is named ``signed``, else ``classic``; None where there is none."""
        ...

    def prototype_profiles(self) -> Sequence[str]:
        """Profiles that have a set, the one first that answers where none is named."""
        ...

    def keep_prototypes(self, found: PrototypeSet) -> None:
        """Put a set in the place of its profile's one, whole or not at all.

        Raises ``FingerprintMismatch`` where it explains another network than the one whose predictions are stored,
        and ``Locked``.
        """
        ...

    def association(self) -> Association | None:
        """The base's class association embedding; None where there is none."""
        ...

    def keep_association(self, found: Association, codes: Mapping[str, Vector], fingerprint: Fingerprint) -> None:
        """Put an embedding in the place of the one before, with the class code ``(code,)`` of every image.

        ``codes`` are by the name of an image's pixels, which is what a code was made of; ``fingerprint`` is that of the
        space ``cae``. All at once: the space can be asked afterwards, and never holds codes of two trainings. Raises
        ``FingerprintMismatch`` where it explains another network than the one whose predictions are stored, ``Moved``
        where an image has no code, ``UsageError`` for a code without a direction, and ``Locked``.
        """
        ...

    def skip(self, run: int, refused: Mapping[str, str]) -> None:
        """Record files that could not be used, with their reasons."""
        ...

    def finish(self, run: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended."""
        ...


class PrototypeView(Protocol):
    """A set of prototypes on the network they explain."""

    @property
    def found(self) -> PrototypeSet: ...
    @property
    def shares_maps(self) -> bool:
        """Whether the explained network's own maps of places are those the prototypes are compared with."""
        ...

    def maps(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The maps of places ``(N, C, h, w)`` of ``(N, H, W, 3) uint8`` views, from one forward pass."""
        ...

    def from_maps(self, maps: NDArray[np.float32]) -> Sequence[Activation]:
        """What the prototypes say of maps of places that are at hand, one activation per image."""
        ...

    def read(self, views: NDArray[np.uint8]) -> Sequence[Activation]:
        """What the prototypes say of views: :meth:`maps`, then :meth:`from_maps`."""
        ...

    def earlier(self, maps: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        """Class scores ``(N, K)`` as the set stood after earlier stages of its training, by the stages' names."""
        ...


class AssociationView(Protocol):
    """A class association embedding beside the network it explains, which judges every image it makes."""

    @property
    def found(self) -> Association: ...
    @property
    def classes(self) -> Sequence[str]:
        """The explained network's classes, in the order of what :meth:`judge` says; not all need take part."""
        ...

    @property
    def nodes(self) -> Nodes:
        """The codes a walk may go along."""
        ...

    def encode(self, views: NDArray[np.uint8]) -> Codes:
        """Both codes of ``(N, H, W, 3) uint8`` views of the network."""
        ...

    def codes(self, views: NDArray[np.uint8]) -> Matrix:
        """Class codes ``(N, code) float32`` alone."""
        ...

    def decode(self, of_class: Matrix, individual: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Synthetic images ``(N, S, S, 3) uint8``; one individual code ``(1, ...)`` serves all class codes."""
        ...

    def judge(self, images: NDArray[np.uint8]) -> Matrix:
        """What the explained network says ``(N, C)`` of images ``(N, S, S, 3)``, enlarged to its view; or of views."""
        ...

    def reduced(self, views: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Views as the encoders are fed: ``(N, S, S, 3) uint8``."""
        ...


class ImageSource(Protocol):
    """Images in a fixed order."""

    @property
    def root(self) -> Path: ...
    def __iter__(self) -> Iterator[SourceImage]: ...
    def __len__(self) -> int: ...
