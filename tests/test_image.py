"""Whatever a file holds becomes upright 8-bit sRGB, or one clear complaint."""

import io
import os
import random
import resource
import struct
import subprocess
import sys
import time
import warnings
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from cyclegan.errors import InputError, UsageError
from cyclegan.media.formats.opening import complaints, open_header
from cyclegan.media.image import encode_picture, read_picture, read_rgb, write_picture
from cyclegan.media.kinds import FORMATS

ROOT = Path(__file__).parents[1]
WRITTEN = sorted([*{name: suffix for suffix, name in reversed(FORMATS.items())}.values(), ".j2k"])  # one a format
LOSSY = ("JPEG", "WEBP", "GIF", "AVIF", "HEIF", "JXL")
WITHOUT_PROFILE = ("BMP", "GIF", "PPM", "TGA", "QOI", "JPEG2000")  # with Pillow; the last says sRGB in its own way
BADINPUTS = Path(__file__).parents[2] / "shared/data/badinputs"


def scene(height: int = 21, width: int = 34) -> NDArray[np.uint8]:
    """Draw a smooth picture without any symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((x * 255 // width, y * 255 // height, (x + 2 * y) * 3 % 200), axis=-1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def opened(path: Path) -> Image.Image:
    """Open a picture by the reader that is used here, as Pillow itself does not know every format."""
    with complaints(path), path.open("rb") as file:
        image = open_header(file, path)
        image.load()
    return image


def png16(path: Path, samples: NDArray[np.uint16]) -> Path:
    """Write a 16-bit PNG (H, W, 1 | 3 | 4), which PIL cannot."""
    height, width, channels = samples.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


# --- orientation -----------------------------------------------------------------------------------------------------

SEEN = {  # how the stored rows and columns come from the upright picture, from the EXIF standard (0th row, 0th column)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],  # 0th row is the right side
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],  # 0th row is the left side, 0th column the bottom
    0: lambda a: a,
    9: lambda a: a,
    65535: lambda a: a,
}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("tag", SEEN)
def test_every_orientation_comes_out_upright(tmp_path: Path, tag: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    stored = np.ascontiguousarray(SEEN[tag](scene()))
    picture = read_picture(saved(tmp_path / f"a{suffix}", Image.fromarray(stored), exif=exif))
    assert np.array_equal(picture.pixels, scene())
    assert picture.notes == ()


def test_alpha_turns_with_the_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    alpha = scene()[..., 0]
    stored = np.ascontiguousarray(SEEN[6](np.dstack((scene(), alpha))))
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(stored), exif=exif))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha)


def test_broken_exif_is_noted_and_ignored(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene()), exif=b"Exif\0\0XX*\0garbage")
    picture = read_picture(path)
    assert np.array_equal(picture.pixels, scene())
    assert picture.notes == ("broken EXIF ignored",)


# --- wide samples ----------------------------------------------------------------------------------------------------

RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def test_16_bits_are_scaled_and_rounded(tmp_path: Path) -> None:
    expected = np.rint(RAMP / 257).astype(np.uint8)
    for path in (png16(tmp_path / "a.png", RAMP[..., None]), saved(tmp_path / "a.tif", Image.fromarray(RAMP))):
        picture = read_picture(path)
        assert picture.notes == ("16 bits scaled to 8",)
        assert all(np.array_equal(picture.pixels[..., c], expected) for c in range(3))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_is_scaled(tmp_path: Path, channels: int) -> None:
    picture = read_picture(png16(tmp_path / "a.png", np.repeat(RAMP[..., None], channels, axis=2)))
    assert np.abs(picture.pixels[..., 1] - RAMP / 257).max() <= 1  # PIL drops the low byte
    assert picture.notes == ("16 bits scaled to 8",)
    assert (picture.alpha is not None) == (channels == 4)


def test_floats_are_scaled_not_clamped(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    unit = read_picture(saved(tmp_path / "unit.tif", Image.fromarray(values * np.float32(0.8))))
    assert unit.notes == ()
    assert np.array_equal(unit.pixels[..., 0], np.rint(values * 204))
    wide = values * 4000 - 1000
    wide[0, 1], wide[0, 2] = np.nan, np.inf
    picture = read_picture(saved(tmp_path / "wide.tif", Image.fromarray(wide)))
    assert picture.notes == ("values -1000 to 3000 scaled to 0 to 255",)
    assert picture.pixels[0, :4, 0].tolist() == [0, 0, 255, 3]
    assert np.array_equal(picture.pixels[1:, :, 2], np.rint(values * 255)[1:])
    with pytest.raises(InputError, match="no finite value"):
        read_picture(saved(tmp_path / "nan.tif", Image.fromarray(values * np.nan)))


def test_wide_integers_are_scaled_by_their_range(tmp_path: Path) -> None:
    values = np.array([[-70000, 0], [70000, 70000]], np.int32)
    assert read_rgb(saved(tmp_path / "a.tif", Image.fromarray(values)))[..., 1].tolist() == [[0, 128], [255, 255]]
    flat = np.full((2, 2), 9, np.int32)
    assert read_rgb(saved(tmp_path / "b.tif", Image.fromarray(flat))).max() == 0


# --- modes and alpha -------------------------------------------------------------------------------------------------


def test_alpha_is_kept_apart_and_colours_below_it_stay(tmp_path: Path) -> None:
    alpha = scene()[..., 1]
    rgba = Image.fromarray(np.dstack((scene(), alpha)))
    picture = read_picture(saved(tmp_path / "rgba.png", rgba))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha)
    assert np.array_equal(picture.pixels, scene())
    la = read_picture(saved(tmp_path / "la.png", rgba.convert("LA")))
    assert la.alpha is not None
    assert np.array_equal(la.alpha, alpha)
    white = np.rint(scene() * (alpha[..., None] / 255.0) + 255 * (1 - alpha[..., None] / 255.0))
    assert np.abs(read_rgb(tmp_path / "rgba.png") - white).max() == 0


@pytest.mark.parametrize("transparency", [1, b"\x80\x00\xff"])
def test_a_palette_may_be_transparent(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    picture = read_picture(saved(tmp_path / "a.png", image, transparency=transparency))
    assert picture.pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 255] if transparency == 1 else [128, 0, 255]]


def test_grey_one_bit_and_16_bit_grey_may_have_a_transparent_value(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[0, 7, 255]], np.uint8))
    wide = Image.fromarray(np.array([[0, 7, 65535]], np.uint16))
    for name, image in (("grey", grey), ("wide", wide)):
        alpha = read_picture(saved(tmp_path / f"{name}.png", image, transparency=7)).alpha
        assert alpha is not None
        assert alpha.tolist() == [[255, 0, 255]]


def test_print_and_video_colours_become_rgb(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert np.abs(read_rgb(saved(tmp_path / "a.jpg", cmyk, quality=100))[4, 4] - np.array([0, 255, 255])).max() <= 2
    ycbcr = Image.fromarray(scene()).convert("YCbCr")
    assert np.abs(read_rgb(saved(tmp_path / "b.tif", ycbcr)).astype(int) - scene()).max() <= 3
    lab = Image.new("LAB", (2, 2), (255, 128, 128))
    assert read_rgb(saved(tmp_path / "c.tif", lab)).min() >= 253
    lab = Image.new("LAB", (2, 2), (138, 209, 198))  # L* 54, a* 81, b* 70: the red of sRGB
    assert np.abs(read_rgb(saved(tmp_path / "d.tif", lab))[0, 0] - np.array([255, 0, 0])).max() <= 6
    one = Image.fromarray(np.array([[True, False]]))
    assert read_rgb(saved(tmp_path / "e.png", one))[0, :, 2].tolist() == [255, 0]


# --- colour profiles -------------------------------------------------------------------------------------------------


def profile_of(space: bytes, *tags: tuple[bytes, bytes]) -> bytes:
    """Build an ICC 2 display profile by hand."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = 132 + 12 * len(tags) + len(body)
    header = struct.pack(">II4B4s4s4s", size, 0, 2, 64, 0, 0, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    return header + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def gamma(power: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256))


WHITE = (b"wtpt", xyz(0.9642, 1.0, 0.8249))
RED, GREEN, BLUE = xyz(0.4361, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971), xyz(0.1431, 0.0606, 0.7141)


def rgb_profile(red: bytes, green: bytes, blue: bytes, power: float) -> bytes:
    curves = tuple((name, gamma(power)) for name in (b"rTRC", b"gTRC", b"bTRC"))
    return profile_of(b"RGB ", WHITE, (b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue), *curves)


def to_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_swapped_primaries_swap_the_channels(tmp_path: Path) -> None:
    image, data = Image.fromarray(scene()), rgb_profile(BLUE, GREEN, RED, 2.2)
    picture = read_picture(saved(tmp_path / "a.png", image, icc_profile=data))
    assert picture.notes == ()
    expected = to_srgb((scene()[..., ::-1] / 255) ** 2.2)
    assert np.abs(picture.pixels - expected).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB"])
def test_a_profile_of_linear_light_lightens(tmp_path: Path, mode: str) -> None:
    grey = profile_of(b"GRAY", WHITE, (b"kTRC", gamma(1.0)))
    data = rgb_profile(RED, GREEN, BLUE, 1.0) if mode == "RGB" else grey
    image = Image.new("L", (2, 2), 55).convert(mode)
    picture = read_picture(saved(tmp_path / "a.png", image, icc_profile=data))
    assert picture.notes == ()
    assert np.abs(picture.pixels - to_srgb(np.array(55 / 255))).max() <= 2  # 128
    assert (picture.alpha is not None) == (mode == "LA")


def test_a_grey_picture_may_carry_a_colour_profile(tmp_path: Path) -> None:
    image = Image.new("L", (2, 2), 55)
    picture = read_picture(saved(tmp_path / "a.jpg", image, icc_profile=rgb_profile(RED, GREEN, BLUE, 1.0)))
    assert np.abs(picture.pixels - to_srgb(np.array(55 / 255))).max() <= 2


def test_srgb_is_left_alone_to_the_last_bit(tmp_path: Path) -> None:
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(read_rgb(saved(tmp_path / "a.png", Image.fromarray(noise), icc_profile=data)), noise)


@pytest.mark.parametrize("data", [b"not a profile", rgb_profile(RED, GREEN, BLUE, 1.0)[:200], profile_of(b"CMYK")])
def test_a_profile_that_cannot_be_used_is_noted_and_ignored(tmp_path: Path, data: bytes) -> None:
    picture = read_picture(saved(tmp_path / "a.png", Image.fromarray(scene()), icc_profile=data))
    assert np.array_equal(picture.pixels, scene())
    assert picture.notes == ("broken or unfitting colour profile ignored",)


# --- refusals --------------------------------------------------------------------------------------------------------


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_picture(path)
    assert "\n" not in caught.value.what
    assert caught.value.hint
    return caught.value.what


@pytest.mark.parametrize("action", ["error", "always"])
@pytest.mark.parametrize("side", [100_000, 14_200])
def test_a_bomb_is_refused_from_its_header(tmp_path: Path, side: int, action: str) -> None:
    tiny = io.BytesIO()
    Image.new("1", (1, 1)).save(tiny, "PNG")
    body = b"IHDR" + struct.pack(">II", side, side) + tiny.getvalue()[24:29]
    bomb = tiny.getvalue()[:12] + body + struct.pack(">I", zlib.crc32(body)) + tiny.getvalue()[33:]
    (tmp_path / "bomb.png").write_bytes(bomb)
    start = time.monotonic()
    with warnings.catch_warnings(record=action == "always") as seen:
        warnings.simplefilter(action)  # type: ignore[arg-type]
        assert f"{side} × {side} pixels, more than the 200 megapixels" in complaint(tmp_path / "bomb.png")
    assert not seen
    assert time.monotonic() - start < 1


def test_a_large_picture_below_the_limit_draws_no_warning(tmp_path: Path) -> None:
    """PIL warns above 89 megapixels; a cut file shows that the header was let through without decoding 95 of them."""
    saved(tmp_path / "a.bmp", Image.new("1", (9800, 9800)))
    (tmp_path / "a.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:1000])
    assert "truncated" in complaint(tmp_path / "a.bmp")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"<html>404</html>", "not a JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a JPEG, PNG"),
        (b"8BPS\0\1", "not a JPEG, PNG"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "cannot be decoded"),
        (b"\xff\xd8\xff", "cannot be decoded"),
        (b"II*\0", "cannot be decoded"),
    ],
)
def test_what_is_no_picture_is_refused_whatever_it_is_called(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert reason in complaint(tmp_path / "a.png")


@pytest.mark.timeout(10)
def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "a.png")
    assert "Is a directory" in complaint(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in complaint(tmp_path / "pipe.png")
    assert "null" in complaint(tmp_path / "a\0.png")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_stopping_and_lack_of_memory_are_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene()))

    def fail(self: Image.Image) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(error):
        read_picture(path)


def corpus() -> list[bytes]:
    image, buffers = Image.fromarray(scene()), []
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "somewhere"
    for name, options in [
        ("JPEG", {"exif": exif}),
        ("JPEG", {"progressive": True}),
        ("PNG", {"exif": exif, "icc_profile": rgb_profile(RED, GREEN, BLUE, 1.0)}),
        ("WEBP", {"exif": exif}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {}),
        ("GIF", {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}),
    ]:
        buffers.append(io.BytesIO())
        image.save(buffers[-1], name, **options)  # type: ignore[arg-type]
    return [buffer.getvalue() for buffer in buffers]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Overwrite, cut, double or drop bytes, mostly near the front where the structure is."""
    mutant = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = int(len(mutant) * rng.random() ** 2)
        kind = rng.randrange(5)
        if kind < 2:
            mutant[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind == 2:
            mutant[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        elif kind == 3:
            mutant[at : at + 1] = bytes(mutant[at : at + 9])
        else:
            del mutant[rng.randrange(len(mutant)) + 1 :]
    return bytes(mutant)


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_damaged_files_give_a_picture_or_one_complaint(tmp_path: Path, action: str) -> None:
    rng, path, complaints = random.Random(20250), tmp_path / "a.jpg", list[str]()
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        for data in corpus():
            for _ in range(60):
                path.write_bytes(damaged(data, rng))
                try:
                    pixels = read_picture(path).pixels
                    assert pixels.dtype == np.uint8
                    assert pixels.ndim == 3
                    assert pixels.shape[2] == 3
                    assert pixels.size
                except InputError as error:
                    complaints.append(error.what)
    assert all(what.startswith(f"{path}: ") and what.isprintable() for what in complaints)
    assert 100 < len(complaints) < 460


# --- animation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read_and_that_is_noted(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 6), (c, 0, 0)) for c in (250, 100, 0)]
    frames[0].save(tmp_path / "a", name, save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a")
    assert picture.notes == ("first of 3 frames",)
    assert abs(int(picture.pixels[3, 4, 0]) - 250) <= 3


def test_a_stereo_jpeg_is_read_as_the_jpeg_it_begins_with(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), (c, 0, 0)) for c in (250, 100)]
    frames[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.notes == ()
    assert abs(int(picture.pixels[3, 4, 0]) - 250) <= 3


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("size", [(1, 1), (17, 5), (1, 2000)])
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    pixels, path = scene(*size), tmp_path / f"a{suffix.upper()}"
    write_picture(path, pixels)
    picture = read_picture(path)
    assert picture.pixels.shape == pixels.shape
    assert picture.notes == ()
    tolerance = 11 if FORMATS[suffix] in LOSSY else 0  # 17 × 5 pixels of steep colours: chroma at half the size
    assert np.abs(picture.pixels.astype(int) - pixels).mean() <= tolerance
    image = opened(path)
    assert ("icc_profile" in image.info) == (FORMATS[suffix] not in WITHOUT_PROFILE)
    assert suffix == ".tif" or image.getexif().keys() <= {0x0112}


@pytest.mark.parametrize("suffix", WRITTEN)
def test_alpha_is_kept_or_laid_on_white(tmp_path: Path, suffix: str) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    alpha = np.full((16, 16), 51, np.uint8)
    write_picture(tmp_path / f"a{suffix}", pixels, alpha=alpha)
    picture = read_picture(tmp_path / f"a{suffix}")
    if FORMATS[suffix] in ("JPEG", "BMP", "PPM"):
        assert picture.alpha is None
        assert picture.pixels[8, 8].tolist() == [204, 204, 204]
    else:
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, np.zeros_like(alpha) if suffix == ".gif" else alpha)


def test_jpeg_keeps_full_colour_and_quality_counts() -> None:
    sizes = [len(encode_picture(scene(), suffix=".jpg", quality=q)) for q in (20, 60, 95)]
    assert all(a < b for a, b in pairwise(sizes))
    with Image.open(io.BytesIO(encode_picture(scene(), suffix=".jpg"))) as image:
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


def test_the_colour_tag_is_srgb_and_holds_no_time_of_making() -> None:
    """Equal pixels must give equal bytes, on any day."""
    with Image.open(io.BytesIO(encode_picture(scene(), suffix=".png"))) as image:
        tag = image.info["icc_profile"]
    assert struct.unpack(">6H", tag[24:36]) == (2000, 1, 1, 0, 0, 0)
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(tag)))


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.psd'") as caught:
        write_picture(tmp_path / "new" / "a.psd", scene())
    assert ".png" in caught.value.hint
    with pytest.raises(UsageError, match="70000 × 1 pixels"):
        encode_picture(np.zeros((1, 70000, 3), np.uint8), suffix=".jpg")
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_returned(tmp_path: Path) -> None:
    half, whole, cut = (np.array([[a, 255]], np.uint8) for a in (99, 255, 0))
    flat = np.zeros((1, 2, 3), np.uint8)
    for suffix, name in ((".jpg", "JPEG"), (".BMP", "BMP")):
        for alpha in (half, cut):
            notes = write_picture(tmp_path / f"a{suffix}", flat, alpha=alpha)
            assert notes == (f"transparent parts laid on white: {name} cannot hold them",)
        assert write_picture(tmp_path / f"a{suffix}", flat, alpha=whole) == ()
    assert "half transparent" in write_picture(tmp_path / "a.gif", flat, alpha=half)[0]
    assert write_picture(tmp_path / "a.gif", flat, alpha=cut) == ()
    assert write_picture(tmp_path / "a.png", flat, alpha=half) == ()


def test_a_failing_disk_is_not_taken_for_a_format_that_does_not_fit(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk; Python ignores the signal that comes with it."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for suffix in WRITTEN:
            resource.setrlimit(resource.RLIMIT_FSIZE, (9000, old[1]))
            with pytest.raises(OSError, match="File too large"):
                write_picture(tmp_path / f"a{suffix}", noise)
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory cannot be asked for")
@pytest.mark.parametrize("task", ["read turned.jpg", "read clear.png", "write .jpg", "write .png"])
def test_large_pictures_are_not_copied_more_than_needed(tmp_path: Path, task: str) -> None:
    """12 megapixels: PIL needs 48 MB of its own and the pixels 36 MB, with alpha 48."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.linear_gradient("L").resize((4000, 3000))
    Image.merge("RGB", (image,) * 3).save(tmp_path / "turned.jpg", exif=exif)
    Image.merge("RGBA", (image,) * 4).save(tmp_path / "clear.png")
    program = """
import re, sys
from pathlib import Path
import numpy as np
from cyclegan.media.formats.opening import complaints, open_header
from cyclegan.media.image import encode_picture, read_picture, write_picture

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

task, name = sys.argv[1:]
pixels = np.full((3000, 4000, 3), 7, np.uint8) if task == "write" else None
alpha = np.full((3000, 4000), 9, np.uint8) if task == "write" else None
encode_picture(np.zeros((8, 8, 3), np.uint8), suffix=".jpg")
before = peak()
if task == "read":
    read_picture(Path(name))
else:
    write_picture(Path("a" + name), pixels, alpha=alpha)
print(peak() - before)
"""
    command = [sys.executable, "-c", program.replace("\\\\", "\\"), *task.split()]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < (48 + 48 + 20 if task.startswith("read") else 48 + 12 + 20)


# --- metadata --------------------------------------------------------------------------------------------------------

XMP = (
    b'<x:xmpmeta xmlns:x=\'adobe:ns:meta/\'><rdf:Description tiff:Orientation="6" dc:creator="Jane">'
    b"<xmp:Thumbnails><rdf:Alt>original</rdf:Alt></xmp:Thumbnails></rdf:Description></x:xmpmeta>"
)


def private(path: Path) -> Path:
    """Write a turned picture that says who took it, with what, and where."""
    exif = Image.Exif()
    exif[0x0112], exif[0x013B], exif[0x010F] = 6, "Jane", "Zeiss"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:06 07:08:09", 0xA002: 34, 0xA001: 65535})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 1.5), 3: "E", 4: (13.0, 24.0, 0.0)})
    image, options = Image.fromarray(scene()), dict[str, Any]()
    if path.suffix == ".png":
        info = PngInfo()
        info.add_text("Author", "Jane")
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = info
    elif path.suffix == ".tif":
        exif.load(exif.tobytes())
        exif[700] = XMP
    else:
        options["xmp"] = XMP
    if path.suffix == ".heic":
        heif = pytest.importorskip("pillow_heif")
        heif.encode(image.mode, image.size, image.tobytes(), path, exif=exif.tobytes(), xmp=XMP)
        return path
    if path.suffix == ".jxl":  # of a JPEG it takes over how the picture is turned
        jpeg = saved(path.with_suffix(".of.jpg"), image, exif=exif, **options).read_bytes()
        path.write_bytes(pytest.importorskip("pylibjxl").jpeg_to_jxl(jpeg))
        return path
    return saved(path, image, exif=exif, **options)


FORMATS_WITH_METADATA = [s for s in (".jpg", ".png", ".webp", ".tif", ".avif", ".heic", ".jxl") if s in FORMATS]
NAMES = {".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".avif": "AVIF", ".heic": "HEIF", ".jxl": "JXL"}


@pytest.mark.parametrize("suffix", FORMATS_WITH_METADATA)
def test_who_and_where_are_left_out_unless_asked_for(tmp_path: Path, suffix: str) -> None:
    picture = read_picture(private(tmp_path / f"in{suffix}"))
    assert picture.pixels.shape == (34, 21, 3)
    for target in WRITTEN:
        write_picture(tmp_path / f"out{target}", picture.pixels)
        written = (tmp_path / f"out{target}").read_bytes()
        assert b"Jane" not in written
        assert b"Zeiss" not in written
        image = opened(tmp_path / f"out{target}")
        assert not image.getexif().get_ifd(0x8825)
        assert not {"xmp", "Author"} & set(image.info)
        assert FORMATS[target] == "JPEG2000" or "comment" not in image.info  # there it names the encoder


@pytest.mark.parametrize("suffix", FORMATS_WITH_METADATA)
@pytest.mark.parametrize("target", FORMATS_WITH_METADATA)
def test_metadata_is_kept_on_request_without_what_is_no_longer_true(tmp_path: Path, suffix: str, target: str) -> None:
    picture = read_picture(private(tmp_path / f"in{suffix}"))
    notes = write_picture(tmp_path / f"out{target}", picture.pixels, metadata=picture.metadata)
    assert notes == (
        (f"text left out: {NAMES[target]} cannot hold it",) if suffix == ".png" and target != ".png" else ()
    )
    image = opened(tmp_path / f"out{target}")
    exif = image.getexif()
    assert (exif[0x013B], exif[0x010F]) == ("Jane", "Zeiss")
    assert exif.get(0x0112, 1) == 1
    assert exif.get_ifd(0x8769) == {0x9003: "2024:05:06 07:08:09"}
    assert exif.get_ifd(0x8825) == {1: "N", 2: (52.0, 30.0, 1.5), 3: "E", 4: (13.0, 24.0, 0.0)}
    assert b'dc:creator="Jane"' in image.info["xmp"]
    assert b"Thumbnails" not in image.info["xmp"]
    assert ("Author" in image.info) == (suffix == target == ".png")
    again = read_picture(tmp_path / f"out{target}")
    assert again.pixels.shape == (34, 21, 3)  # not turned a second time, by EXIF or XMP
    assert dict(again.metadata).keys() == dict(picture.metadata).keys() - (set() if target == ".png" else {"text"})


def test_the_thumbnail_of_the_original_is_left_out(tmp_path: Path) -> None:
    """A JPEG that carries a small picture of itself, put together by hand."""
    small = io.BytesIO()
    Image.fromarray(scene()).resize((8, 6)).save(small, "JPEG")
    exif = Image.Exif()
    exif[0x013B] = "Jane"
    first = exif.tobytes()[6:]
    link = 10 + 12 * struct.unpack_from(">H", first, 8)[0]  # where the place of the next directory stands
    second = struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, len(first) + 30, 0x0202, 4, 1, len(small.getvalue()), 0)
    whole = first[:link] + struct.pack(">I", len(first)) + first[link + 4 :]
    data = b"Exif\0\0" + whole + second + small.getvalue()
    source = saved(tmp_path / "a.jpg", Image.fromarray(scene()), exif=data)
    with Image.open(source) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(small.getvalue())  # it is there
    picture = read_picture(source)
    write_picture(tmp_path / "b.jpg", picture.pixels, metadata=picture.metadata)
    assert (tmp_path / "b.jpg").read_bytes().count(b"\xff\xd8\xff") == 1
    assert b"Jane" in (tmp_path / "b.jpg").read_bytes()


def test_metadata_that_does_not_fit_is_left_out_with_a_note(tmp_path: Path) -> None:
    metadata = {"xmp": b"<" + bytes(70_000) + b">", "exif": b"", "text": {"Author": "Jane"}}
    notes = write_picture(tmp_path / "a.jpg", scene(), metadata=metadata)
    assert notes == ("XMP and text left out: JPEG cannot hold it",)
    assert write_picture(tmp_path / "a.gif", scene(), metadata={"xmp": XMP}) == ("XMP left out: GIF cannot hold it",)


@pytest.mark.parametrize(
    "name", ["two words.png", "🦓.png", "line\nbreak.png", "$(x)%s.png", os.fsdecode(b"caf\xe9.png")]
)
def test_odd_names_are_read_written_and_shown(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / name, scene())
    assert np.array_equal(read_rgb(tmp_path / name), scene())
    (tmp_path / name).write_bytes(b"")
    complaint(tmp_path / name).encode()


@pytest.mark.skipif(not BADINPUTS.is_dir(), reason="no collection of bad pictures beside the checkout")
@pytest.mark.filterwarnings("ignore")
def test_the_collection_of_bad_pictures_is_told_apart() -> None:
    refused = set[str]()
    for path in (BADINPUTS / "made").iterdir():
        if not path.name.startswith("big_"):
            try:
                assert read_picture(path).pixels.size
            except InputError:
                refused.add(path.name)
    junk = {".DS_Store", "._apple_double.jpg", "Thumbs.db", "html_named.png", "lfs_pointer.jpg", "text_named.jpg"}
    bombs = {"bomb_30000x30000_1bit.png", "bomb_header_only_100000x100000.png"}
    assert refused == junk | bombs | {"first_100_bytes.jpg", "half.jpg", "zero_byte.jpg"}
