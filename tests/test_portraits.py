"""Folders of recordings with planted junk, another speaker and copies, looked into as folders of pictures are."""

import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import voices
from numpy.typing import NDArray

from cyclegan.curation.findings import Findings, findings, looked_at
from cyclegan.errors import InputError
from cyclegan.media.sounds.excerpt import excerpt, trimmed
from cyclegan.media.sounds.reader import Recording
from cyclegan.media.sounds.samples import Block
from cyclegan.media.sounds.wav import encode_wav
from cyclegan.training.acquaintance import DATA, Gathered, acquaint, described, gather
from cyclegan.training.portraits import Portraits, course, manner
from cyclegan.training.scan import scan

Samples = NDArray[np.float64]
RATE = 16_000
DIGITS = Path(__file__).parents[2] / "shared/data/voice"
WORDS = "the old man walked over a green hill while seven birds sang about rain and early winter mornings"


def write(path: Path, samples: Samples, *, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_wav(samples, rate=rate))
    return path


def read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def as_mp3(path: Path, samples: Samples, *, rate: int = RATE) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=rate)
        stream.layout, stream.bit_rate = "mono", 64_000
        whole = (samples * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def chords(count: int, chance: np.random.Generator) -> Samples:
    time = np.arange(count) / RATE
    beat = (time / 0.4).astype(int)
    roots = chance.choice([130.8, 146.8, 174.6, 196.0], beat.max() + 1)[beat]
    tones = [np.sin(2 * np.pi * roots * step * k * time) / k for step in (1, 1.26, 1.5) for k in (1, 2, 3)]
    return np.asarray(0.04 * np.sum(tones, axis=0) * np.exp(-3 * (time % 0.4)))


def junk(clean: Samples) -> dict[str, Samples]:
    """Return what does not belong into a folder of speech, by name."""
    chance, time = np.random.default_rng(0), np.arange(len(clean)) / RATE
    loud = np.sqrt(np.mean(clean**2))
    hiss = chance.standard_normal(len(clean))
    return {
        "noise": 0.05 * hiss,
        "hum": np.sum([0.05 / k * np.sin(2 * np.pi * 50 * k * time) for k in range(1, 8)], axis=0) + 3e-4 * hiss,
        "music": chords(len(clean), chance),
        "clipped": 0.5 * np.clip(clean / (0.3 * loud), -1, 1),
        "drowned": clean + loud * hiss,
        "soft": (clean / np.abs(clean).max() * 24).round() / 32768,  # five bits
    }


def looked(*folders: Path, closely: bool = False) -> tuple[Findings, Gathered]:
    medium = Portraits(DATA)
    data = DATA.__class__(**{**DATA.__dict__, "folders": tuple(map(str, folders)), "cache_gb": 0})
    gathered = gather(scan(data, medium=medium).albums, medium=medium)
    known = looked_at(gathered.pictures)
    known = described(gathered, known, acquaint(gathered)) if closely else known
    return findings(known, gathered.folders, gathered.pairs()), gathered


def ranks(found: Findings, gathered: Gathered) -> list[str]:
    """Return the names of recordings, the oddest first."""
    return [Path(gathered.paths[i]).stem for i in found.score.argsort(descending=True).tolist()]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder of 140 recordings of one speaker, with seven that are none of it and copies of five."""
    folder = tmp_path_factory.mktemp("voices") / "alice"
    for path in voices.write_folder(folder, speaker="low", count=140, seconds=2.0):
        write(path, read(path)[: round(RATE * (1.2 + 0.1 * (int(path.stem) % 9)))])
    planted = junk(voices.say(777, speaker="low", seconds=2.0)) | {"bob": voices.say(888, speaker="high", seconds=2.0)}
    for name, samples in planted.items():
        write(folder / f"{name}.wav", samples)
    write(folder / "copy-1.wav", read(folder / "0001.wav") * 0.3)
    write(folder / "copy-2.wav", read(folder / "0002.wav")[RATE // 10 :])
    write(folder / "copy-3.wav", read(folder / "0003.wav")[::2], rate=RATE // 2)
    as_mp3(folder / "copy-4.mp3", read(folder / "0004.wav"))
    shutil.copy(folder / "0005.wav", folder / "copy-5.wav")
    return folder, list(planted)


def test_junk_and_another_speaker_are_the_oddest(planted: tuple[Path, list[str]]) -> None:
    found, gathered = looked(planted[0])
    assert set(ranks(found, gathered)[:7]) == set(planted[1])
    aside = {Path(gathered.paths[i]).stem for i in found.odd.nonzero()[:, 0].tolist()}
    assert len(aside & set(planted[1])) >= 5  # a twentieth of the folder is seven
    assert len(aside - set(planted[1])) <= 2


def test_copies_are_found_at_another_level_cut_at_half_the_rate_and_as_mp3(planted: tuple[Path, list[str]]) -> None:
    found, gathered = looked(planted[0])
    pairs = {tuple(sorted(Path(gathered.paths[i]).stem for i in (p.first, p.second))) for p in found.pairs}
    assert pairs == {(f"000{i}", f"copy-{i}") for i in range(1, 6)}


def test_recordings_in_the_other_speakers_folder_are_found(tmp_path: Path) -> None:
    low = voices.write_folder(tmp_path / "low", speaker="low", count=60, seconds=1.5)
    voices.write_folder(tmp_path / "high", speaker="high", count=60, seconds=1.5, seed=1)
    for i in range(4):
        low[i].rename(tmp_path / "high" / f"stray-{i}.wav")
    found, gathered = looked(tmp_path / "low", tmp_path / "high")
    wrong = {Path(gathered.paths[place]).stem for place, _, _ in found.misfiled}
    assert wrong == {f"stray-{i}" for i in range(4)}
    assert found.separable is not None
    assert found.separable > 0.8


def test_how_it_sounds_does_not_depend_on_level_nor_on_silence_around_it() -> None:
    spoken = voices.say(3, speaker="high", seconds=2.0)
    around = np.concatenate([np.zeros(RATE), spoken, np.zeros(RATE // 2)])  # whole moments: the same cut
    assert np.array_equal(trimmed(around, rate=RATE), trimmed(spoken, rate=RATE))
    assert np.abs(manner(spoken * 0.1).astype(int) - manner(spoken)).max() <= 1
    assert np.abs(course(spoken * 0.1).astype(int) - course(spoken)).max() <= 1


def test_a_pitch_lies_where_it_belongs() -> None:
    """120 Hz is a third of the way from 60 to 480: 21 of 64 from the bottom, in the tenth tile of 16 from the top."""
    time = np.arange(2 * RATE) / RATE
    buzz = np.sign(np.sin(2 * np.pi * 120 * time))
    pitch = manner(0.1 * buzz)[..., 2]
    tiles = pitch.reshape(4, 16, 4, 16).transpose(0, 2, 1, 3).reshape(16, 4, 4, 16)[:, :, 0, -1]  # loudest moments
    rows = tiles.reshape(64)
    assert rows[42] > 240
    assert rows[42] == rows.max()
    assert rows[:32].max() < 100  # above 240 Hz there is no period


def test_silence_is_named_and_does_not_stop_the_look(tmp_path: Path) -> None:
    write(tmp_path / "a" / "silence.wav", np.zeros(RATE))
    write(tmp_path / "a" / "click.wav", np.concatenate([np.zeros(RATE), np.ones(100), np.zeros(RATE)]))
    voices.write_folder(tmp_path / "a", speaker="low", count=3, seconds=0.5)
    found = scan(DATA.__class__(**{**DATA.__dict__, "folders": (str(tmp_path / "a"),)}), medium=Portraits(DATA))
    (album,) = found.albums
    assert album.facts["silence.wav"].problem == "nothing but silence"
    assert "less than 0.1 seconds of sound" in album.facts["click.wav"].problem
    assert len(album.usable) == 3
    assert album.facts["0000.wav"].seconds == pytest.approx(0.5, abs=0.001)
    assert album.facts["0000.wav"].rate == RATE


def test_of_a_long_recording_only_the_beginning_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begins = 5 * RATE + 123
    spoken = np.random.default_rng(0).uniform(-0.5, 0.5, 30 * RATE)
    path = write(tmp_path / "long.wav", np.concatenate([np.zeros(begins), spoken]))
    blocks, read_blocks = 0, Recording.__iter__

    def counted(recording: Recording) -> Iterator[Block]:
        nonlocal blocks
        for block in read_blocks(recording):
            blocks += 1
            yield block

    monkeypatch.setattr(Recording, "__iter__", counted)
    samples, rate = excerpt(path, seconds=3)
    assert (rate, len(samples)) == (RATE, 3 * RATE)
    first = int(np.flatnonzero(samples)[0])
    assert first < 0.02 * RATE
    assert np.abs(samples[first:] - spoken[: len(samples) - first]).max() < 1e-4
    assert blocks <= 10
    with pytest.raises(InputError, match="not a sound"):
        excerpt(Path(__file__), seconds=3)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not shutil.which("flite"), reason="needs flite")
@pytest.mark.parametrize("voice", ["rms", "slt", "awb"])
def test_synthetic_speakers_keep_what_was_promised(voice: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    spoken = [(voice, f"{i:03d}") for i in range(110)] + [("kal16", f"other-{i}") for i in range(3)]
    for speaker, name in spoken:
        text, target = " ".join(chance.choice(WORDS.split(), 9)), tmp_path / voice / f"{name}.wav"
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["flite", "-voice", speaker, "-t", text, str(target)], check=True)
    clean = tmp_path / voice / "000.wav"
    bad = junk(read(clean))
    clean.unlink()  # what is soft would be its copy
    for name, samples in bad.items():
        write(tmp_path / voice / f"{name}.wav", samples)
    found, gathered = looked(tmp_path / voice, closely=True)
    assert set(ranks(found, gathered)[:9]) == {*bad, "other-0", "other-1", "other-2"}
    assert found.pairs == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (DIGITS / "jackson").is_dir(), reason="needs the recorded digits")
def test_recorded_digits_in_the_wrong_folder_are_found(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for name in ("jackson", "george"):
        (tmp_path / name).mkdir()
        for path in chance.choice(sorted((DIGITS / name).glob("*.wav")), 150, replace=False):
            shutil.copy(path, tmp_path / name)
    strays = sorted((tmp_path / "jackson").iterdir())[::30]
    for path in strays:
        path.rename(tmp_path / "george" / path.name)
    found, gathered = looked(tmp_path / "jackson", tmp_path / "george", closely=True)
    wrong = {Path(gathered.paths[place]).name for place, _, _ in found.misfiled}
    assert len(wrong & {path.name for path in strays}) >= 3  # of 5
    assert len(wrong) <= 6
    assert found.separable is not None
    assert found.separable > 0.95
    assert torch.equal(gathered.folders.bincount(), torch.tensor([145, 155]))
