"""Which other classes are worth asking "why not?"."""

from __future__ import annotations

from collections.abc import Mapping

from casebase.answers import Prediction, Rival
from casebase.errors import NoUnlike, UsageError
from casebase.reading import printable

PROBABLE = 0.01
MOST_RIVALS = 5


def choose_rivals(
    prediction: Prediction, nearest_unlike: str | None, named: str | None, classes: Mapping[str, int],
    called: str | None = None, label: str | None = None,
) -> list[Rival]:  # fmt: skip
    """The classes worth asking "why not?": named by the user, or the probable ones and the nearest one.

    Probable means a softmax of at least 1 %, five at most; the runner-up, the class of the nearest unlike case and
    the query's ``label``, where it is known, are always among them. ``classes`` counts the cases by predicted class;
    ``called`` is the class the rivals are rivals of, the predicted one unless the answer was re-ranked.
    """
    called = prediction.predicted if called is None else called
    others = [(name, p) for name, p in prediction.ranked if name != called]

    def rival(name: str, reason: str) -> Rival:
        return Rival(name, prediction.probabilities.get(name, 0.0), reason, classes.get(name, 0))

    if named is not None:
        if named == called:
            raise UsageError(f"{printable(named)!r} is the predicted class of this image; name another one as --rival")
        if not classes.get(named):
            raise NoUnlike(
                f"no case of this base is predicted {printable(named)!r}; `casebase stats` lists the classes"
            )
        return [rival(named, "named")]
    chosen = {name: "probable" for name, p in others if p >= PROBABLE}
    chosen = dict(list(chosen.items())[:MOST_RIVALS])
    if others:
        chosen.setdefault(others[0][0], "runner-up")
    if nearest_unlike is not None:
        chosen.setdefault(nearest_unlike, "nearest")
    if label is not None and label != called:
        chosen[label] = "label"
    return sorted((rival(name, reason) for name, reason in chosen.items()), key=lambda r: -r.probability)
