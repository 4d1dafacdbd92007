"""Films with another sound: pictures stay as they are bit by bit, and sound stays where it was."""

import errno
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import Recipe, Sound, make
from numpy.typing import NDArray

from cyclegan.errors import InputError, UsageError
from cyclegan.media.sounds.reader import open_sound, read_sound
from cyclegan.media.sounds.samples import frame_of
from cyclegan.media.sounds.writer import create_sound

FILMS = [  # container, its video codec, its audio codec, sample format, rate
    (".mp4", "libx264", "aac", "fltp", 48000),
    (".mp4", "libx264", "libmp3lame", "fltp", 44100),
    (".m4v", "libx264", "alac", "s16p", 44100),
    (".mov", "libx264", "pcm_s16le", "s16", 48000),
    (".mkv", "libx264", "aac", "fltp", 48000),
    (".mkv", "libx264", "flac", "s16", 44100),
    (".mkv", "mpeg4", "ac3", "fltp", 48000),
    (".webm", "libvpx-vp9", "libopus", "flt", 48000),
    (".avi", "mpeg4", "libmp3lame", "fltp", 44100),
    (".avi", "mpeg4", "pcm_s16le", "s16", 44100),
    (".ts", "libx264", "aac", "fltp", 48000),
    (".mts", "libx264", "ac3", "fltp", 48000),
]
_BITS = {"s16": 16, "s16p": 16}
SECONDS = 2.4
CLICKS = (0.5, 1.0, 1.7)


def clicks(rate: int, channels: int) -> NDArray[np.float32]:
    """Draw silence with three short bursts, each loudest half a hundredth of a second behind its time."""
    sound = np.zeros((round(SECONDS * rate), channels), np.float32)
    length = rate // 100
    burst = 0.8 * np.hanning(length) * np.cos(0.3 * (np.arange(length) - length / 2))
    for at in CLICKS:
        begin = round(at * rate)
        sound[begin : begin + length] = burst[:, None]
    return sound


def film(
    path: Path,
    case: tuple[str, str, str, str, int],
    *,
    delay: float = 0.0,
    gap: tuple[float, float] = (9.0, 9.0),
    late: float = 0.0,
    tracks: int = 1,
    channels: int = 1,
) -> Path:
    """Draw a film of 25 pictures a second whose sound begins `delay` seconds later, and pauses in the gap."""
    _, picture_codec, codec, kind, rate = case
    layout = {1: "mono", 2: "stereo"}[channels]
    sound, step = clicks(rate, channels), rate // 25
    with av.open(str(path), "w") as out:
        video = out.add_stream(picture_codec, rate=25, options={"g": "12"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        voices = []
        for _ in range(tracks):
            voice = out.add_stream(codec, rate=rate, options={"strict": "-2"} if codec == "vorbis" else {})
            assert isinstance(voice, av.AudioStream)
            voice.layout, voice.format = layout, kind
            if not codec.startswith(("pcm", "flac", "alac")):
                voice.bit_rate = 96_000
            voices.append(voice)
        out.metadata["title"] = "a secret"
        for number in range(round(SECONDS * 25)):
            pixels = np.full((48, 64, 3), number * 4, np.uint8)
            pixels[:, number % 64] = 255
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = number + round(late * 25), Fraction(1, 25)
            out.mux(video.encode(picture))
            if number / 25 < delay - 1e-9 or gap[0] <= number / 25 < gap[1]:
                continue
            for voice in voices:
                block = sound[number * step : (number + 1) * step]
                frame = frame_of(block, layout=layout, kind=kind, bits=_BITS.get(kind, 0))
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = number * step + round(late * rate)
                out.mux(voice.encode(frame))
        for stream in (video, *voices):
            out.mux(stream.encode(None))  # type: ignore[arg-type]
    return path


def dubbed(source: Path, target: Path, *, loudness: float = 1.0, comment: str = "styl") -> list[str]:
    """Send the sound of a film through reader and writer, and return what the writer noted."""
    with open_sound(source) as recording, create_sound(target, like=recording, comment=comment) as writer:
        for block in recording:
            writer.write(block * np.float32(loudness))
    return writer.notes


def pictures(path: Path) -> list[tuple[Fraction | None, bytes]]:
    """Return the packets of the pictures, and when each is shown."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [(None if p.pts is None else p.pts * p.time_base, bytes(p)) for p in packets]


def heard(path: Path) -> list[float | None]:
    """Return when the three bursts sound, in seconds on the clock of the pictures."""
    with open_sound(path) as recording:
        sound, rate = np.concatenate(list(recording))[:, 0], recording.rate
        starts = recording.container.streams.video[0]
        first = Fraction(starts.start_time or 0) * (starts.time_base or 0)
        begin = float(recording.origin - first)
    found: list[float | None] = []
    for at in CLICKS:
        low = max(0, round((at - 0.2 - begin) * rate))
        window = np.abs(sound[low : low + round(0.4 * rate)])
        loud = window.size and window.max() > 0.1
        found.append((low + int(window.argmax())) / rate + begin - 0.005 if loud else None)
    return found


def coded(path: Path) -> list[tuple[str, str]]:
    with av.open(str(path)) as container:
        return [(stream.type, stream.codec_context.name) for stream in container.streams if stream.codec_context]


@pytest.mark.parametrize("case", FILMS, ids=lambda case: f"{case[0]}-{case[2]}")
@pytest.mark.parametrize("shape", ["straight", "delay", "late"])
def test_pictures_stay_bit_by_bit_and_sound_in_its_place(
    tmp_path: Path, case: tuple[str, str, str, str, int], shape: str
) -> None:
    suffix = case[0]
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    film(source, case, delay=0.4 if shape == "delay" else 0, late=1.0 if shape == "late" else 0)
    before = source.read_bytes()

    assert dubbed(source, target) == []

    assert pictures(target) == pictures(source)
    assert len(pictures(target)) == 60
    assert coded(target) == coded(source)
    old, new = heard(source), heard(target)
    if suffix != ".avi":  # it has no times for sound, and hides what encoders add
        assert old == pytest.approx(CLICKS, abs=0.002)
    assert new == pytest.approx(old, abs=0.0025)
    assert source.read_bytes() == before
    if suffix not in (".ts", ".mts"):  # nothing of that kind can be written into them
        with av.open(str(target)) as container:
            assert container.metadata.get("comment", container.metadata.get("COMMENT")) == "styl"
            assert "a secret" not in container.metadata.values()


def test_the_sound_is_the_new_one(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", FILMS[5])
    dubbed(source, tmp_path / "out.mkv", loudness=0.5)
    old, new = read_sound(source).samples, read_sound(tmp_path / "out.mkv").samples
    np.testing.assert_allclose(new, old * 0.5, atol=1 / 32768)


@pytest.mark.parametrize("case", [FILMS[0], FILMS[5], FILMS[7], FILMS[10]], ids=lambda case: case[0])
def test_a_gap_in_the_sound_is_silent(tmp_path: Path, case: tuple[str, str, str, str, int]) -> None:
    source = film(tmp_path / f"in{case[0]}", case, gap=(1.2, 1.6))
    sound = read_sound(source)
    assert sound.lost is None
    (note,) = sound.notes
    assert re.fullmatch(r"1 gap at 1\.[123] s filled with silence", note)
    assert abs(len(sound.samples) / sound.rate - SECONDS) < 0.06
    assert not sound.samples[round(1.3 * sound.rate) : round(1.5 * sound.rate)].any()
    assert heard(source) == pytest.approx(CLICKS, abs=0.002)


def test_the_sound_of_a_film_alone_begins_with_the_pictures(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", FILMS[0], delay=0.4, channels=2)
    with (
        open_sound(source) as recording,
        create_sound(tmp_path / "out.wav", like=recording, comment="styl") as writer,
    ):
        assert recording.film
        assert (recording.channels, recording.rate) == (2, 48000)
        for block in recording:
            writer.write(block)
    sound = read_sound(tmp_path / "out.wav")
    assert not sound.samples[: round(0.35 * 48000)].any()
    assert int(np.abs(sound.samples[:, 0]).argmax()) / 48000 % 0.5 in (pytest.approx(0.005, abs=0.002), 0.205)


def test_other_voices_are_left_out_and_the_default_is_read(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", FILMS[4], tracks=2)
    assert dubbed(source, tmp_path / "out.mkv") == ["sound track 2 left out: it was not translated"]
    assert [kind for kind, _ in coded(tmp_path / "out.mkv")] == ["video", "audio"]
    with open_sound(source) as recording:
        assert recording.stream.index == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_everything_else_goes_along(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(
        count=24,
        rotation=0 if suffix == ".mkv" else 90,
        sar=Fraction(4, 3),
        sounds=[Sound(seconds=1.0, language="ger", rate=44100)],
        subtitles=[(0.1, 0.3, "hello"), (0.5, 0.8, "world")],
        chapters=[(0.0, 0.5, "one"), (0.5, 1.0, "two")],
        cover=True,
    )
    source, target = make(tmp_path / f"in{suffix}", recipe), tmp_path / f"out{suffix}"

    assert dubbed(source, target) == []

    assert pictures(target) == pictures(source)
    assert held(target) == held(source)
    assert held(target)["texts"] == ["hello", "world"]
    assert held(target)["languages"] == {"audio": "ger", "subtitle": "ger"}


def held(path: Path) -> dict[str, Any]:
    """Return what a film holds beside pictures and sound."""
    with av.open(str(path)) as container:
        texts = [bytes(p) for p in container.demux(subtitles=0) if p.size > 2]
        video = container.streams.video[0]
        container.seek(0)
        turned = next(container.decode(video)).rotation
        return {
            "kinds": [stream.type for stream in container.streams if stream.type != "data"],
            "languages": {
                s.type: s.metadata.get("language") for s in container.streams if s.type in ("audio", "subtitle")
            },
            "chapters": [(c["start"] * c["time_base"], c["metadata"]) for c in container.chapters() if c["time_base"]],
            "texts": [text.decode()[0 if path.suffix == ".mkv" else 2 :] for text in texts],
            "shape": (video.width, video.height, video.codec_context.sample_aspect_ratio, turned),
        }


def test_a_codec_that_cannot_be_written_is_replaced_by_one_of_the_container(tmp_path: Path) -> None:
    vorbis = film(tmp_path / "in.webm", (".webm", "libvpx-vp9", "vorbis", "fltp", 44100), channels=2)
    notes = dubbed(vorbis, tmp_path / "out.webm")
    assert notes == ["resampled from 44100 to 48000 Hz, as opus holds no other"]
    assert [name for _, name in coded(tmp_path / "out.webm")] == ["vp9", "opus"]
    assert heard(tmp_path / "out.webm") == pytest.approx(heard(vorbis), abs=0.003)
    packed = film(tmp_path / "in.mkv", (".mkv", "mpeg4", "wavpack", "s16p", 44100))
    assert dubbed(packed, tmp_path / "out.mkv") == []
    assert [name for _, name in coded(tmp_path / "out.mkv")] == ["mpeg4", "flac"]
    assert pictures(tmp_path / "out.mkv") == pictures(packed)


def test_a_film_in_another_container_keeps_its_pictures(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", FILMS[4])
    dubbed(source, tmp_path / "out.mp4")
    assert [data for _, data in pictures(tmp_path / "out.mp4")] == [data for _, data in pictures(source)]
    assert heard(tmp_path / "out.mp4") == pytest.approx(CLICKS, abs=0.002)
    with pytest.raises(InputError, match=r"\.webm cannot hold its h264"):
        dubbed(source, tmp_path / "out.webm")
    with pytest.raises(UsageError, match=r"out\.avi: cannot be written as \.avi"):  # it has no times for B-frames
        dubbed(source, tmp_path / "out.avi")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv", "out.mp4"]


def test_a_film_without_sound_is_said_to_be_one(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", FILMS[0], tracks=0)
    with pytest.raises(InputError, match="a film without sound") as caught:
        open_sound(tmp_path / "a.mp4")
    assert caught.value.hint


def test_undecodable_packets_are_silent_and_nothing_shifts(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", FILMS[0])
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        for packet in container.demux(audio=0):
            if packet.pts is not None and packet.pos and 1.2 <= packet.pts * packet.time_base < 1.5:
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    (tmp_path / "b.mp4").write_bytes(bytes(data))

    sound = read_sound(tmp_path / "b.mp4")

    assert sound.lost is not None
    assert sound.lost.endswith("packets between 1.2 and 1.5 s could not be decoded")
    assert len(sound.samples) == len(read_sound(source).samples)
    assert heard(tmp_path / "b.mp4") == pytest.approx(CLICKS, abs=0.002)
    dubbed(tmp_path / "b.mp4", tmp_path / "c.mp4")
    assert heard(tmp_path / "c.mp4") == pytest.approx(CLICKS, abs=0.002)
    with pytest.raises(InputError, match="cannot be decoded"):
        read_sound(tmp_path / "b.mp4", strict=True)


@pytest.mark.parametrize("case", [FILMS[4], FILMS[9], FILMS[10]], ids=lambda case: case[0])
def test_a_truncated_film_is_dubbed_as_far_as_it_goes(tmp_path: Path, case: tuple[str, str, str, str, int]) -> None:
    source = film(tmp_path / f"a{case[0]}", case)
    data = source.read_bytes()
    (tmp_path / f"b{case[0]}").write_bytes(data[: len(data) * 6 // 10 + 1])
    with (
        open_sound(tmp_path / f"b{case[0]}") as recording,
        create_sound(tmp_path / f"c{case[0]}", like=recording) as writer,
    ):
        for block in recording:
            writer.write(block)
    assert recording.lost is not None
    assert "(truncated)" in recording.lost
    left = pictures(tmp_path / f"c{case[0]}")
    assert 10 < len(left) < 60
    whole = [data for _, data in pictures(source)]
    assert [data for _, data in left][:-1] == whole[: len(left) - 1]


def test_pictures_are_not_read_ahead_of_the_sound(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", FILMS[5])
    with open_sound(source) as recording, create_sound(tmp_path / "b.mkv", like=recording) as writer:
        writer.write(np.zeros((recording.rate // 2, 1), np.float32))
        coming = list(writer._coming)  # type: ignore[attr-defined]
    assert len([p for p in coming if p.size]) > 40


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", FILMS[0])
    with open_sound(source) as recording:
        writer = create_sound(tmp_path / "b.mp4", like=recording)
        writer.write(next(iter(recording)))
        with pytest.raises(KeyboardInterrupt), writer:
            raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("case", [FILMS[3], FILMS[5], FILMS[10]], ids=lambda case: case[0])
def test_a_full_disk_is_told_with_the_name_of_the_person(tmp_path: Path, case: tuple[str, str, str, str, int]) -> None:
    resource = pytest.importorskip("resource")
    source, target = film(tmp_path / f"a{case[0]}", case), tmp_path / f"b{case[0]}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            dubbed(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(target))
    assert [p.name for p in tmp_path.iterdir()] == [source.name]


def test_what_is_no_film_and_no_sound_is_refused(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", FILMS[0])
    with open_sound(source) as recording, pytest.raises(UsageError, match="cannot be written"):
        create_sound(tmp_path / "b.txt", like=recording)
