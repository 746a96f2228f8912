"""Indexer: from pictures to a case base. ``sources`` lists images, ``batches`` spreads the work, ``service`` does it.

``splitting`` puts images into parts and ``views`` decodes them, for training. ``toy`` draws the synthetic sets
of the demo and the tests.
"""

from casebase.indexer.progress import (
    association_lines,
    epoch_in_words,
    lines,
    losses_in_words,
    stage_lines,
    standing_in_words,
    training_lines,
)
from casebase.indexer.service import IndexSummary, Progress, dry_run, index
from casebase.indexer.sources import Source, open_source
from casebase.indexer.toy import write_lesions, write_set

__all__ = [
    "IndexSummary",
    "Progress",
    "Source",
    "association_lines",
    "dry_run",
    "epoch_in_words",
    "index",
    "lines",
    "losses_in_words",
    "open_source",
    "stage_lines",
    "standing_in_words",
    "training_lines",
    "write_lesions",
    "write_set",
]
