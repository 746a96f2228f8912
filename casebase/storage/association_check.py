"""Whether a stored class association embedding still stands: its network, its file of weights, the codes of images."""

from __future__ import annotations

from sqlalchemy import func, select

from casebase import hashing
from casebase.commands import spoken
from casebase.spaces import CAE_SPACE
from casebase.storage import association_rows, rows
from casebase.storage.files import sha256
from casebase.storage.joined import SqlCaseBase
from casebase.storage.schema import cases, vectors
from casebase.storage.translate import sql_errors


def check(base: SqlCaseBase) -> tuple[str | None, list[tuple[str, bool]]]:
    """The preset of what was looked at, and what is wrong with it, each with whether it is harmless."""
    found = base.association()
    if found is None:
        return None, []
    said: list[tuple[str, bool]] = []
    what = "the class association embedding"
    again = f"run `{spoken('cae', 'train', base=base.folder)}`"
    known = (base.setting("classifier") or {}).get("fingerprint")
    if found.classifier != known:
        said.append((f"{what} explains the network {found.classifier}, not {known}; {again}", False))
    place = association_rows.tensor_file(base.folder, found.digest)
    if not place.exists():
        said.append((f"the weights of {what} are gone ({place.name}); {again}", False))
    elif sha256(place) != found.digest:
        said.append((f"the weights of {what} are damaged ({place.name}); {again}", False))
    declared = base.declared(CAE_SPACE)
    if declared is None or declared.weights != found.digest[: hashing.SHORT]:
        said.append((f"the class codes in the space {CAE_SPACE!r} are not those of {what}; {again}", False))
    elif found.classifier == known and CAE_SPACE not in base.spaces():
        said += _lacking(base)
    return found.preset, said


def _lacking(base: SqlCaseBase) -> list[tuple[str, bool]]:
    """Nothing is lost where images have no code yet, but the space cannot be asked."""
    held = select(vectors.c.row).where(vectors.c.row == cases.c.row, vectors.c.space == CAE_SPACE)
    chosen = select(func.count()).select_from(cases).where(cases.c.status.in_(rows.LIVE), ~held.exists())
    with sql_errors(str(base.folder)), base.engine.connect() as connection:
        lacking = connection.execute(chosen).scalar_one()
    more = "run `casebase index` to its end, on all data"
    text = f"{lacking} images have no class code, so the space {CAE_SPACE!r} cannot be asked; {more}"
    return [(text, True)] if lacking else []
