"""Files that can be read and are of an unusual kind: converted on the way in, which somebody may regret."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from casebase.data_audit import Seen
from casebase.file_facts import FileFacts

TINY = 32
"""A shorter side below this many pixels."""
LONG = 4.0
"""A side so many times the other: a centre crop shows little of such a picture."""
KINDS: Mapping[str, Callable[[FileFacts, str], bool]] = {
    "more than 8 bits a channel": lambda facts, path: facts.mode.startswith(("I", "F")),
    "CMYK colours": lambda facts, path: facts.mode == "CMYK",
    "palette colours": lambda facts, path: facts.mode == "P",
    "transparency": lambda facts, path: facts.mode in ("LA", "PA", "La", "RGBA", "RGBa"),
    "grey": lambda facts, path: facts.mode in ("L", "1"),
    "animated, the first frame counts": lambda facts, path: facts.animated,
    "turned by EXIF": lambda facts, path: facts.orientation != 1,
    f"a side below {TINY} pixels": lambda facts, path: min(facts.width, facts.height) < TINY,
    f"one side more than {LONG:g} times the other": lambda facts, path: facts.lengthiness > LONG,
    "a suffix of another format": lambda facts, path: facts.wrongly_named(path),
}
USUAL = 0.9
"""What more than this share of all images are is no oddity: a set of grey pictures, a set of small ones."""


def odd_files(seen: Sequence[Seen]) -> dict[str, list[str]]:
    """Paths by what is odd about them; kinds that nothing is of, or nearly everything, are left out."""
    known = [(one.facts, one.relative) for one in seen if one.facts is not None and one.refused is None]
    found = {kind: [path for facts, path in known if odd(facts, path)] for kind, odd in KINDS.items()}
    return {kind: paths for kind, paths in found.items() if paths and len(paths) <= USUAL * len(known)}
