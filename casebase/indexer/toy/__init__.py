"""Draw a seeded set of synthetic birds whose parts are known.

The idea follows FunnyBirds (R. Hesse, S. Schaub-Meyer, S. Roth, 2023: "FunnyBirds: A Synthetic Vision Dataset for a
Part-Based Analysis of Explainable AI Methods", https://arxiv.org/abs/2308.06248): a class is nothing but a choice of
parts, so one knows which pixels decide it. Here four species come in two pairs of twins; twins share every part but
one, the deciding part. Pose, size, side, tint, light and scenery vary and say nothing about the class, unless
`shortcut` is asked for: then each species keeps to its own scenery.

Nothing that a species decides draws a random number. Two species drawn from equal generators therefore show the same
bird in the same place and differ in their parts only.

    draw        one picture with its part masks
    write_set   a folder of pictures, `train/`, `val/` and `test/`, with index masks beside them

A second set has two classes and one piece of evidence, a bright spot on a body or none: `draw_lesion` draws one,
`write_lesions` a folder of them.
"""

from casebase.indexer.toy.bird import draw
from casebase.indexer.toy.birdset import write_set
from casebase.indexer.toy.lesions import draw_lesion, write_lesions
from casebase.indexer.toy.set_folder import NOTICE
from casebase.indexer.toy.species import PARTS, SPECIES, Drawing, Species

__all__ = [
    "NOTICE",
    "PARTS",
    "SPECIES",
    "Drawing",
    "Species",
    "draw",
    "draw_lesion",
    "write_lesions",
    "write_set",
]
