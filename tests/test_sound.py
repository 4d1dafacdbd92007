"""Sounds in many formats: what is read is what is heard, what is written is what was read, damage is told."""

import errno
import os
import re
import tracemalloc
import wave
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cyclegan.errors import InputError, UsageError
from cyclegan.media.kinds import SOUND_SUFFIXES, is_sound, renamed
from cyclegan.media.sounds.reader import Recording, open_sound, read_sound
from cyclegan.media.sounds.samples import frame_of
from cyclegan.media.sounds.target import CONTAINERS
from cyclegan.media.sounds.timeline import Timeline
from cyclegan.media.sounds.writer import create_sound

Wave = NDArray[np.float32]


def tones(seconds: float, *, rate: int, channels: int = 1, bits: int = 16) -> Wave:
    """Draw a tone for each channel, on the grid of `bits`."""
    time = np.arange(round(seconds * rate)) / rate
    drawn = np.stack([0.4 * np.sin(2 * np.pi * 300 * (c + 1) * time + c) for c in range(channels)], 1)
    return (np.rint(drawn * 2 ** (bits - 1)) / 2 ** (bits - 1)).astype(np.float32)


def drawn(path: Path, sound: Wave, *, rate: int, codec: str, kind: str, bits: int = 0, container: str = "") -> Path:
    """Write a sound with PyAV alone."""
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[sound.shape[1]]
    with av.open(str(path), "w", format=container or CONTAINERS[path.suffix]) as out:
        track = out.add_stream(codec, rate=rate)
        assert isinstance(track, av.AudioStream)
        track.layout, track.format = layout, kind
        out.metadata["title"] = "a secret"
        for begin in range(0, len(sound), rate):
            frame = frame_of(sound[begin : begin + rate], layout=layout, kind=kind, bits=bits)
            frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def plain_wav(path: Path, sound: Wave, *, rate: int = 8000) -> Path:
    """Write 16 bits with the standard library."""
    with wave.open(str(path), "wb") as out:
        out.setparams((sound.shape[1], 2, rate, 0, "NONE", ""))
        out.writeframes(np.rint(sound * 32768).astype("<i2").tobytes())
    return path


def rewritten(source: Path, target: Path, *, comment: str = "", keep_metadata: bool = False) -> list[str]:
    """Send a sound through reader and writer, and return what the writer noted."""
    with (
        open_sound(source) as recording,
        create_sound(target, like=recording, comment=comment, keep_metadata=keep_metadata) as writer,
    ):
        for block in recording:
            writer.write(block)
    return writer.notes


def words(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return container.metadata | container.streams.audio[0].metadata


def coded(path: Path) -> tuple[str, str]:
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        return track.codec_context.name, track.format.name


def noise_ratio(sound: Wave, other: Wave) -> float:
    """Return the ratio of signal to noise in dB."""
    assert sound.shape == other.shape
    return float(10 * np.log10((sound**2).sum() / ((sound - other) ** 2).sum()))


EXACT = [  # file, codec, sample format, bits, rate, channels
    ("a.wav", "pcm_u8", "u8", 8, 8000, 1),
    ("a.wav", "pcm_s16le", "s16", 16, 44100, 2),
    ("a.wav", "pcm_s24le", "s32", 24, 48000, 1),
    ("a.wav", "pcm_s32le", "s32", 24, 16000, 1),
    ("a.wav", "pcm_f32le", "flt", 0, 192000, 2),
    ("a.wav", "pcm_f64le", "dbl", 0, 16000, 1),
    ("a.wav", "pcm_s16le", "s16", 16, 48000, 6),
    ("a.flac", "flac", "s16", 16, 8000, 2),
    ("a.flac", "flac", "s32", 24, 192000, 2),
    ("a.ogg", "flac", "s16", 16, 44100, 1),
    ("a.m4a", "alac", "s16p", 16, 44100, 2),
    ("a.aiff", "pcm_s24be", "s32", 24, 44100, 2),
]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: f"{case[0]}-{case[1]}-{case[4]}-{case[5]}")
def test_lossless_sounds_come_back_bit_by_bit(tmp_path: Path, case: tuple[str, str, str, int, int, int]) -> None:
    name, codec, kind, bits, rate, channels = case
    sound = tones(1.3, rate=rate, channels=channels, bits=bits or 16)
    source = drawn(tmp_path / name, sound, rate=rate, codec=codec, kind=kind, bits=bits)
    before = source.read_bytes()

    assert rewritten(source, tmp_path / f"new{source.suffix}", comment="styl: alice to bob") == []

    read, again = read_sound(source), read_sound(tmp_path / f"new{source.suffix}")
    np.testing.assert_array_equal(read.samples, sound)
    np.testing.assert_array_equal(again.samples, sound)
    assert (again.rate, again.lost, again.notes) == (rate, None, ())
    assert coded(tmp_path / f"new{source.suffix}") == coded(source)
    assert words(tmp_path / f"new{source.suffix}").get("comment") == "styl: alice to bob"
    assert source.read_bytes() == before


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
def test_the_same_sound_makes_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    source, made = plain_wav(tmp_path / "a.wav", tones(0.5, rate=16000), rate=16000), set[bytes]()
    for _ in range(2):
        rewritten(source, tmp_path / f"new{suffix}", comment="styl: alice to bob")
        made.add((tmp_path / f"new{suffix}").read_bytes())
    assert len(made) == 1


LOSSY = [  # file, codec, sample format, rate, channels, least ratio in dB
    ("a.mp3", "libmp3lame", "fltp", 44100, 2, 20),
    ("a.mp3", "libmp3lame", "fltp", 16000, 1, 20),
    ("a.m4a", "aac", "fltp", 44100, 1, 20),
    ("a.ogg", "libopus", "flt", 48000, 2, 20),
    ("a.opus", "libopus", "flt", 16000, 1, 20),
]


@pytest.mark.parametrize("case", LOSSY, ids=lambda case: f"{case[0]}-{case[3]}")
def test_lossy_sounds_keep_length_and_place(tmp_path: Path, case: tuple[str, str, str, int, int, float]) -> None:
    name, codec, kind, rate, channels, least = case
    source = drawn(tmp_path / name, tones(2.1, rate=rate, channels=channels), rate=rate, codec=codec, kind=kind)
    target = tmp_path / f"new{source.suffix}"

    assert rewritten(source, target, comment="styl") == []

    read, again = read_sound(source), read_sound(target)
    assert abs(len(read.samples) / read.rate - 2.1) < 0.001
    assert noise_ratio(read.samples, again.samples) > least  # a shift of a few samples would be heard here
    assert coded(target) == coded(source)
    assert words(target).get("comment") == "styl"
    assert 0.6 < target.stat().st_size / source.stat().st_size < 1.7


@pytest.mark.parametrize("suffix", sorted(SOUND_SUFFIXES))
def test_every_suffix_is_written_and_carries_the_comment_but_nothing_private(tmp_path: Path, suffix: str) -> None:
    source = drawn(tmp_path / "in.flac", tones(1, rate=16000), rate=16000, codec="flac", kind="s16", bits=16)
    rewritten(source, tmp_path / f"out{suffix}", comment="made by styl")
    said = words(tmp_path / f"out{suffix}")
    assert said.get("comment") == "made by styl"
    assert "a secret" not in said.values()
    rewritten(source, tmp_path / f"kept{suffix}", comment="made by styl", keep_metadata=True)
    assert words(tmp_path / f"kept{suffix}").get("title", words(tmp_path / f"kept{suffix}").get("TITLE")) == "a secret"
    seconds = len(read_sound(tmp_path / f"out{suffix}").samples) / read_sound(tmp_path / f"out{suffix}").rate
    assert abs(seconds - 1) < (0.15 if suffix == ".aac" else 1e-3)  # adts cannot say what the encoder added


def test_the_comment_of_a_wav_is_in_its_info(tmp_path: Path) -> None:
    source = plain_wav(tmp_path / "in.wav", tones(0.1, rate=8000))
    rewritten(source, tmp_path / "out.wav", comment="synthetic voice")
    data = (tmp_path / "out.wav").read_bytes()
    assert data[data.index(b"INFO") :].index(b"ICMT\x10\x00\x00\x00synthetic voice\x00") > 0


def test_other_formats_get_their_natural_depth(tmp_path: Path) -> None:
    lossy = drawn(tmp_path / "in.mp3", tones(1, rate=16000), rate=16000, codec="libmp3lame", kind="fltp")
    floats = drawn(tmp_path / "in.wav", tones(1, rate=16000), rate=16000, codec="pcm_f32le", kind="flt")
    rewritten(lossy, tmp_path / "a.wav")
    rewritten(lossy, tmp_path / "a.flac")
    notes = rewritten(floats, tmp_path / "b.flac")
    assert [coded(tmp_path / n) for n in ("a.wav", "a.flac", "b.flac")] == [
        ("pcm_s16le", "s16"),
        ("flac", "s16"),
        ("flac", "s32"),
    ]
    assert notes == ["24 bits a sample written, as flac holds no more"]
    np.testing.assert_array_equal(read_sound(tmp_path / "b.flac").samples, read_sound(floats).samples)


def test_what_a_codec_cannot_hold_is_resampled_and_said_or_refused(tmp_path: Path) -> None:
    high = drawn(tmp_path / "in.flac", tones(1, rate=96000), rate=96000, codec="flac", kind="s16", bits=16)
    assert rewritten(high, tmp_path / "a.mp3") == ["resampled from 96000 to 48000 Hz, as mp3 holds no other"]
    made = read_sound(tmp_path / "a.mp3")
    assert made.rate == 48000
    assert noise_ratio(tones(1, rate=48000), made.samples[:48000]) > 20
    many = drawn(
        tmp_path / "in.wav", tones(1, rate=8000, channels=6), rate=8000, codec="pcm_s16le", kind="s16", bits=16
    )
    with pytest.raises(UsageError, match="mp3 cannot hold 6 channels"):
        rewritten(many, tmp_path / "b.mp3")
    with pytest.raises(UsageError, match=r"cannot be written as '\.xyz'"):
        rewritten(many, tmp_path / "b.xyz")
    with pytest.raises(UsageError, match="for films"):
        rewritten(many, tmp_path / "b.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp3", "in.flac", "in.wav"]


def test_samples_are_rounded_and_clipped_but_never_wrap(tmp_path: Path) -> None:
    source = plain_wav(tmp_path / "in.wav", tones(0.1, rate=8000))
    steps = np.array([0, 0.4, 0.6, -0.4, -0.6, 1.5, 2.5]) / 32768  # to the nearest, halves to the even one
    block = np.array([*steps, 1.0, -1.0, 1.25, -1.25, np.nan], np.float32)[:, None]
    with open_sound(source) as recording, create_sound(tmp_path / "out.wav", like=recording) as writer:
        writer.write(block)
    with wave.open(str(tmp_path / "out.wav")) as made:
        values = np.frombuffer(made.readframes(99), "<i2").tolist()
    assert values == [0, 0, 1, 0, -1, 2, 2, 32767, -32768, 32767, -32768, 0]
    assert writer.notes == [
        "2 samples louder than full scale were clipped",
        "1 samples that are no number (NaN, infinite) were made silent",
    ]


def test_floating_point_is_not_clipped_and_what_is_no_number_becomes_silence(tmp_path: Path) -> None:
    sound = np.array([[0.5], [1.75], [np.nan], [-3], [np.inf], [0.25]], np.float32)
    source = drawn(tmp_path / "in.wav", sound, rate=8000, codec="pcm_f32le", kind="flt")
    assert rewritten(source, tmp_path / "out.wav") == []
    made = read_sound(tmp_path / "out.wav")
    assert made.samples[:, 0].tolist() == [0.5, 1.75, 0, -3, 0, 0.25]
    assert read_sound(source).notes == ("2 samples that are no number (NaN, infinite) were made silent",)


def test_golden_samples_of_8_16_24_and_32_bits(tmp_path: Path) -> None:
    for codec, kind, bits in [("pcm_u8", "u8", 8), ("pcm_s16le", "s16", 16), ("pcm_s24le", "s32", 24)]:
        lowest = np.array([[-1], [0], [2.0 ** (1 - bits)], [1 - 2.0 ** (1 - bits)]], np.float32)
        source = drawn(tmp_path / "a.wav", lowest, rate=8000, codec=codec, kind=kind, bits=bits)
        np.testing.assert_array_equal(read_sound(source).samples, lowest)
    source = drawn(tmp_path / "a.wav", lowest, rate=8000, codec="pcm_s32le", kind="s32", bits=32)
    np.testing.assert_array_equal(read_sound(source).samples, lowest)


@pytest.mark.parametrize("channels", [6, 8])
def test_channels_stay_in_their_order(tmp_path: Path, channels: int) -> None:
    sound = np.zeros((8000 * channels, channels), np.float32)
    for channel in range(channels):
        sound[channel * 8000 : channel * 8000 + 4000, channel] = tones(0.5, rate=8000)[:, 0]
    source = drawn(tmp_path / "in.wav", sound, rate=48000, codec="pcm_s16le", kind="s16", bits=16)
    for suffix in (".flac", ".ogg", ".m4a"):
        rewritten(source, tmp_path / f"out{suffix}")
        energy = (read_sound(tmp_path / f"out{suffix}").samples[: len(sound)].reshape(-1, 8000, channels) ** 2).sum(1)
        assert energy.argmax(1).tolist() == list(range(channels)), suffix


def test_rf64_is_read(tmp_path: Path) -> None:
    sound = tones(0.5, rate=8000)
    with av.open(str(tmp_path / "a.wav"), "w", format="wav", options={"rf64": "always"}) as out:
        track = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = frame_of(sound, layout="mono", kind="s16", bits=16)
        frame.sample_rate = 8000
        out.mux(track.encode(frame))  # type: ignore[arg-type]
        out.mux(track.encode(None))
    data = (tmp_path / "a.wav").read_bytes()
    assert data.startswith(b"RF64")
    np.testing.assert_array_equal(read_sound(tmp_path / "a.wav").samples, sound)
    (tmp_path / "b.wav").write_bytes(data[:-4000])
    assert read_sound(tmp_path / "b.wav").lost == "input ends at 0.2 of 0.5 s (truncated)"


def test_a_long_sound_is_never_whole_in_memory(tmp_path: Path) -> None:
    minutes, rate = 10, 8000
    with wave.open(str(tmp_path / "long.wav"), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        for minute in range(minutes):
            out.writeframes(np.full(60 * rate, minute, "<i2").tobytes())
    tracemalloc.start()
    try:
        with (
            open_sound(tmp_path / "long.wav") as recording,
            create_sound(tmp_path / "out.wav", like=recording) as writer,
        ):
            longest = 0
            for block in recording:
                longest = max(longest, len(block))
                writer.write(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert recording.seconds == minutes * 60
    assert longest <= 2 * rate
    assert peak < 2_000_000, "all of it would be 19.2 MB"
    with wave.open(str(tmp_path / "long.wav")) as one, wave.open(str(tmp_path / "out.wav")) as two:
        assert one.readframes(minutes * 60 * rate) == two.readframes(minutes * 60 * rate)


def cut(source: Path, target: Path, share: float) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: round(len(data) * share)])
    return target


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [
        ("a.wav", "pcm_s16le", "s16"),
        ("a.flac", "flac", "s16"),
        ("a.aiff", "pcm_s16be", "s16"),
        ("a.mp3", "libmp3lame", "fltp"),
        ("a.ogg", "libopus", "flt"),
    ],
)
def test_what_is_left_of_a_truncated_sound_is_read_and_the_rest_told(
    tmp_path: Path, name: str, codec: str, kind: str
) -> None:
    rng = np.random.default_rng(0)  # noise, so that every second takes as many bytes
    sound = rng.uniform(-0.5, 0.5, (6 * 16000, 1)).astype(np.float32)
    source = drawn(tmp_path / name, sound, rate=16000, codec=codec, kind=kind, bits=16 if kind == "s16" else 0)
    assert read_sound(source, strict=True).lost is None
    half = cut(source, tmp_path / f"half{source.suffix}", 0.5)

    made = read_sound(half)

    assert 1.8 < len(made.samples) / made.rate < 3.2
    whole = read_sound(source).samples
    np.testing.assert_allclose(made.samples[:16000], whole[:16000], atol=1e-6)
    assert made.lost is not None
    assert "(truncated)" in made.lost
    assert ("of 6.0 s" in made.lost) == (name != "a.ogg")
    with pytest.raises(InputError, match="half"):
        read_sound(half, strict=True)


def test_flipped_bytes_of_a_flac_become_silence_in_their_place(tmp_path: Path) -> None:
    sound = np.random.default_rng(1).uniform(-0.1, 0.1, (6 * 16000, 1)).astype(np.float32)
    source = drawn(tmp_path / "a.flac", sound, rate=16000, codec="flac", kind="s16", bits=16)
    data = bytearray(source.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 200, 9):
        data[place] ^= 0x55
    (tmp_path / "b.flac").write_bytes(bytes(data))

    whole, made = read_sound(source).samples, read_sound(tmp_path / "b.flac")

    assert made.samples.shape == whole.shape
    wrong = np.flatnonzero((made.samples != whole)[:, 0])
    assert 0 < len(wrong) < 3 * 4608
    assert np.abs(made.samples).max() < 0.11, "no burst of noise"
    np.testing.assert_array_equal(made.samples[wrong[-1] + 1 :], whole[wrong[-1] + 1 :])
    assert wrong[-1] < 60000
    assert made.lost is not None
    with pytest.raises(InputError):
        read_sound(tmp_path / "b.flac", strict=True)


def test_undecodable_packets_of_an_m4a_become_silence_and_nothing_shifts(tmp_path: Path) -> None:
    source = drawn(tmp_path / "a.m4a", tones(4, rate=16000), rate=16000, codec="aac", kind="fltp")
    data, spoilt = bytearray(source.read_bytes()), 0
    with av.open(str(source)) as container:
        for packet in container.demux(audio=0):
            if packet.pts is not None and 30000 < packet.pts < 36000 and packet.pos:
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
                spoilt += 1
    (tmp_path / "b.m4a").write_bytes(bytes(data))
    whole, made = read_sound(source), read_sound(tmp_path / "b.m4a")
    assert made.lost == f"{spoilt} packets between 1.9 and 2.2 s could not be decoded"
    assert made.samples.shape == whole.samples.shape
    assert not made.samples[32000:34000].any()
    np.testing.assert_allclose(made.samples[40000:], whole.samples[40000:], atol=1e-4)


def test_a_timeline_fills_gaps_cuts_overlaps_and_forgives_jitter() -> None:
    line = Timeline(1000, origin=Fraction(2), end=100.0, container="wav")
    assert line.gap_before(Fraction(5, 2), exactly=True) == 500  # begins half a second later: no gap, but silence
    assert line.gaps.number == 0
    line.heard = 1000
    assert line.gap_before(Fraction(3010, 1000), exactly=False) == 0
    assert line.gap_before(Fraction(3010, 1000), exactly=True) == 10
    assert line.gap_before(Fraction(3200, 1000), exactly=False) == 200
    assert line.gaps.told("gap", "seen") == "1 gap at 1.0 s seen"
    assert line.gap_before(Fraction(2900, 1000), exactly=False) == -100
    assert line.gap_before(Fraction(50_000), exactly=False) == 0  # far behind the end: another clock, which is kept
    assert line.gap_before(Fraction(50_000), exactly=False) == 0
    assert line.missing_until(Fraction(50_001)) == 1000
    assert line.notes == ["sound that overlaps was cut", "times that leap were put in order"]


def test_gaps_of_days_are_left_out_and_told(tmp_path: Path) -> None:
    """Some kilobytes may say that they last for eleven days: silence would be written for as long."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        track = out.add_stream("flac", rate=8000)
        assert isinstance(track, av.AudioStream)
        track.layout, track.format = "mono", "s16"
        for begin in (0, 20, 10**6, 10**6 + 4000):  # seconds: a pause of 19 s, a leap of days, and one of an hour
            frame = frame_of(tones(1.0, rate=8000), layout="mono", kind="s16", bits=16)
            frame.sample_rate, frame.pts, frame.time_base = 8000, begin * 8000, Fraction(1, 8000)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    with open_sound(path) as recording:
        length = sum(len(block) for block in recording)
    assert length == pytest.approx(23 * 8000, abs=8000)
    assert recording.lost is not None
    assert re.search(r"1,00[23],\d+ s without sound were left out, as gaps are too long", recording.lost)
    with open_sound(path, strict=True) as recording, pytest.raises(InputError, match="gaps are too long"):
        list(recording)


def test_a_rate_that_changes_on_the_way_becomes_that_of_the_beginning(tmp_path: Path) -> None:
    parts = [
        drawn(tmp_path / f"{rate}.aac", tones(1, rate=rate), rate=rate, codec="aac", kind="fltp").read_bytes()
        for rate in (16000, 32000)
    ]
    (tmp_path / "both.aac").write_bytes(b"".join(parts))
    sound = read_sound(tmp_path / "both.aac")
    assert sound.rate == 16000
    assert abs(len(sound.samples) - 32000) < 3000
    assert noise_ratio(*aligned(sound.samples[-12000:-2000, 0], tones(1, rate=16000)[:, 0])) > 15
    assert "rate or channels change on the way: they were made those of the beginning" in sound.notes


def aligned(sound: Wave, tone: Wave) -> tuple[Wave, Wave]:
    """Return a part of a tone, and the tone shifted to where it fits best."""
    shifts = [tone[shift : shift + 5000] for shift in range(600)]
    return sound[:5000], max(shifts, key=lambda part: float(part @ sound[:5000]))


def broken(folder: Path) -> Sequence[tuple[Path, str]]:
    """Draw files that are no sounds, and what is to be said about them."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not a sound at all\n" * 300)
    (folder / "text.mp3").write_text("not a sound at all\n" * 300)
    (folder / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{folder / 'silence.wav'}\n")
    Image.new("RGB", (64, 64), "red").save(folder / "picture.mp3", "PNG")
    Image.new("RGB", (64, 64), "red").save(folder / "picture.wav", "JPEG")
    plain_wav(folder / "nothing.wav", np.zeros((0, 1), np.float32))
    plain_wav(folder / "silence.wav", np.zeros((100, 1), np.float32))
    (folder / "header.flac").write_bytes(b"fLaC\x00\x00\x00\x22" + bytes(10))
    (folder / "folder.wav").mkdir()
    fast = bytearray(plain_wav(folder / "fast.wav", np.zeros((100, 1), np.float32)).read_bytes())
    fast[24:28] = (2**31 - 1).to_bytes(4, "little")
    (folder / "fast.wav").write_bytes(bytes(fast))
    return [
        (folder / "empty.wav", "empty file"),
        (folder / "text.wav", "not a sound"),
        (folder / "text.mp3", "not a sound"),
        (folder / "list.m3u8", "not a sound"),
        (folder / "picture.mp3", "not a sound|no sound"),
        (folder / "picture.wav", "not a sound|no sound"),
        (folder / "nothing.wav", "not one sample"),
        (folder / "header.flac", "not"),
        (folder / "folder.wav", "not a file"),
        (folder / "fast.wav", "1 channels of 2147483647 Hz cannot be read"),
        (folder / "silense.wav", "no such file"),
    ]


def test_what_is_no_sound_is_refused_in_one_line(tmp_path: Path) -> None:
    for path, reason in broken(tmp_path):
        with pytest.raises(InputError, match=reason) as caught:
            open_sound(path)
        assert caught.value.what.startswith(str(path))
        assert "\n" not in caught.value.what
        assert caught.value.hint
    assert "silence.wav" in caught.value.hint, "did you mean"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="not a file"):
        open_sound(tmp_path / "pipe.wav")


def test_more_than_fits_into_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = plain_wav(tmp_path / "a.wav", tones(1, rate=8000))
    monkeypatch.setattr("cyclegan.media.sounds.reader._MOST_SAMPLES", 7999)
    monkeypatch.setattr(Recording, "__iter__", None)
    with pytest.raises(InputError, match="longer than"):
        read_sound(source)


def test_a_failure_leaves_nothing_and_the_old_file_stays(tmp_path: Path) -> None:
    source = plain_wav(tmp_path / "in.wav", tones(2, rate=8000))
    (tmp_path / "out.flac").write_bytes(b"old")
    with open_sound(source) as recording:
        writer = create_sound(tmp_path / "out.flac", like=recording)
        writer.write(next(iter(recording)))
        assert len(list(tmp_path.iterdir())) == 3
        with pytest.raises(ZeroDivisionError), writer:
            raise ZeroDivisionError
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav", "out.flac"]
    assert (tmp_path / "out.flac").read_bytes() == b"old"


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".m4a"])
def test_a_full_disk_is_told_with_the_name_of_the_person(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource")
    source = plain_wav(tmp_path / "in.wav", np.random.default_rng(0).uniform(-1, 1, (80000, 1)).astype(np.float32))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            rewritten(source, tmp_path / f"o{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / f"o{suffix}"))
    assert [p.name for p in tmp_path.iterdir()] == ["in.wav"]


def test_sound_formats_are_for_sounds() -> None:
    assert set(CONTAINERS) == SOUND_SUFFIXES
    assert is_sound(Path("a.WAV"))
    assert not is_sound(Path("a.mp4"))
    assert renamed("flac") == dict.fromkeys(SOUND_SUFFIXES, ".flac")
    assert ".wav" not in renamed("mp4")
    assert ".wav" not in renamed("png")
    with pytest.raises(UsageError) as caught:
        renamed("flacc")
    assert caught.value.hint == "did you mean 'flac'?"
