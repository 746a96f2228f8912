"""The explained network's head as the port ``Classifier``."""

from __future__ import annotations

from collections.abc import Sequence

from casebase.errors import UnknownClass
from casebase.ports import Matrix, Vector
from casebase.reading import printable


class ClassifierView:
    """The ``Classifier`` port over a network's head."""

    def __init__(self, classes: tuple[str, ...], fingerprint: str, weight: Matrix | None) -> None:
        self._classes, self._fingerprint, self._weight = classes, fingerprint, weight
        self._index = {name: i for i, name in enumerate(classes)}

    @property
    def classes(self) -> Sequence[str]:
        """The class names, in the order of the probabilities."""
        return self._classes

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of backbone, head, class names, preprocessing and precision."""
        return self._fingerprint

    def class_weights(self, name: str) -> Vector | None:
        """The head's row ``(D,) float32`` for a class, read-only; None where the head is not one linear layer."""
        if name not in self._index:
            raise UnknownClass(f"no class {printable(name)!r} in this network; it has {len(self._classes)} others")
        return None if self._weight is None else self._weight[self._index[name]]
