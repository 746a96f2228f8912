"""What can go wrong, as one tree.

::

    CasebaseError
    ├─ UsageError               the request itself
    │  ├─ SettingsError         a value in casebase.toml or the environment
    │  ├─ UnknownBackbone       no network of that name
    │  ├─ UnknownClass          no class of that name
    │  └─ MissingExtra          an optional library is not installed
    ├─ DataError                the images to be indexed: no folder, no image, no usable manifest
    ├─ ImageError               one picture: unreadable, empty, too small, too large
    ├─ ModelError
    │  ├─ NoTargetLayer         no spatial feature map to explain
    │  ├─ Diverged              a loss or a weight stopped being a finite number
    │  ├─ GateFailed            what was trained explains nothing, and is not handed over
    │  ├─ CheckpointRefused     weights that do not fit, or a file that is more than weights
    │  └─ WeightsMissing        a file that is not there, or a download without a network
    ├─ CaseBaseError
    │  ├─ NotFound              no case of that id
    │  ├─ EmptyCaseBase         nothing was indexed yet
    │  ├─ FingerprintMismatch   made by another network or preprocessing
    │  ├─ MigrationNeeded       made by another version of casebase
    │  ├─ StorageFailed         disk full, read-only, corrupt
    │  ├─ Moved                 changed while it was asked: put the question again
    │  ├─ Locked                another process is writing
    │  └─ NoCaseBase            nothing at this path
    └─ NoNeighbour              a class was named and has no case
       ├─ NoLike
       └─ NoUnlike

A message says what was wanted, what was given and what to do next, in one sentence. The exit code of each
class stands in ``casebase/cli/exits.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casebase.association import Association


class CasebaseError(Exception):
    """The root: everything casebase raises on purpose."""


class UsageError(CasebaseError):
    """The request cannot be carried out as it was put."""


class SettingsError(UsageError):
    """A setting has a value that makes no sense."""


class UnknownBackbone(UsageError):
    """No network of that name is known."""


class UnknownClass(UsageError):
    """No class of that name exists here."""


class MissingExtra(UsageError):
    """An optional library is needed and not installed."""


class DataError(CasebaseError):
    """The images to be indexed cannot be listed."""


class ImageError(CasebaseError):
    """One picture cannot be used."""


class ModelError(CasebaseError):
    """A network cannot be used."""


class NoTargetLayer(ModelError):
    """The network has no spatial feature map where one is needed."""


class Diverged(ModelError):
    """In training, a loss or a weight stopped being a finite number."""


class GateFailed(ModelError):
    """What was trained did not hold what is asked of it, and explains nothing.

    ``stages`` are the log until then; ``found`` is what was trained, where there is something to look at.
    """

    def __init__(self, message: str, stages: Sequence[Any] = (), found: Association | None = None) -> None:
        super().__init__(message)
        self.stages, self.found = stages, found


class CheckpointRefused(ModelError):
    """Weights that do not fit, or a file that holds more than weights."""


class WeightsMissing(ModelError):
    """Weights that are neither on disk nor to be had."""


class CaseBaseError(CasebaseError):
    """The case base cannot do what was asked."""


class NotFound(CaseBaseError):
    """No case of that id."""


class EmptyCaseBase(CaseBaseError):
    """The case base holds no case."""


class FingerprintMismatch(CaseBaseError):
    """Vectors or predictions of another network or preprocessing."""


class MigrationNeeded(CaseBaseError):
    """The store was written by another version of casebase."""


class StorageFailed(CaseBaseError):
    """The disk, or what lies on it, failed."""


class Moved(CaseBaseError):
    """The case base was changed while it was asked."""


class Locked(CaseBaseError):
    """Another process is writing to this case base."""


class NoCaseBase(CaseBaseError):
    """There is no case base at this path."""


class NoNeighbour(CasebaseError):
    """One named list was asked for and there is no such case."""


class NoLike(NoNeighbour):
    """No case of the predicted class."""


class NoUnlike(NoNeighbour):
    """No case of the named rival class."""
