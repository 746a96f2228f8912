"""Storage: SQLite (the truth), an exact matrix and a Chroma index (both derived) behind the ``CaseBase`` port.

``schema``, ``migrations``, ``database`` make and open ``cases.db`` · ``rows`` reads it · ``joined`` is the reading side
of the port, ``writing`` and ``publishing`` its writing side · ``matrix``, ``yardstick``,
``evidence_file``, ``chroma``, ``derived`` are what can be rebuilt · ``memory`` is the same port by brute force: the oracle · ``verify``, ``lock``, ``files``,
``pictures``, ``translate`` keep it whole.
"""

from casebase.storage.opening import make_store, open_store
from casebase.storage.stats import Stats, stats
from casebase.storage.verify import Finding, Findings, plan, repair, verify

__all__ = ["Finding", "Findings", "Stats", "make_store", "open_store", "plan", "repair", "stats", "verify"]
