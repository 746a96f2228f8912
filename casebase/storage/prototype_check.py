"""Whether stored prototypes still stand: their network, the file of their vectors, and the cases they show."""

from __future__ import annotations

from casebase.cases import Case, Status
from casebase.commands import spoken
from casebase.prototypes import Patch
from casebase.storage import files, prototype_rows
from casebase.storage.joined import SqlCaseBase


def check(base: SqlCaseBase) -> tuple[int, list[tuple[str, bool]]]:
    """How many prototypes were looked at, and what is wrong with them, each with whether it is harmless."""
    known = (base.setting("classifier") or {}).get("fingerprint")
    count = 0
    said: list[tuple[str, bool]] = []
    for profile in base.prototype_profiles():
        found = base.prototypes(profile)
        if found is None:  # another process is at it
            continue
        count += len(found.prototypes)
        again = f"run `{spoken('prototypes', 'train', '--profile', profile, base=base.folder)}`"
        if found.classifier != known:
            said.append(
                (f"the {profile} prototypes explain the network {found.classifier}, not {known}; {again}", False)
            )
        place = prototype_rows.tensor_file(base.folder, profile, found.digest)
        if not place.exists():
            said.append((f"the vectors of the {profile} prototypes are gone ({place.name}); {again}", False))
        elif files.sha256(place) != found.digest:
            said.append((f"the vectors of the {profile} prototypes are damaged ({place.name}); {again}", False))
        cases = base.get([one.patch.case_id for one in found.prototypes])
        moved = sum(not _stands(one.patch, cases.get(one.patch.case_id)) for one in found.prototypes)
        if moved:
            sentence = (
                f"{moved} of {len(found.prototypes)} {profile} prototypes show cases that are withdrawn or have other "
                f"pixels now; {again} to learn from the cases there are"
            )
            said.append((sentence, True))
    return count, said


def _stands(patch: Patch, case: Case | None) -> bool:
    return case is not None and case.status == Status.ACTIVE and case.pixel_hash == patch.pixel_hash
