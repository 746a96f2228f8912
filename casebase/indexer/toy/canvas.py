"""The enlarged picture on which a bird is painted, part by part."""

from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from casebase.indexer.toy.pose import Pose
from casebase.indexer.toy.shapes import Colour, Points, blend, turned
from casebase.indexer.toy.species import PARTS

_SHADOW: Final = (48, 36, 70)


class Canvas:
    """An enlarged picture and its part codes, painted shape by shape."""

    def __init__(self, backdrop: Image.Image, pose: Pose) -> None:
        self.side = backdrop.width
        self.picture = backdrop
        self.codes = Image.new("L", backdrop.size, 0)
        self._pose = pose

    def place(self, points: Points, *, head: bool = False) -> Points:
        """From the bird's own frame (facing right, about -1.3 to 1.3) to pixels of this canvas."""
        pose = self._pose
        if head:
            points = turned(points, pose.nod, (0.30, -0.38))
        points = (turned(points, pose.lean) + (0.10, 0.04)) * pose.scale
        if pose.mirrored:
            points = points * (-1.0, 1.0)
        return np.asarray((points + (0.5 + pose.x, 0.5 + pose.y)) * self.side)

    def stencil(self, *shapes: Points, inside: Image.Image | None = None, head: bool = False) -> Image.Image:
        """Unite the shapes (bird's frame) into an "L" mask of this canvas, cut to `inside`."""
        mask = Image.new("L", (self.side, self.side), 0)
        pen = ImageDraw.Draw(mask)
        for shape in shapes:
            pen.polygon([(x, y) for x, y in self.place(shape, head=head).tolist()], fill=255)
        return mask if inside is None else ImageChops.multiply(mask, inside)

    def paint(self, mask: Image.Image, top: Colour, bottom: Colour, part: str | None = None) -> None:
        """Lay a vertical blend from `top` to `bottom` through the mask; with `part`, claim its pixels."""
        box = mask.getbbox()
        if box is None:
            return
        cut = mask.crop(box)
        self.picture.paste(blend([top, bottom], cut.size), box[:2], cut)
        if part is not None:
            self.codes.paste(PARTS.index(part), box, cut.point(lambda v: 255 if v > 127 else 0))

    def shade(self, mask: Image.Image, dx: float, dy: float, strength: float, soft: float = 0.05) -> None:
        """Darken the rim of the mask that lies on the side of (dx, dy), softly."""
        box = mask.getbbox()
        if box is None:
            return
        unit = self._pose.scale * self.side
        margin = round(unit * (max(abs(dx), abs(dy)) + 2 * soft)) + 1  # empty, so that the shift wraps nothing around
        box = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
        cut = mask.crop(box)
        moved = ImageChops.offset(cut, round(-dx * unit), round(-dy * unit))
        rim = ImageChops.subtract(cut, moved).filter(ImageFilter.GaussianBlur(soft * unit))
        self.picture.paste(_SHADOW, box, ImageChops.multiply(rim, cut).point(lambda v: int(v * strength)))

    def soften(self, mask: Image.Image, radius: float) -> Image.Image:
        """Return the mask, its rim blurred over `radius` of the picture's side."""
        box = mask.getbbox()
        if box is not None:
            margin = round(3 * radius * self.side)
            box = (box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin)
            mask.paste(mask.crop(box).filter(ImageFilter.GaussianBlur(radius * self.side)), box)
        return mask
