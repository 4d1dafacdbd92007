"""The coats: a horse's brown or a zebra's stripes on one and the same outline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from cyclegan.demo.palette import Colour, mix
from cyclegan.demo.skeleton import HEAD, NECK_WIDTHS, TRUNK, Line, Points, Pose, Skeleton, curve, ribbon

Animal = Literal["horse", "zebra"]

# Lines from the spine down; the last ones slant over the rump, as on the plains zebra.
STRIPES = (
    ((0.255, 0.97), (0.29, 0.76), (0.25, 0.50)),
    ((-0.005, 0.95), (0.025, 0.71), (0.005, 0.44)),
    ((-0.27, 0.99), (-0.225, 0.75), (-0.17, 0.48)),
    ((-0.53, 0.90), (-0.43, 0.73), (-0.30, 0.52)),
)
LEG_WIDTHS = ((0.30, 0.20, 0.085, 0.075, 0.075), (0.24, 0.15, 0.085, 0.07, 0.075))  # hind, fore


@dataclass(frozen=True)
class Coat:
    """Holds the colours of one coat; a horse has no `stripe`."""

    body: Colour
    hair: Colour
    stripe: Colour | None

    def dimmed(self, amount: float) -> "Coat":
        """Return the same coat in shadow."""
        dark = (52, 34, 62)
        stripe = self.stripe and mix(self.stripe, dark, amount / 2)
        return Coat(mix(self.body, dark, amount), mix(self.hair, dark, amount / 2), stripe)


def coat_of(pose: Pose, animal: Animal) -> Coat:
    """Choose the colours: `tone` darkens a horse and a zebra's stripes, `warmth` reddens a horse and creams a zebra."""
    if animal == "zebra":
        stripe = mix((98, 58, 38), (20, 18, 24), pose.tone)
        return Coat(mix((245, 246, 248), (252, 230, 192), pose.warmth), stripe, stripe)
    light, dark = mix((178, 146, 116), (212, 132, 66), pose.warmth), mix((92, 72, 64), (120, 52, 26), pose.warmth)
    body = mix(light, dark, pose.tone)
    return Coat(body, mix(body, (26, 14, 16), 0.72), None)


class Layer:
    """Collects shapes in body coordinates: the first ones make the outline, later ones only colour it."""

    def __init__(self, bones: Skeleton, *, size: int, coat: Coat) -> None:
        self.bones, self.size, self.coat = bones, size, coat
        self.image, self.outline = Image.new("RGB", (size, size), coat.body), Image.new("L", (size, size))
        self.ink, self.cut = ImageDraw.Draw(self.image), ImageDraw.Draw(self.outline)

    def place(self, points: Line) -> list[tuple[float, float]]:
        """Carry points of the body to pixels."""
        pose = self.bones.pose
        at = np.asarray(points, dtype=np.float64) - (0.0, self.bones.ground)
        at = at * (pose.facing * pose.scale, -pose.scale) + (pose.x, pose.hooves)
        return [(float(x), float(y)) for x, y in at * self.size]

    def shape(self, points: Line, colour: Colour) -> None:
        """Add a shape to the outline."""
        self.cut.polygon(self.place(points), fill=255)
        self.colour(points, colour)

    def colour(self, points: Line, colour: Colour | None) -> None:
        """Colour what lies within the outline."""
        if colour:
            self.ink.polygon(self.place(points), fill=colour)

    def leg(self, joints: Points, widths: Sequence[float]) -> None:
        """Draw a leg from its joints, with bands and a hoof."""
        self.shape(ribbon(joints, widths), self.coat.body)
        if self.coat.stripe:
            for near, far, t, wide in ((1, 2, 0.75, 0.11), (2, 3, 0.55, 0.10)):
                self.band(joints[near], joints[far], t, wide)
        else:
            self.colour(ribbon(joints[2:], (0.05, 0.12, 0.12)), self.coat.hair)
        hoof = joints[-1] + [(-0.042, 0.03), (0.032, 0.03), (0.062, -0.045), (-0.05, -0.045)]
        self.shape(hoof, self.coat.hair)

    def band(self, a: Points, b: Points, t: float, wide: float, reach: float = 0.13) -> None:
        """Draw a stripe across a limb, `t` of the way from one joint to the next."""
        along = (b - a) / np.linalg.norm(b - a)
        across = np.array((-along[1], along[0])) + 0.25 * along
        middle = a + t * (b - a)
        line = np.array([middle - reach * across, middle + 0.02 * along, middle + reach * across])
        self.colour(ribbon(line, (wide * 0.6, wide, wide), steps=4), self.coat.stripe)


def paint_animal(canvas: Image.Image, pose: Pose, animal: Animal) -> None:
    """Paint one animal on a square canvas: the far legs in shadow, then the rest."""
    bones, coat = Skeleton(pose), coat_of(pose, animal)
    behind, front = (Layer(bones, size=canvas.width, coat=c) for c in (coat.dimmed(0.38), coat))
    for i in (2, 3):
        behind.leg(bones.legs[i], LEG_WIDTHS[i % 2])
    paint_tail(front)
    paint_trunk(front)
    paint_head(front)
    for layer in (behind, front):
        canvas.paste(layer.image, mask=layer.outline)


def paint_tail(layer: Layer) -> None:
    """Paint the tail: hair for a horse, a dark tuft for a zebra."""
    tail, coat = layer.bones.tail, layer.coat
    layer.shape(ribbon(tail, (0.07, 0.09, 0.13, 0.02)), coat.body if coat.stripe else coat.hair)
    layer.colour(ribbon(curve(tail)[9:], np.linspace(0.04, 0.2, len(curve(tail)) - 9)), coat.hair)


def paint_trunk(layer: Layer) -> None:
    """Paint trunk, neck and near legs."""
    bones, coat = layer.bones, layer.coat
    trunk = curve(TRUNK, closed=True)
    layer.shape(trunk, coat.dimmed(0.2).body)
    layer.colour(trunk + np.array((0.02, 0.07)), coat.body)  # what it leaves is the belly's shadow
    layer.shape(ribbon(bones.neck, NECK_WIDTHS), coat.body)
    for i in (0, 1):
        layer.leg(bones.legs[i], LEG_WIDTHS[i])
    mane = ribbon(bones.crest, np.interp(np.linspace(0, 1, len(bones.crest)), (0, 0.3, 1), (0.0, 0.13, 0.10)), steps=1)
    layer.shape(mane, coat.body if coat.stripe else coat.hair)
    for stripe in STRIPES:
        layer.colour(ribbon(stripe, (0.115, 0.13, 0.05)), coat.stripe)


def paint_head(layer: Layer) -> None:
    """Paint ears, head, muzzle and eye, and the stripes of neck and face."""
    on, coat = layer.bones.on_head, layer.coat
    line = curve(layer.bones.neck)
    for i, wide in ((8, 0.12), (14, 0.10)):
        layer.band(line[i - 1], line[i + 1], 0.5, wide, 0.23)
    layer.shape(on([(-0.03, 0.06), (-0.06, 0.19), (0.035, 0.085)]), coat.dimmed(0.3).body)
    layer.shape(on([(0.0, 0.06), (0.0, 0.20), (0.075, 0.075)]), coat.body)
    layer.shape(on(curve(HEAD, closed=True)), coat.body)
    layer.colour(on([(0.29, 0.1), (0.45, 0.1), (0.45, -0.1), (0.31, -0.1)]), mix(coat.hair, coat.body, 0.15))
    layer.colour(on(ribbon([(0.19, 0.1), (0.20, 0.0), (0.16, -0.06)], (0.05, 0.05, 0.02))), coat.stripe)
    layer.colour(on(ribbon([(0.02, -0.14), (0.05, -0.05), (0.03, 0.02)], (0.05, 0.05, 0.02))), coat.stripe)
    layer.colour(on(curve([(0.08, 0.03), (0.11, 0.05), (0.14, 0.03), (0.11, 0.015)], closed=True)), (18, 12, 18))
