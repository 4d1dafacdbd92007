"""Formats of pictures: what is damaged fails, what is too large is refused from its header, what is rare is read."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_image import opened, rgb_profile, saved, scene, xyz

from cyclegan.errors import InputError, UsageError
from cyclegan.media import kinds, limits
from cyclegan.media.animation import create_animation, open_animation
from cyclegan.media.formats import pages
from cyclegan.media.formats.encoders import options
from cyclegan.media.formats.muxing import Patch, Plan
from cyclegan.media.image import Picture, encode_picture, read_picture, read_rgb, write_picture
from cyclegan.media.kinds import FORMATS
from cyclegan.translation.onefile import open_still

ROOT = Path(__file__).parents[1]
SUFFIXES = sorted({name: suffix for suffix, name in reversed(FORMATS.items())}.values())  # one a format
NOISE = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def strictly(path: Path) -> int:
    """Decode every frame with Pillow itself, and return how many there are; raises what it does."""
    with Image.open(path) as image:
        for place in range(count := getattr(image, "n_frames", 1)):
            image.seek(place)
            image.load()
    return count


def read(path: Path) -> Picture | str | None:
    """Read a file as a translation does; return what of it is lost, None where nothing is."""
    found = open_still(path)
    if isinstance(found, Picture):
        return None
    with found:
        assert all(frame.pixels.size for frame in found)
        return found.lost


# --- damage ----------------------------------------------------------------------------------------------------------


def test_no_flipped_bit_of_a_png_is_taken_for_a_sound_picture(tmp_path: Path) -> None:
    """Pillow decodes a PNG for its EXIF, swallows the error, and the second time returns what there is."""
    rng, path, refused = random.Random(0), tmp_path / "a.png", 0
    data = encode_picture(NOISE, suffix=".png")
    for _ in range(150):
        mutant = bytearray(data)
        mutant[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(mutant)
        try:
            strictly(path)
        except Exception:
            refused += 1
            with pytest.raises(InputError):
                read(path)
            with pytest.raises(InputError):
                read_rgb(path)
    assert refused > 140


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("rows", [1, 5, 23, 24])
def test_a_png_that_ends_after_some_rows_fails(tmp_path: Path, rows: int, interlaced: bool) -> None:
    """Its chunks are whole, all their checksums are right, and Pillow leaves what is missing black."""
    whole = Path(tmp_path / "whole.png")
    pixels = NOISE if rows < 24 else np.zeros_like(NOISE)  # what is black may be sound
    data = b"".join(b"\0" + row.tobytes() for row in pixels)
    if interlaced:
        passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
        data = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in pixels[y::dy, x::dx])

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", NOISE.shape[1], NOISE.shape[0], 8, 2, 0, 0, interlaced)
    cut = len(data) * rows // 24
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data[:cut])) + chunk(b"IEND", b"")
    whole.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    if not interlaced:
        assert strictly(whole) == 1
    if rows == 24:
        assert read(whole) is None
        assert np.array_equal(read_rgb(whole), pixels)
    else:
        with pytest.raises(InputError, match="truncated"):
            read(whole)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_cut_anywhere_fails(tmp_path: Path, suffix: str) -> None:
    data, path = encode_picture(NOISE, suffix=suffix), tmp_path / f"a{suffix}"
    for share in (0.02, 0.2, 0.5, 0.9, 0.97):
        path.write_bytes(data[: round(share * len(data))])
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_a_damaged_frame_is_told_and_those_before_it_are_read(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.roll(NOISE, 3 * place, axis=1)) for place in range(4)]
    path = saved(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:], duration=50)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    assert read(path)
    path.write_bytes(data)
    assert read(path) is None


# --- one limit -------------------------------------------------------------------------------------------------------


def bombs(folder: Path, side: int) -> list[Path]:
    """Write a small file of every format whose header says that it is `side` pixels square."""
    made = dict[str, bytes]()
    small = {suffix: encode_picture(np.zeros((64, 64, 3), np.uint8), suffix=suffix) for suffix in SUFFIXES}
    body = b"IHDR" + struct.pack(">II", side, side) + small[".png"][24:29]
    made[".png"] = small[".png"][:12] + body + struct.pack(">I", zlib.crc32(body)) + small[".png"][33:]
    made[".gif"] = small[".gif"][:6] + struct.pack("<HH", side, side) + small[".gif"][10:]
    made[".bmp"] = small[".bmp"][:18] + struct.pack("<ii", side, side) + small[".bmp"][26:]
    made[".tga"] = small[".tga"][:12] + struct.pack("<HH", side, side) + small[".tga"][16:]
    made[".qoi"] = small[".qoi"][:4] + struct.pack(">II", side, side) + small[".qoi"][12:]
    made[".ppm"] = b"P6 %d %d 255\n" % (side, side) + bytes(99)
    frame = small[".jpg"].index(b"\xff\xc0")
    made[".jpg"] = small[".jpg"][: frame + 5] + struct.pack(">HH", side, side) + small[".jpg"][frame + 9 :]
    jp2 = bytearray(small[".jp2"])
    at = jp2.index(b"ihdr")
    jp2[at + 4 : at + 12] = struct.pack(">II", side, side)
    made[".jp2"] = bytes(jp2)
    whole = io.BytesIO()
    Image.new("1", (16, 16)).save(whole, "TIFF")
    made[".tif"] = whole.getvalue()
    for tag in (256, 257):
        entry = made[".tif"].index(struct.pack("<HHI", tag, 4, 1))
        made[".tif"] = made[".tif"][: entry + 8] + struct.pack("<I", side) + made[".tif"][entry + 12 :]
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (side - 1).to_bytes(3, "little") * 2
    made[".webp"] = b"RIFF" + struct.pack("<I", len(extended) + 4) + b"WEBP" + extended
    for suffix in {".avif", ".heic"} & small.keys():
        at = small[suffix].index(b"ispe")
        made[suffix] = small[suffix][: at + 8] + struct.pack(">II", side, side) + small[suffix][at + 16 :]
    if ".jxl" in small:  # a codestream: size in 2 + 30 bits each, all else by default
        bits = 0x0AFF | 3 << 17 | (side - 1) << 19 | 0 << 49 | 3 << 52 | (side - 1) << 54 | 1 << 84
        made[".jxl"] = bits.to_bytes(12, "little") + bytes(20)
    for suffix, data in made.items():
        (folder / f"bomb{suffix}").write_bytes(data)
    return sorted(folder.glob("bomb*"))


PROGRAM = """
import json, re, sys, time
from pathlib import Path
from cyclegan.errors import InputError
from cyclegan.media.image import encode_picture, read_picture, write_picture
from cyclegan.media.kinds import FORMATS
import numpy as np

def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

for suffix in FORMATS:  # readers are loaded before anything is measured
    write_picture(Path("small" + suffix), np.zeros((9, 9, 3), np.uint8))
    read_picture(Path("small" + suffix))
found = {}
for name in sys.argv[1:]:
    before, start = peak(), time.process_time()
    try:
        read_picture(Path(name))
        what = "read"
    except InputError as error:
        what = f"{error.what} | {error.hint}"
    found[name] = (what, peak() - before, time.process_time() - start)
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory cannot be asked for")
def test_bombs_are_refused_from_their_headers_in_the_same_words(tmp_path: Path) -> None:
    paths = bombs(tmp_path, 14_200)
    assert len(paths) == len(SUFFIXES)
    command = [sys.executable, "-c", PROGRAM, *(path.name for path in paths)]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    for name, (what, megabytes, seconds) in json.loads(done.stdout).items():
        assert "14200 × 14200 pixels, more than the 200 megapixels that are read" in what, (name, what)
        assert f"{limits.VARIABLE}=202 " in what
        assert megabytes < 50, name
        assert seconds < 1, name


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_limit_is_ours_and_pillows_is_left_as_it_was(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    write_picture(path, NOISE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path).pixels.shape == NOISE.shape
        assert read(path) is None
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setenv(limits.VARIABLE, "0.0007")
    with pytest.raises(InputError, match=r"31 × 24 pixels, more than the 0\.0007 megapixels") as caught:
        read_picture(path)
    assert limits.VARIABLE in caught.value.hint
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("text", ["many", "0", "-3", "inf", "nan"])
def test_a_limit_that_is_no_number_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    write_picture(tmp_path / "a.png", NOISE)
    monkeypatch.setenv(limits.VARIABLE, text)
    with pytest.raises(UsageError, match=f"{limits.VARIABLE}={text}: not a number of megapixels"):
        read_picture(tmp_path / "a.png")


def test_importing_the_package_changes_nothing_of_pillow() -> None:
    program = (
        "from PIL import Image; before = Image.MAX_IMAGE_PIXELS, sorted(Image.OPEN), sorted(Image.SAVE)\n"
        "import cyclegan.media.animation, cyclegan.media.formats.encoders\n"
        "after = Image.MAX_IMAGE_PIXELS; assert before[0] == after, after; assert 'HEIF' not in Image.SAVE"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


# --- what is particular ----------------------------------------------------------------------------------------------


def test_the_profile_of_a_jpeg_2000_is_followed(tmp_path: Path) -> None:
    """Pillow neither reads nor writes one: its box is put in by hand, in the place of the one that says sRGB."""
    red, green, blue = xyz(0.4361, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971), xyz(0.1431, 0.0606, 0.7141)
    profile = rgb_profile(blue, green, red, 2.2)
    data = encode_picture(scene(), suffix=".jp2")
    header, colours = data.index(b"jp2h"), data.index(b"colr")
    box = struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + profile
    length = struct.unpack_from(">I", data, header - 4)[0] - 15 + len(box)
    patched = data[: header - 4] + struct.pack(">I", length) + data[header : colours - 4] + box + data[colours + 11 :]
    (tmp_path / "a.jp2").write_bytes(patched)
    expected = ImageCms.profileToProfile(
        Image.fromarray(scene()), ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    found = read_rgb(tmp_path / "a.jp2")
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1
    assert np.abs(found.astype(int) - scene()).mean() > 20


@pytest.mark.parametrize("top", [65535, 1023])
def test_wide_grey_is_scaled_and_not_stretched(tmp_path: Path, top: int) -> None:
    values = np.linspace(top // 4, top // 2, 64).astype(np.uint16).reshape(8, 8)
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 %d\n" % top + values.astype(">u2").tobytes())
    picture = read_picture(tmp_path / "a.pgm")
    assert np.abs(picture.pixels[..., 1] - values / top * 255).max() <= 1
    assert picture.notes == ("16 bits scaled to 8",)
    deep = saved(tmp_path / "a.jp2", Image.fromarray(values * (65535 // top)))
    assert np.abs(read_rgb(deep)[..., 1] - values / top * 255).max() <= 1


def test_ten_bits_of_heic_and_jxl_become_eight_with_a_note(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    wide = scene().astype(np.uint16) * 257
    heif.encode("RGB;16", (34, 21), wide.tobytes(), tmp_path / "a.heic", quality=90)
    picture = read_picture(tmp_path / "a.heic")
    assert picture.notes == ("10 bits scaled to 8",)
    assert np.abs(picture.pixels.astype(int) - scene()).mean() < 4


def test_pictures_without_colour_become_png(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written as '\.pgm'"):
        write_picture(tmp_path / "a.pgm", NOISE)
    assert {".pgm", ".pbm", ".pfm"} <= kinds.PICTURE_SUFFIXES - kinds.WRITTEN_SUFFIXES
    assert kinds.renamed("j2k")[".png"] == ".j2k"


AVIF = pytest.mark.skipif(".avif" not in FORMATS, reason="this Pillow reads no AVIF")


@AVIF
def test_an_animated_avif_is_read_with_its_times(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(scene(), 5 * place, axis=1)) for place in range(3)]
    path = saved(tmp_path / "a.avif", frames[0], save_all=True, append_images=frames[1:], duration=[40, 100, 70])
    with open_animation(path) as animation:
        assert animation.several
        found = list(animation)
        assert [float(frame.duration * animation.clock) for frame in found] == [0.04, 0.1, 0.07]
        assert all(np.abs(f.pixels - np.asarray(i).astype(int)).mean() < 6 for f, i in zip(found, frames, strict=True))
    with open_animation(path) as animation, create_animation(tmp_path / "b.webp", like=animation) as writer:
        for frame in animation:
            writer.write(frame)
    assert strictly(tmp_path / "b.webp") == 3
    with open_animation(path) as animation, pytest.raises(UsageError, match="holds one picture, but there are 3"):
        create_animation(tmp_path / "b.avif", like=animation)


@AVIF
def test_an_avif_may_call_itself_a_heif(tmp_path: Path) -> None:
    data = bytearray(encode_picture(scene(), suffix=".avif"))
    assert data[8:12] == b"avif"
    data[8:12] = b"mif1"  # the compatible brands still say what it is
    (tmp_path / "a.heic").write_bytes(data)
    assert opened(tmp_path / "a.heic").format == "AVIF"


def test_what_needs_a_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setattr(kinds.Extra, "installed", property(lambda extra: False))
    with pytest.raises(InputError, match="HEIF pictures need a package that is missing") as caught:
        read_picture(tmp_path / "a.jpg")
    assert caught.value.hint == "pip install 'styl[heif]'"


def test_a_raw_photograph_is_not_taken_for_the_preview_it_begins_with(tmp_path: Path) -> None:
    saved(tmp_path / "a.tif", Image.fromarray(scene())).rename(tmp_path / "a.NEF")
    with pytest.raises(InputError, match="a raw photograph"):
        read(tmp_path / "a.NEF")


# --- pages -----------------------------------------------------------------------------------------------------------


class Watched(io.BytesIO):
    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


def test_a_page_costs_the_same_however_many_there_are(tmp_path: Path) -> None:
    file = Watched()
    muxer = pages.PageMuxer(file, Plan(4, 4, options=options("TIFF", quality=95)))
    costs = []
    for number in range(60):
        before = file.reads
        muxer.add(Patch(np.full((4, 4, 3), number, np.uint8)), seconds=Fraction(0))
        costs.append(file.reads - before)
    muxer.finish()
    assert max(costs[2:]) <= costs[2]
    (tmp_path / "a.tif").write_bytes(file.getvalue())
    with open_animation(tmp_path / "a.tif") as animation:
        assert [int(frame.pixels[0, 0, 0]) for frame in animation] == list(range(60))
    assert strictly(tmp_path / "a.tif") == 60


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_smaller_versions_of_a_page_are_no_pages(tmp_path: Path, order: str, big: bool) -> None:
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[:9]), Image.fromarray(scene()[:, :9])]
    for frame, kind in zip(frames, (0, 1, 0), strict=True):
        frame.encoderinfo = {"tiffinfo": {254: kind}, "big_tiff": big}  # type: ignore[attr-defined]
    path = tmp_path / "a.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:], tiffinfo={254: 0}, big_tiff=big)
    if order == ">":
        pytest.skip("Pillow writes no other order") if big else None
    with open_animation(path) as animation:
        assert animation.count == 2
        assert [frame.pixels.shape[:2] for frame in animation] == [(21, 34), (21, 9)]


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(10)
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gif")
    for path in (tmp_path / "pipe.gif", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=r"not a regular file|a directory"):
            open_still(path)


def test_zeros_without_end_are_no_gif(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.gif", Image.fromarray(scene()), save_all=True, append_images=[Image.fromarray(NOISE)])
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    assert "truncated" in str(read(path))


@pytest.mark.parametrize("suffix", [s for s in (".webp", ".avif", ".heic", ".jxl") if s in FORMATS])
def test_what_would_be_read_whole_has_a_limit(tmp_path: Path, suffix: str) -> None:
    write_picture(tmp_path / f"a{suffix}", scene())
    with (tmp_path / f"a{suffix}").open("r+b") as file:
        file.truncate(3 << 30)
    with pytest.raises(InputError, match="larger than 2 GiB"):
        read(tmp_path / f"a{suffix}")
