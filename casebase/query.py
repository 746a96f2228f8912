"""The service behind ``casebase query``: pictures in, retrievals out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from casebase import clock
from casebase.answers import Asked, ListSource, Neighbour, Prediction, Retrieval, Role, Search
from casebase.cases import Case, Status
from casebase.caveats import caveats
from casebase.distance import check_query, cosine, weighted_cosine
from casebase.errors import (
    EmptyCaseBase,
    FingerprintMismatch,
    Moved,
    UnknownClass,
    UsageError,
)
from casebase.ports import Ball, CaseBase, Classifier, Embedder, Vector, Where
from casebase.reading import Picture, printable
from casebase.retrieve import Answer, Question, Themselves
from casebase.reuse import support
from casebase.rivals import choose_rivals
from casebase.spaces import CAE_SPACE, CONTRIBUTION, NETWORK_SPACE, absent, stored_space
from casebase.weighing import calibrated, panel, usual, weighed

TRIES = 3
"""A question is put this often while somebody publishes again and again."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted: rows per list, the space to compare in, a rival by name, and whether neighbours re-rank.

    ``label`` is what the image is, where that is known; it is then asked about as a rival, however improbable.
    """

    k: int = 5
    space: str = NETWORK_SPACE
    rival: str | None = None
    rerank: bool = False
    label: str | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k must be at least 1, not {self.k}")


@dataclass(frozen=True, eq=False)
class Remembered:
    """A stored image that is asked about again: what it is known by, and what the network made of it then.

    ``vector (D,) float32`` is its embedding in the space that is asked, ``probabilities (C,) float32`` in the order of
    the classes. Its pixels are not needed, so its file may be gone.
    """

    case: Case
    sha256: str
    vector: Vector
    probabilities: Vector

    @property
    def pixel_hash(self) -> str:
        """As of :class:`~casebase.reading.Picture`."""
        return self.case.pixel_hash

    @property
    def look_hash(self) -> int:
        """As of :class:`~casebase.reading.Picture`."""
        return self.case.look_hash


@dataclass(frozen=True, eq=False)
class Networks:
    """The explained network's embedder and classes, and the embedders of other spaces.

    ``cautions`` say of a space what whoever asks in it has to know first.
    """

    explained: Embedder
    classifier: Classifier
    others: Mapping[str, Embedder]
    cautions: Mapping[str, str] = field(default_factory=dict)

    def embedder(self, space: str) -> Embedder:
        """The embedder whose vectors a space holds; ``contribution`` weighs those of ``avgpool``."""
        if space in (NETWORK_SPACE, CONTRIBUTION):
            return self.explained
        return self.others[space]

    @property
    def spaces(self) -> list[str]:
        """The spaces these networks can read."""
        return [NETWORK_SPACE, *self.others]


def ask(
    pictures: Sequence[tuple[str, Picture]], wanted: Ask, networks: Networks, case_base: CaseBase
) -> list[Retrieval]:
    """Answer every ``(name, picture)``; forward passes are batched, each answer stands alone.

    Raises ``EmptyCaseBase``, ``FingerprintMismatch`` (the network is not the one that made the vectors),
    ``UnknownClass`` and ``NoUnlike`` (the named rival), ``UsageError`` (an unknown space).
    """
    check(wanted, networks, case_base)
    started = clock.seconds()
    probabilities, vectors = _read([picture for _, picture in pictures], wanted.space, networks)
    embed = (clock.seconds() - started) / max(1, len(pictures))
    classes = list(networks.classifier.classes)
    answers = []
    for (name, picture), row, vector in zip(pictures, probabilities, vectors, strict=True):
        prediction = Prediction(dict(zip(classes, row.tolist(), strict=True)))
        answers.append(_steady(name, picture, prediction, vector, wanted, networks, case_base, embed))
    return answers


def ask_again(
    images: Iterable[Remembered], wanted: Ask, networks: Networks, case_base: CaseBase
) -> Iterator[Retrieval]:
    """Answer stored images from what is stored of them, without a forward pass; their label is one of the rivals.

    The image itself, its copies and its group never answer, as for any query. Raises as :func:`ask`.
    """
    check(wanted, networks, case_base)
    classes = list(networks.classifier.classes)
    for image in images:
        said = Prediction(dict(zip(classes, image.probabilities.tolist(), strict=True)))
        own = replace(wanted, label=image.case.label)
        yield _steady(image.case.path, image, said, image.vector, own, networks, case_base, 0.0)


def _steady(
    name: str,
    picture: Picture | Remembered,
    prediction: Prediction,
    vector: Vector,
    wanted: Ask,
    networks: Networks,
    case_base: CaseBase,
    embed_seconds: float,
) -> Retrieval:
    """One answer from one generation; where a writer publishes in between, the question is put again."""
    for _ in range(TRIES - 1):
        try:
            return _retrieve(name, picture, prediction, vector, wanted, networks, case_base.snapshot(), embed_seconds)
        except Moved:
            check(wanted, networks, case_base)
    return _retrieve(name, picture, prediction, vector, wanted, networks, case_base.snapshot(), embed_seconds)


def check(wanted: Ask, networks: Networks, case_base: CaseBase) -> None:
    """Whether the question can be put at all; raises as :func:`ask` does."""
    if case_base.count() == 0:
        raise EmptyCaseBase("this case base holds no case yet; run `casebase index DATA`")
    spaces = case_base.spaces()
    base_space = stored_space(wanted.space)
    if base_space not in spaces:
        more = "" if base_space == CAE_SPACE else "; `casebase index --space` adds one"
        raise UsageError(absent(wanted.space, [*spaces, CONTRIBUTION]) + more)
    for space in {base_space, NETWORK_SPACE} & set(spaces):
        asked = networks.embedder(space).fingerprint
        if asked != spaces[space]:
            raise FingerprintMismatch(
                f"the space {space!r} was made otherwise than this query would be "
                f"({'; '.join(spaces[space].differences(asked))}); query with the network of the index, or index anew"
            )
    if wanted.space == CONTRIBUTION and networks.classifier.class_weights(networks.classifier.classes[0]) is None:
        raise UsageError("the space 'contribution' needs a network whose head is one linear layer; use --space avgpool")
    if wanted.rerank and wanted.space == CONTRIBUTION:
        raise UsageError(
            "contribution tilts toward the predicted class, so it cannot weigh classes; use --space avgpool"
        )
    if wanted.rival is not None and wanted.rival not in networks.classifier.classes:
        near = ", ".join(list(networks.classifier.classes)[:8])
        raise UnknownClass(
            f"no class {printable(wanted.rival)!r}; this network knows {near}"
            f"{', …' if len(networks.classifier.classes) > 8 else ''}"
        )


def _read(pictures: Sequence[Picture], space: str, networks: Networks) -> tuple[np.ndarray, np.ndarray]:
    explained = networks.explained
    other = None if space in (NETWORK_SPACE, CONTRIBUTION) else networks.embedder(space)
    probabilities, vectors = [], []
    for start in range(0, len(pictures), explained.batch_size):
        batch = pictures[start : start + explained.batch_size]
        reading = explained.read(np.stack([explained.preprocess.pixels(p.image) for p in batch]))
        if reading.probabilities is None:
            raise EmptyCaseBase("this case base has no classifier yet; finish `casebase index DATA` first")
        probabilities.append(reading.probabilities)
        if other is not None:
            reading = other.read(np.stack([other.preprocess.pixels(p.image) for p in batch]))
        vectors.append(reading.features)
    return np.concatenate(probabilities), np.concatenate(vectors)


def _retrieve(
    name: str,
    picture: Picture | Remembered,
    prediction: Prediction,
    vector: Vector,
    wanted: Ask,
    networks: Networks,
    case_base: CaseBase,
    embed_seconds: float,
) -> Retrieval:
    started = clock.seconds()
    copies = case_base.known_pixels(picture.pixel_hash)
    groups = frozenset(case.group for case in copies if case.group is not None)
    themselves = Themselves(picture.pixel_hash, picture.look_hash, groups)
    reranked = weighed(prediction, vector, wanted.space, case_base, themselves) if wanted.rerank else None
    called = prediction.predicted if reranked is None else reranked.predicted
    weighted = wanted.space == CONTRIBUTION
    weights = networks.classifier.class_weights(called) if weighted else None
    if weights is not None and not weights.any():
        raise UsageError(f"the head has no weights for {printable(called)!r} to weigh by; use --space avgpool")
    question = Question(case_base, wanted.space, vector, wanted.k, themselves, weights)
    classes = case_base.classes()

    nearest = question.list(Role.NEAREST)
    twins = question.list(Role.TWIN, where=Where((called,)))
    others = tuple(c for c in classes if c != called)
    overall = question.list(Role.COUNTERFACTUAL, where=Where(others)) if others else None
    nun = overall.rows[0] if overall and overall.rows else None
    nearest_unlike = None if nun is None else nun.case.predicted
    rivals = choose_rivals(prediction, nearest_unlike, wanted.rival, classes, label=wanted.label, called=called)
    unlike = [question.list(Role.COUNTERFACTUAL, where=Where((r.name,))) for r in rivals if r.available]
    semi: Answer | None = None
    if nun is not None and twins.rows:
        centre = case_base.vectors(wanted.space, [nun.case.id])[0]
        from_nun = Question(case_base, wanted.space, centre, wanted.k, themselves, weights)
        semi = from_nun.list(Role.SEMI_FACTUAL, where=Where((called,)), within=Ball(vector, nun.distance))
        semi = replace(semi, rows=_seen_from(question, semi.rows))

    plain = Question(case_base, NETWORK_SPACE, vector, wanted.k, themselves).list(Role.NEAREST) if weighted else nearest
    twin = twins.rows[0].distance if twins.rows else None
    gate = usual(called, twin, wanted.space, case_base, themselves)
    trust = support(prediction, plain.rows, twin, None if nun is None else nun.distance, gate, called)
    first = [networks.cautions[wanted.space]] if wanted.space in networks.cautions else []
    trust = calibrated(trust, wanted.space, case_base, themselves, reranked)
    sources = {"nearest": nearest.source, "twins": twins.source, "counterfactuals": _worst(unlike)}
    return Retrieval(
        query=replace(_asked(name, picture, copies), label=wanted.label),
        prediction=prediction,
        nearest=nearest.rows,
        twins=twins.rows,
        counterfactuals=_merge(unlike),
        semi_factuals=() if semi is None else semi.rows,
        rivals=rivals,
        trust=trust,
        search=Search(wanted.space, "cosine", sum(classes.values()), sources),
        fingerprint=networks.classifier.fingerprint,
        k=wanted.k,
        warnings=(
            *first,
            *caveats(wanted.k, wanted.space, called, nearest, twins, unlike, rivals, copies, classes, semi),
        ),
        panel=panel(question, prediction, called, classes, twins, rivals, unlike),
        reranked=reranked,
        seconds=_spent(embed_seconds, clock.seconds() - started),
    )


def _asked(name: str, picture: Picture | Remembered, copies: Sequence[Case]) -> Asked:
    """Who the query is; a case with its pixels is worse news than a held-out image with them."""
    if not copies:
        return Asked(name, picture.sha256, None)
    known = min(copies, key=lambda case: (case.status != Status.ACTIVE, case.id))
    return Asked(name, picture.sha256, known.id, known.status == Status.HELD_OUT)


def _spent(embed: float, search: float) -> dict[str, float]:
    """Seconds of the parts; explaining, if it is asked for, adds its own."""
    return {"embed": embed, "search": search, "explain": 0.0, "total": embed + search}


def _seen_from(question: Question, rows: Sequence[Neighbour]) -> tuple[Neighbour, ...]:
    """Rows that were ordered by their distance to the nearest unlike case, with their distance to the query."""
    if not rows:
        return ()
    base, space = question.case_base, question.space
    vectors = base.vectors(space, [row.case.id for row in rows])
    query = check_query(question.vector, vectors.shape[1])
    weights = question.weights
    apart = cosine(vectors, query) if weights is None else weighted_cosine(vectors, query, weights)
    return tuple(
        replace(row, distance=d, percentile=base.percentile(space, row.case.predicted, 1.0 - d))
        for row, d in zip(rows, apart.tolist(), strict=True)
    )


def _merge(answers: Sequence[Answer]) -> tuple[Neighbour, ...]:
    rows = sorted((row for a in answers for row in a.rows), key=lambda row: (row.distance, row.case.id))
    return tuple(replace(row, rank=rank) for rank, row in enumerate(rows, start=1))


def _worst(answers: Sequence[Answer]) -> ListSource:
    return min((a.source for a in answers), key=lambda s: s.recall, default=ListSource("exact", 1.0))
