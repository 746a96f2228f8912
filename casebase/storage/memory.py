"""The case base in memory, by brute force: the oracle of every other adapter, for tests and small sets.

Nothing here is clever: every search compares the query with every case in float64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from casebase.answers import Comparable
from casebase.association import Association
from casebase.cases import Case, Fingerprint, Status
from casebase.distance import Matrix, Vector, check_query, cosine, unit, weighted_cosine
from casebase.errors import FingerprintMismatch, Moved, NotFound, UsageError
from casebase.evidence import EvidenceTable, Relatives, Remembered, measure
from casebase.ports import Ball, Changes, Entry, Examined, Found, Known, Stored, Where
from casebase.prototypes import PROFILES, PrototypeSet
from casebase.retrieve import ordered
from casebase.spaces import CAE_SPACE, NETWORK_SPACE, absent, stored_space


class MemoryCaseStore:
    """The ``CaseStore`` port over dictionaries."""

    def __init__(self) -> None:
        self._live: dict[str, Entry] = {}
        self._pending: dict[str, Entry] = {}
        self._gone: dict[str, Entry] = {}
        self._said: dict[str, Vector] = {}
        self._declared: dict[str, Fingerprint] = {}
        self._ready: set[str] = set()
        self._roots: list[Path] = []
        self._classes: list[str] = []
        self._classifier: str | None = None
        self._prototypes: dict[str, PrototypeSet] = {}
        self._association: Association | None = None
        self._runs: dict[int, Mapping[str, Any]] = {}
        self.skipped: dict[str, str] = {}

    # -- writing -------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, command: str) -> Iterator[int]:
        """A run's number; memory has no second writer."""
        number = len(self._runs) + 1
        self._runs[number] = {"command": command}
        yield number

    def source(self, root: Path) -> int:
        """The number of a root."""
        if root not in self._roots:
            self._roots.append(root)
        return self._roots.index(root) + 1

    def source_number(self, root: Path) -> int:
        """The number a root has or would get."""
        return self._roots.index(root) + 1 if root in self._roots else len(self._roots) + 1

    def held_out(self) -> int:
        """Number of held-out images."""
        return sum(entry.held_out for entry in self._live.values())

    def labels(self) -> Mapping[str, int]:
        """Active cases by label."""
        return dict(sorted(Counter(self._live[name].image.label for name in self._active()).items()))

    def declare(self, space: str, fingerprint: Fingerprint, facts: Mapping[str, Any]) -> None:
        """Announce a space."""
        if self._declared.setdefault(space, fingerprint) != fingerprint:
            raise FingerprintMismatch(f"the space {space!r} exists under another fingerprint")

    def known(self, ids: Sequence[str]) -> Mapping[str, Known]:
        """What is stored, pending versions first."""
        found = {}
        for name in ids:
            entry = self._pending.get(name) or self._live.get(name)
            if entry is not None:
                found[name] = Known(
                    entry.file_size, entry.file_mtime, entry.sha256, entry.image.label, entry.image.split,
                    entry.image.group, self._status(name), frozenset(entry.vectors), entry.held_out,
                )  # fmt: skip
        return found

    def ids_of(self, source: int) -> Iterator[str]:
        """Ids of one source."""
        yield from sorted(n for n, e in {**self._live, **self._pending}.items() if e.source == source)

    def retain(self, run: int, entries: Sequence[Entry]) -> None:
        """Keep a batch as pending; the same bytes only gain vectors."""
        checked = [(entry, {space: unit(v[None])[0][0] for space, v in entry.vectors.items()}) for entry in entries]
        for entry, _ in checked:
            waiting = self._pending.get(entry.image.id)
            if waiting is not None and waiting.sha256 != entry.sha256:
                del self._pending[entry.image.id]  # no longer what is on the disk
            place = next(
                (
                    p
                    for p in (self._pending, self._live)
                    if entry.image.id in p and p[entry.image.id].sha256 == entry.sha256
                ),
                None,
            )
            if place is None:
                self._pending[entry.image.id] = entry
            else:
                old = place[entry.image.id]
                place[entry.image.id] = replace(old, vectors={**old.vectors, **entry.vectors})

    def stored(self, space: str) -> Iterator[Stored]:
        """Everything that will be visible, in one block."""
        entries = [e for _, e in sorted({**self._live, **self._pending}.items()) if space in e.vectors]
        if entries:
            yield Stored(
                np.arange(len(entries)),
                [e.image.label for e in entries],
                [e.image.group for e in entries],
                np.array([e.held_out for e in entries]),
                np.stack([e.vectors[space] for e in entries]),
            )

    def publish(self, run: int, changes: Changes) -> bool:
        """Make everything pending visible."""
        moved = bool(self._pending or changes.withdrawn)
        for name, new in changes.relabelled.items():
            for place in (self._live, self._pending):
                if name in place:
                    old = place[name]
                    image = replace(old.image, label=new.label, split=new.split, group=new.group)
                    moved |= (old.image, old.held_out) != (image, new.held_out)
                    place[name] = replace(
                        old, image=image, held_out=new.held_out, file_size=new.file_size, file_mtime=new.file_mtime
                    )
        self._classes = list(changes.facts["classes"])
        self._classifier = changes.facts["fingerprint"]
        replaced = set(self._pending)
        self._live |= self._pending
        self._pending = {}
        for name, entry in self._live.items():
            if name in replaced:
                self._said.pop(name, None)
                if entry.probabilities is not None:
                    self._said[name] = entry.probabilities
            if changes.classify is not None and (changes.reclassify or name not in self._said):
                self._said[name] = changes.classify(entry.vectors[NETWORK_SPACE][None])[0]
                moved |= changes.reclassify
        for name in changes.withdrawn:
            if name in self._live:
                self._gone[name] = self._live.pop(name)
        return moved | self._set_ready()

    def _set_ready(self) -> bool:
        """Which spaces can be asked; True where that changed."""
        ready = {s for s in self._declared if all(s in entry.vectors for entry in self._live.values())}
        if self._association is not None and self._association.classifier != self._classifier:
            ready.discard(CAE_SPACE)
        changed, self._ready = ready != self._ready, ready
        return changed

    def skip(self, run: int, refused: Mapping[str, str]) -> None:
        """Record skipped files."""
        self.skipped |= refused

    def finish(self, run: int, summary: Mapping[str, Any]) -> None:
        """Record how a run ended."""
        self._runs[run] = {**self._runs[run], "summary": dict(summary)}

    def keep_prototypes(self, found: PrototypeSet) -> None:
        """Keep a set."""
        if found.classifier != self._classifier:
            raise FingerprintMismatch(f"prototypes of {found.classifier}, and the network is {self._classifier}")
        self._prototypes[found.profile] = found

    def keep_association(self, found: Association, codes: Mapping[str, Vector], fingerprint: Fingerprint) -> None:
        """Keep an embedding and its codes."""
        if found.classifier != self._classifier:
            raise FingerprintMismatch(f"an embedding of {found.classifier}, and the network is {self._classifier}")
        lacking = [name for name, entry in self._live.items() if entry.pixel_hash not in codes]
        if lacking:
            raise Moved(f"{len(lacking)} images have no class code")
        checked = {name: unit(codes[entry.pixel_hash][None]) for name, entry in self._live.items()}
        for place in (self._live, self._pending):
            for name, entry in place.items():
                kept = {space: v for space, v in entry.vectors.items() if space != CAE_SPACE}
                own = {CAE_SPACE: codes[entry.pixel_hash]} if place is self._live and name in checked else {}
                place[name] = replace(entry, vectors={**kept, **own})
        self._association = found
        self._declared[CAE_SPACE] = fingerprint
        self._set_ready()

    def snapshot(self) -> MemoryCaseStore:
        """Memory is asked by one thread, so it stands still by itself."""
        return self

    # -- reading -------------------------------------------------------------------------------------------------

    def prototypes(self, profile: str | None = None) -> PrototypeSet | None:
        """The set of a profile."""
        return self._prototypes.get(profile or next(iter(self.prototype_profiles()), ""))

    def prototype_profiles(self) -> list[str]:
        """Profiles that have a set."""
        return [name for name in PROFILES if name in self._prototypes]

    def association(self) -> Association | None:
        """The class association embedding."""
        return self._association

    def spaces(self) -> Mapping[str, Fingerprint]:
        """Spaces that can be asked."""
        return {name: self._declared[name] for name in sorted(self._ready)}

    def classes(self) -> Mapping[str, int]:
        """Active cases by predicted class."""
        found: dict[str, int] = {}
        for name in self._active():
            called = self._case(name).predicted
            found[called] = found.get(called, 0) + 1
        return dict(sorted(found.items()))

    def count(self) -> int:
        """Number of active cases."""
        return len(self._active())

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
        """Compare with every case."""
        held = stored_space(space)
        if held not in self._ready:
            raise UsageError(absent(space, self.spaces()))
        names = [n for n in self._active() if where.predicted is None or self._case(n).predicted in where.predicted]
        if not names:
            return Found((), "exact", 1.0)
        rows = self.vectors(space, names)
        query = check_query(vector, rows.shape[1])
        distances = cosine(rows, query) if weights is None else weighted_cosine(rows, query, weights)
        if within is not None:
            to_centre = (
                cosine(rows, within.centre) if weights is None else weighted_cosine(rows, within.centre, weights)
            )
            keep = to_centre < within.radius
            names = [n for n, inside in zip(names, keep, strict=True) if inside]
            distances = distances[keep]
        return Found(tuple(ordered([self._case(n) for n in names], distances, k)), "exact", 1.0)

    def get(self, ids: Sequence[str]) -> Mapping[str, Case]:
        """Cases by id."""
        return {n: self._case(n) for n in ids if n in self._live or n in self._pending or n in self._gone}

    def vectors(self, space: str, ids: Sequence[str]) -> Matrix:
        """Unit vectors of active cases."""
        held = stored_space(space)
        active = set(self._active())
        for name in ids:
            if name not in active:
                raise NotFound(f"no active case {name!r}")
        return unit(np.stack([self._live[n].vectors[held] for n in ids]))[0]

    def known_pixels(self, pixel_hash: str) -> Sequence[Case]:
        """Cases with exactly these pixels."""
        return [self._case(n) for n in sorted(self._live) if self._live[n].pixel_hash == pixel_hash]

    def percentile(self, space: str, predicted: str, similarity: float) -> float | None:
        """Memory keeps no yardstick."""
        return None

    def comparable(self, space: str, predicted: str, distance: float) -> Comparable | None:
        """Memory keeps no yardstick."""
        return None

    def evidence(self, space: str) -> EvidenceTable | None:
        """Measured anew at every call."""
        names = self._active()
        if space not in self._ready or not names:
            return None
        called = sorted(names, key=lambda name: (self._case(name).predicted, name))
        found = [self._case(name) for name in called]
        starts = {name: [c.predicted for c in found].index(name) for name in self.classes()}
        slices = {name: slice(starts[name], starts[name] + n) for name, n in self.classes().items()}
        relatives = Relatives([c.pixel_hash for c in found], [c.group for c in found])
        held = list(self.examined(space, Status.HELD_OUT))
        return measure(Remembered(self.vectors(space, called), slices, relatives), held, self._classes)

    def class_names(self) -> Sequence[str]:
        """The explained network's classes."""
        return self._classes

    def parts(self) -> Mapping[tuple[Status, str | None], int]:
        """Number of active cases and of held-out images, by status and split."""
        seen = Counter((self._status(name), entry.image.split) for name, entry in self._visible())
        return {part: seen[part] for part in sorted(seen, key=lambda part: (part[0], part[1] or ""))}

    def examined(self, space: str, status: Status, *, split: str | None = None) -> Iterator[Examined]:
        """Everything in one block, in order of ids."""
        held = stored_space(space)
        if held not in self._ready:
            raise UsageError(absent(space, self.spaces()))
        chosen = [
            (name, entry)
            for name, entry in self._visible()
            if self._status(name) == status and split in (None, entry.image.split)
        ]
        if chosen:
            yield Examined(
                [self._case(name) for name, _ in chosen],
                np.stack([np.asarray(entry.vectors[held], np.float32) for _, entry in chosen]),
                np.stack([np.asarray(self._said[name], np.float32) for name, _ in chosen]),
            )

    def _visible(self) -> list[tuple[str, Entry]]:
        return [(n, e) for n, e in sorted(self._live.items()) if n not in self._pending and n in self._said]

    def _active(self) -> list[str]:
        return [name for name, entry in sorted(self._live.items()) if not entry.held_out]

    def _status(self, name: str) -> Status:
        if name in self._pending:
            return Status.PENDING
        if name in self._live:
            return Status.HELD_OUT if self._live[name].held_out else Status.ACTIVE
        return Status.WITHDRAWN

    def _case(self, name: str) -> Case:
        entry = self._live.get(name) or self._pending.get(name) or self._gone[name]
        said = self._said.get(name)
        best = -1 if said is None else int(said.argmax())
        image = entry.image
        return Case(
            image.id, image.relative, image.path, image.label, self._classes[best] if said is not None else "",
            float(said[best]) if said is not None else 0.0, image.split, image.group, entry.pixel_hash,
            entry.look_hash, self._status(name),
        )  # fmt: skip
