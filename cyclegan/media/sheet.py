"""Contact sheets: columns of pictures under captions."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP = 4
PAPER, INK = (250, 249, 246), (60, 58, 54)


def contact_sheet(columns: Mapping[str, Sequence[NDArray[np.uint8]]], *, cell: int | None = None) -> NDArray[np.uint8]:
    """Lay pictures (H, W, 3) of one size out in captioned columns; small ones are enlarged without smoothing.

    `cell` is the side of a picture on the sheet in pixels; by default the pictures' own, but at least 128.
    """
    height, width = next(iter(columns.values()))[0].shape[:2]
    scale = max(1, round((cell or 128) / max(height, width)))
    height, width = height * scale, width * scale
    rows = max(map(len, columns.values()))
    font = ImageFont.load_default(size=max(11, width // 10))
    head = font.size + 2 * GAP if isinstance(font, ImageFont.FreeTypeFont) else 16
    sheet = Image.new("RGB", (len(columns) * (width + GAP) + GAP, round(head) + rows * (height + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (caption, cells) in enumerate(columns.items()):
        left = GAP + i * (width + GAP)
        draw.text((left, GAP // 2), caption, fill=INK, font=font)
        for j, pixels in enumerate(cells):
            picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, round(head) + j * (height + GAP)))
    return np.asarray(sheet)
