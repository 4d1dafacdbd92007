"""The colours of the small world, one palette for each kind of ground."""

from collections.abc import Sequence
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """Holds the colours of one kind of ground, each pair from far to near."""

    sky: tuple[Colour, Colour]
    light: Colour
    hills: tuple[Colour, Colour]
    ground: tuple[Colour, Colour]
    marks: tuple[Colour, Colour]
    tree: tuple[Colour, Colour]
    conifers: bool = False  # else round trees
    tufts: bool = False  # of grass, else low ripples


PALETTES: dict[str, Palette] = {
    "grass": Palette(
        sky=((122, 186, 222), (232, 240, 222)),
        light=(255, 244, 196),
        hills=((150, 190, 166), (116, 168, 120)),
        ground=((158, 196, 98), (112, 164, 78)),
        marks=((196, 216, 118), (88, 140, 68)),
        tree=((78, 134, 84), (60, 112, 78)),
        tufts=True,
    ),
    "sand": Palette(
        sky=((104, 182, 196), (252, 226, 186)),
        light=(255, 246, 214),
        hills=((226, 164, 132), (210, 136, 108)),
        ground=((248, 220, 168), (232, 190, 134)),
        marks=((255, 236, 194), (212, 164, 112)),
        tree=((122, 146, 92), (100, 126, 84)),
    ),
    "forest": Palette(
        sky=((172, 208, 200), (236, 234, 204)),
        light=(255, 250, 222),
        hills=((130, 172, 158), (88, 138, 124)),
        ground=((128, 158, 96), (86, 122, 78)),
        marks=((166, 188, 112), (66, 100, 68)),
        tree=((54, 104, 92), (38, 82, 78)),
        conifers=True,
        tufts=True,
    ),
    "snow": Palette(
        sky=((138, 174, 210), (246, 226, 222)),
        light=(255, 246, 230),
        hills=((178, 194, 220), (150, 172, 206)),
        ground=((232, 236, 246), (200, 212, 234)),
        marks=((248, 249, 253), (186, 201, 228)),
        tree=((86, 124, 142), (64, 102, 126)),
        conifers=True,
    ),
    "dusk": Palette(
        sky=((84, 76, 140), (250, 168, 128)),
        light=(255, 226, 168),
        hills=((150, 104, 146), (112, 86, 134)),
        ground=((170, 124, 138), (104, 86, 126)),
        marks=((196, 148, 146), (84, 70, 112)),
        tree=((84, 66, 116), (62, 54, 100)),
        tufts=True,
    ),
}


def mix(a: Sequence[float], b: Sequence[float], t: float) -> Colour:
    """Blend two colours, `t` = 0 gives the first."""
    red, green, blue = (round(p + (q - p) * t) for p, q in zip(a, b, strict=True))
    return red, green, blue
