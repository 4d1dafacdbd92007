"""Recordings and films through a translator of voices: length, rate, channels and loudness stay, files are named."""

import json
import shutil
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from films import Recipe, Sound, facts, make
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from voices import say, write_folder

import cyclegan.cli as cli
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli.edge import guarded
from cyclegan.codecs import Voice, world
from cyclegan.codecs.voice import as_loud, features
from cyclegan.codecs.world import Speech
from cyclegan.errors import CheckpointError, InputError
from cyclegan.experiment import Experiment
from cyclegan.media.sounds.loudness import USUAL, loudness
from cyclegan.media.sounds.reader import open_sound, read_sound
from cyclegan.media.sounds.wav import CONVERTED
from cyclegan.networks import NETWORKS
from cyclegan.translation import pieces
from cyclegan.translation.voice import KNEE, VoiceTranslator, limited

pytest.importorskip("pyworld")

RATE = 16_000
PAINTED = Path(__file__).parents[1] / "weights/painted-horses.safetensors"

Samples = NDArray[Any]


@pytest.fixture(scope="module")
def codec() -> Voice:
    """Two speakers, of a second each."""
    empty = Voice(RATE, 36, 5.0, {})
    spoken: dict[str, Any] = {"low": "low", "high": "high"}
    heard = {n: [features(empty.analyse(say(1, speaker=s, seconds=1.0) * (USUAL / 0.07)))] for n, s in spoken.items()}
    return Voice.learn(heard, rate=RATE, coefficients=36, period=5.0)


@pytest.fixture(scope="module")
def weights(codec: Voice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Translators that begin as they all do, changing nothing: what is heard is the mean shift."""
    options: dict[str, Any] = {"width": 4, "inner": 16, "blocks": 1, "kernel": 3, "height": 36}
    torch.manual_seed(0)
    about = {
        "kind": "translator",
        "domains": ["low", "high"],
        "routes": [["low", "high", "G"], ["high", "low", "F"]],
        "networks": {name: {"name": "2-1-2d", **options} for name in "GF"},
        "codec": codec.spec(),
        "images": 0,
    }
    state = {f"{name}.{key}": t for name in "GF" for key, t in NETWORKS["2-1-2d"](**options).state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "voices.safetensors"
    Checkpoint(about, state).save(path)
    return path


@pytest.fixture
def translator(codec: Voice) -> VoiceTranslator:
    return VoiceTranslator(nn.Identity(), codec=codec, source="low", target="high")


def written(path: Path, samples: Samples, *, rate: int = RATE) -> Path:
    """Write samples (S,) or (S, channels) as 16-bit WAV with the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = samples.reshape(len(samples), -1)
    with wave.open(str(path), "wb") as out:
        out.setparams((columns.shape[1], 2, rate, 0, "NONE", ""))
        out.writeframes(np.rint(columns.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return path


def comment(path: Path) -> str:
    with av.open(str(path)) as container:
        said = container.metadata | container.streams.audio[0].metadata
    return said.get("comment") or said.get("COMMENT") or ""


def decibels(one: Samples, other: Samples, *, rate: int) -> float:
    """Return how much louder one is than the other."""
    return float(20 * np.log10(loudness([one.astype(float)], rate=rate) / loudness([other.astype(float)], rate=rate)))


# --- samples


def test_a_network_that_does_nothing_is_the_mean_shift(translator: VoiceTranslator, codec: Voice) -> None:
    samples = say(2, speaker="low", seconds=0.5)
    level = loudness([samples], rate=RATE)
    speech = codec.analyse(samples * (USUAL / level))
    shift = np.array(codec.of("high").mean) - np.array(codec.of("low").mean)
    envelope = as_loud(speech.envelope + shift, like=speech.envelope, rate=RATE)
    moved = Speech(codec.moved(speech.pitch, source="low", target="high"), envelope, speech.breath)
    wanted = codec.synthesise(moved, count=len(samples))
    wanted = wanted * (level / loudness([wanted], rate=RATE))
    before = samples.copy()
    made = translator(samples, rate=RATE)
    np.testing.assert_allclose(made, wanted, atol=1e-3 * np.abs(wanted).max())
    np.testing.assert_array_equal(samples, before)
    np.testing.assert_array_equal(translator(samples, rate=RATE), made)


def test_the_pitch_becomes_the_targets(translator: VoiceTranslator, codec: Voice) -> None:
    made = translator(say(3, speaker="low", seconds=1.0), rate=RATE)
    pitch = codec.analyse(made).pitch
    assert np.median(pitch[pitch > 0]) == pytest.approx(205, rel=0.1)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_any_rate_and_any_channels(translator: VoiceTranslator, rate: int, kind: Any) -> None:
    voice = say(2, speaker="low", seconds=0.4, rate=rate)[: round(0.4 * rate) - 3].astype(kind)
    mono = translator(voice, rate=rate)
    assert (mono.shape, mono.dtype) == (voice.shape, kind)
    assert abs(decibels(mono, voice, rate=rate)) < (1 if rate == 8000 else 0.1)
    stereo = translator(np.stack([voice, voice], axis=1), rate=rate)
    assert (stereo.shape, stereo.dtype) == ((len(voice), 2), kind)
    np.testing.assert_array_equal(stereo[:, 0], stereo[:, 1])
    np.testing.assert_allclose(stereo[:, 0], mono, atol=1e-6)


def test_channels_that_differ_stay_apart(translator: VoiceTranslator) -> None:
    voice = say(2, speaker="low", seconds=0.4)
    three = np.stack([voice, np.zeros_like(voice), voice[::-1]], axis=1)
    made = translator(three, rate=RATE)
    assert made.shape == three.shape
    assert np.abs(made[:, 1]).max() < 1e-3
    for number in (0, 2):
        assert abs(decibels(made[:, number], three[:, number], rate=RATE)) < 1
    assert np.abs(made[:, 0] - made[:, 2]).max() > 0.05


def test_opposed_channels_are_not_taken_for_silence(translator: VoiceTranslator) -> None:
    spoken = say(3, speaker="low", seconds=0.6)
    made = translator(np.stack([spoken, -spoken], axis=1), rate=RATE)
    assert abs(decibels(made[:, 0], spoken, rate=RATE)) < 1
    assert abs(decibels(made[:, 1], spoken, rate=RATE)) < 1


@pytest.mark.parametrize("count", [1, 2, 10, 79, 80, 160, 1600])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_the_shortest_sounds(translator: VoiceTranslator, count: int, rate: int) -> None:
    voice = 0.1 + say(2, speaker="low", seconds=0.5, rate=rate)[:count]
    made = translator(voice, rate=rate)
    assert made.shape == (count,)
    assert np.isfinite(made).all()
    assert np.abs(made).max() < 1


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_silence_stays_silence(translator: VoiceTranslator, rate: int) -> None:
    for silence in (np.zeros(1), np.zeros((4000, 2)), np.full(4000, 1e-6)):
        assert not translator(silence, rate=rate).any()


@pytest.mark.parametrize("gain", [0.002, 0.3, 1.0, 8.0])
def test_loudness_and_pauses_stay(translator: VoiceTranslator, gain: float) -> None:
    voice, pause = say(2, speaker="low", seconds=0.5), np.zeros(8000)
    samples = gain * np.concatenate([voice, pause, voice])
    made = translator(samples, rate=RATE)
    assert abs(decibels(made, samples, rate=RATE)) < 0.1
    assert np.abs(made[8800:15_200]).max() < 1e-3 * np.abs(made).max()


@pytest.mark.parametrize(
    "strange",
    [[0.1, 0.2], np.zeros(100, np.int16), np.zeros(0), np.zeros((0, 2)), np.zeros((2, 3, 4)), np.float64(1), "a.wav"],
)
def test_what_is_no_sound_is_refused(translator: VoiceTranslator, strange: Any) -> None:
    with pytest.raises(InputError, match="not a sound") as caught:
        translator(strange, rate=RATE)
    assert "full scale" in caught.value.hint


def test_peaks_bend_and_never_reach_full_scale() -> None:
    samples = np.linspace(-4, 4, 4001)
    bent = limited(samples)
    quiet = np.abs(samples) <= KNEE
    np.testing.assert_array_equal(bent[quiet], samples[quiet])
    assert np.abs(bent).max() <= 1
    assert (np.diff(bent) >= 0).all()
    np.testing.assert_allclose(bent, -bent[::-1])
    assert np.diff(bent).max() <= 0.002 + 1e-12, "it never becomes steeper"


def roughness(samples: Samples, place: int) -> float:
    """Return the energy of the second difference within five milliseconds of a place."""
    return float((np.diff(samples[place - 80 : place + 80], n=2) ** 2).sum())


def seams(translator: VoiceTranslator, samples: Samples) -> tuple[Samples, list[int]]:
    """Return what becomes of samples that come in blocks of a second, and where they were cut."""
    blocks = [samples[i : i + RATE, None] for i in range(0, len(samples), RATE)]
    parts = list(translator.stream(blocks, rate=RATE, level=loudness(blocks and [samples], rate=RATE)))
    return np.concatenate(parts)[:, 0], np.cumsum([len(part) for part in parts])[:-1].tolist()


def check_seams(made: Samples, cuts: list[int], samples: Samples) -> None:
    assert len(made) == len(samples)
    everywhere = [roughness(made, place) for place in range(100, len(made) - 100, 160)]
    for cut in cuts:
        assert max(roughness(made, place) for place in (cut, cut + 320)) <= np.quantile(everywhere, 0.9)


def test_nobody_hears_where_it_was_cut(translator: VoiceTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = say(4, speaker="low", seconds=5.0)
    whole = translator(samples, rate=RATE)
    monkeypatch.setattr(pieces, "LENGTH", 1.2)
    made, cuts = seams(translator, samples)
    assert len(cuts) >= 3
    check_seams(made, cuts, samples)
    assert abs(decibels(made, whole, rate=RATE)) < 0.1
    for cut in cuts:  # no louder at a seam than it would have been without one
        near = slice(cut - 160, cut + 480)
        assert np.sqrt((made[near] ** 2).mean()) < 1.5 * np.sqrt((whole[near] ** 2).mean()) + 0.005


@pytest.mark.slow
def test_nobody_hears_where_a_minute_was_cut(translator: VoiceTranslator) -> None:
    samples = say(5, speaker="low", seconds=50.0)
    made, cuts = seams(translator, samples)
    assert len(cuts) == 2
    check_seams(made, cuts, samples)


# --- files


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("a.wav", 44_100, 2), ("a.flac", 8000, 1), ("a.m4a", 48_000, 1)]
)
def test_files_keep_rate_channels_and_length(
    translator: VoiceTranslator, tmp_path: Path, name: str, rate: int, channels: int
) -> None:
    voice = say(2, speaker="low", seconds=0.5, rate=rate)
    source = written(tmp_path / "a.wav", np.stack([voice] * channels, axis=1), rate=rate)
    before, target = source.read_bytes(), tmp_path / "out" / name
    target.parent.mkdir()
    outcome = translator.file(source, target)
    made, original = read_sound(target), read_sound(source)
    assert (made.rate, made.samples.shape) == (rate, original.samples.shape)
    assert abs(decibels(made.samples[:, 0], original.samples[:, 0], rate=rate)) < 1
    assert comment(target) == CONVERTED
    assert outcome.lost is None
    assert any("above 8,000 Hz is lost" in note for note in outcome.notes) == (rate > RATE)
    assert source.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == [name]


def test_files_are_what_arrays_are(translator: VoiceTranslator, tmp_path: Path) -> None:
    source = written(tmp_path / "a.wav", say(2, speaker="low", seconds=0.5))
    translator.file(source, tmp_path / "b.wav")
    made = translator(read_sound(source).samples, rate=RATE)
    wanted = limited(made.astype(np.float64))
    np.testing.assert_allclose(read_sound(tmp_path / "b.wav").samples.astype(np.float64), wanted, atol=1.5 / 32768)


def test_the_loudest_file_stays_below_full_scale(translator: VoiceTranslator, tmp_path: Path) -> None:
    voice = say(2, speaker="low", seconds=0.5)
    source = written(tmp_path / "a.wav", voice / np.abs(voice).max() * 4)  # clipped
    translator.file(source, tmp_path / "b.wav")
    made = read_sound(tmp_path / "b.wav").samples
    assert 0.5 < np.abs(made).max() <= 1
    assert np.mean(np.abs(made) > 0.999) < 0.05, "it is bent, not cut"


def test_a_silent_file_stays_silent(translator: VoiceTranslator, tmp_path: Path) -> None:
    source = written(tmp_path / "a.wav", np.zeros((5000, 2)))
    translator.file(source, tmp_path / "b.wav")
    made = read_sound(tmp_path / "b.wav").samples
    assert made.shape == (5000, 2)
    assert not made.any()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_keeps_its_pictures(translator: VoiceTranslator, tmp_path: Path, suffix: str) -> None:
    source = make(tmp_path / f"in{suffix}", Recipe(sounds=[Sound()], chapters=[(0, 0.25, "one"), (0.25, 0.5, "two")]))
    before, target = source.read_bytes(), tmp_path / f"out{suffix}"
    translator.file(source, target)
    old, new = facts(source), facts(target)
    assert new.times == old.times
    assert all(map(np.array_equal, new.pictures, old.pictures))
    assert new.chapters == old.chapters
    heard, kept = read_sound(target), read_sound(source)
    assert heard.rate == kept.rate
    assert abs(len(heard.samples) - len(kept.samples)) <= 1024
    assert np.abs(heard.samples).max() > 0.05
    assert comment(target) == CONVERTED
    assert source.read_bytes() == before


def test_the_sound_of_a_film_may_be_a_file_of_its_own(translator: VoiceTranslator, tmp_path: Path) -> None:
    source = make(tmp_path / "in.mp4", Recipe(sounds=[Sound()]))
    translator.file(source, tmp_path / "out.wav")
    with open_sound(tmp_path / "out.wav") as sound:
        assert not sound.film
        assert sound.rate == RATE


def test_what_cannot_be_heard_is_one_line(translator: VoiceTranslator, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    (tmp_path / "text.wav").write_text("no sound, just words")
    (tmp_path / "empty.wav").write_bytes(b"")
    make(tmp_path / "mute.mp4", Recipe())
    (tmp_path / "folder.wav").mkdir()
    for name in ("photo.png", "text.wav", "empty.wav", "mute.mp4", "missing.wav", "folder.wav"):
        with pytest.raises(InputError) as caught:
            translator.file(tmp_path / name, tmp_path / "out.wav")
        assert name in caught.value.what
        assert "\n" not in caught.value.what
        assert caught.value.hint
        assert not (tmp_path / "out.wav").exists()
        assert not list(tmp_path.glob(".styl*"))


# --- weights


def test_weights_are_loaded_with_their_ways(weights: Path, codec: Voice) -> None:
    there, back = VoiceTranslator.load(weights, device="cpu"), VoiceTranslator.load(weights, to="low", device="cpu")
    assert (there.source, there.target, back.source, back.target) == ("low", "high", "high", "low")
    assert there.codec == codec
    voice = say(2, speaker="low", seconds=0.3)
    plain = VoiceTranslator(nn.Identity(), codec=codec, source="low", target="high")
    np.testing.assert_allclose(there(voice, rate=RATE), plain(voice, rate=RATE), atol=1e-5)


def test_weights_that_do_not_fit_are_refused(weights: Path, tmp_path: Path) -> None:
    blob = bytearray(weights.read_bytes())
    blob[len(blob) // 2] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(blob)
    with pytest.raises(CheckpointError, match=r"bad\.safetensors: damaged"):
        VoiceTranslator.load(tmp_path / "bad.safetensors")
    with pytest.raises(CheckpointError, match="translators of pictures, not of voices"):
        VoiceTranslator.load(PAINTED)
    found = Checkpoint.load(weights, kind="translator")
    found.about["routes"][0][1] = "tall"
    found.save(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="says nothing of the speaker 'tall'"):
        VoiceTranslator.load(tmp_path / "other.safetensors")


# --- the command

Run = Callable[..., tuple[int, str, str]]
SMALL = [
    *("translator.width=4", "translator.inner=16", "translator.blocks=1", "critic.width=4", "critic.layers=2"),
    *("data.size=32", "data.held_back=2", "training.batch=2", "training.images=2"),
]


@pytest.fixture
def here(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recordings, pictures and rubbish, which is the current one."""
    monkeypatch.setenv("STYL_HOME", str(tmp_path / "home"))
    here = tmp_path / "here"
    write_folder(here / "anna", speaker="high", count=2, seconds=0.35, seed=2)
    write_folder(here / "bert", speaker="low", count=2, seconds=0.35)
    for folder in ("photos", "drawn", "mixed"):
        (here / folder).mkdir()
        Image.linear_gradient("L").resize((64, 64)).save(here / folder / "a.png")
    shutil.copy(here / "anna/0000.wav", here / "mixed/b.wav")
    shutil.copy(here / "anna/0000.wav", here / "mixed/c.wav")
    shutil.copy(here / "anna/0000.wav", here / "voice.wav")
    shutil.copy(here / "photos/a.png", here / "photo.png")
    (here / "text.wav").write_text("no sound, just words")
    (here / "texts").mkdir()
    (here / "texts/a.txt").write_text("no sound")
    shutil.copy(weights, here / "voices.safetensors")
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def styl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; return exit code, standard output and standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["styl", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            guarded(cli.app)
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    return run


MISTAKES = {  # what is wrong: what the one line says
    "train anna photos": "photos holds pictures and anna recordings",
    "train photos anna": "photos holds pictures and anna recordings",
    "train mixed anna": "mixed: 1 picture among 2 recordings",
    "train anna mixed --preset voice-tiny": "mixed: 1 picture among 2 recordings",
    "train anna bert --preset fast": "anna: holds recordings, and the preset is for pictures",
    "train anna bert --preset vae": "one folder is needed",
    "train anna --preset vae": "anna: holds recordings, and the preset is for pictures",
    "train photos drawn --preset voice": "photos: holds pictures, and the preset is for recordings",
    "train anna texts": "texts: no recordings in it",
    "train anna anna": "given twice",
    "train anna": "two folders",
    "train anna bert --set codec.coefficients=30": "codec.coefficients = 30 does not fit",
    "train anna bert --set codec.rate=8000": "codec.rate = 8000",
    "train anna bert --set codec.period=nan": "codec.period",
    "train anna bert --set translator.name=resnet": "translator.name = resnet does not fit",
    "train anna bert --size 30": "data.size = 30 does not fit",
    "train anna bert --size 4": "data.size = 4",
    "train anna bert --features own": "--features own: measures pictures, not voices",
    "translate voice.wav -m voices.safetensors --to tall": "--to tall",
    "translate missing.wav -m voices.safetensors": "missing.wav: no such file",
    "translate voice.wav -m voices.safetensors -o voice.wav": "voice.wav: would overwrite the input",
    "translate photos -m voices.safetensors": "photos: no recordings in it",
    "translate voice.wav -m voices.safetensors --format pgn": "--format pgn",
    "sample voices.safetensors": "holds a translator, not a sampler",
    "export voices.safetensors": "is for pictures, and these weights are for voices",
    "evaluate voices.safetensors --source photos --target photos": "is for pictures, and these weights are for voices",
    "distill voices.safetensors photos drawn": "voices.safetensors: does not translate RGB pictures",
}


@pytest.mark.parametrize("words", MISTAKES)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_one_line(words: str, styl: Run) -> None:
    before = sorted(Path().rglob("*"))
    code, out, err = styl(*words.split())
    assert (code, out) == (2, ""), err
    *_, wrong, hint = err.splitlines()
    assert err.count("error: ") == 1
    assert len(err.splitlines()) <= 3
    assert wrong.startswith("error: ")
    assert MISTAKES[words] in wrong
    assert hint.startswith("  ")
    assert hint.strip()
    assert sorted(Path().rglob("*")) == before


def test_two_folders_of_speech_are_learnt_without_more_words(here: Path, styl: Run) -> None:
    shutil.copy(here / "text.wav", here / "anna/text.wav")
    code, out, _ = styl("train", "anna", "bert", "--device", "cpu", "--dry-run", "--json")
    assert code == 0
    chosen = json.loads(out)["experiment"]
    wanted = Experiment.load("voice-tiny").encode()
    assert all(chosen[part] == wanted[part] for part in ("codec", "translator", "critic", "objective"))
    settings = [word for option in SMALL for word in ("--set", option)]
    words = ["train", "anna", "bert", "--device", "cpu", "--workers", "0", "--json", *settings]
    code, out, err = styl(*words)
    assert code == 0, err
    summary = json.loads(out)
    assert summary["finished"]
    assert [Path(line.split(": ")[0]).name for line in summary["skipped"]] == ["text.wav"]
    assert "anna: 3 recordings, bert: 2 recordings" in err
    assert (here / "runs/anna-bert/weights/last.safetensors").exists()
    code, out, err = styl("translate", "voice.wav", "-o", "out.wav", "--device", "cpu")
    assert code == 0, err
    assert comment(here / "out.wav") == CONVERTED


def test_a_folder_is_mirrored_and_what_is_damaged_is_named(here: Path, styl: Run) -> None:
    source = here / "talks"
    for name in ("a.wav", "inner/b.wav", "inner/c.flac"):
        written(source / name, say(2, speaker="low", seconds=0.3))
    shutil.copy(here / "text.wav", source / "inner/text.wav")
    shutil.copy(here / "photo.png", source / "cover.png")
    words = ("translate", "talks", "-m", "voices.safetensors", "-o", "out", "--device", "cpu", "--json")
    code, out, err = styl(*words)
    assert code == 1
    summary = json.loads(out)
    assert [Path(path).relative_to("out").as_posix() for path in summary["done"]] == [
        "a.wav",
        "inner/b.wav",
        "inner/c.flac",
    ]
    (failed,) = summary["failed"]
    assert failed["path"].endswith("inner/text.wav")
    assert "text.wav" in failed["reason"]
    assert (summary["from"], summary["to"], summary["partial"], summary["finished"]) == ("low", "high", [], [])
    assert err.count("failed: ") == 1
    assert all(comment(Path(path)) == CONVERTED for path in summary["done"])
    code, out, _ = styl(*words)
    assert code == 1
    assert len(json.loads(out)["finished"]) == 3, "what is finished is left alone"
    code, out, _ = styl(*words[:-1], "--to", "low", "--json")
    assert len(json.loads(out)["done"]) == 3, "for another speaker it is not finished"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("photo.png -m voices.safetensors", "photo.png: no sound, and these weights are for voices"),
        (f"voice.wav -m {PAINTED}", "voice.wav"),
        ("text.wav -m voices.safetensors", "text.wav"),
        ("voice.wav -m voices.safetensors -o out.png", "sounds cannot be written as '.png'"),
    ],
)
def test_files_of_another_kind_are_named(words: str, said: str, styl: Run) -> None:
    code, _, err = styl("translate", *words.split(), "--device", "cpu")
    assert code == 1
    (line,) = [line for line in err.splitlines() if "failed: " in line]
    assert said in line
    assert "Traceback" not in err


@pytest.mark.usefixtures("here")
def test_one_file_to_one_file_in_another_format(styl: Run) -> None:
    code, out, err = styl("translate", "voice.wav", "-m", "voices.safetensors", "-o", "new/out.flac", "--device", "cpu")
    assert code == 0, err
    assert "1 translated to high" in out
    assert read_sound(Path("new/out.flac")).samples.shape == read_sound(Path("voice.wav")).samples.shape


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words",
    ["train anna bert --device cpu --workers 0", "translate voice.wav -m voices.safetensors --device cpu"],
)
def test_without_pyworld_people_are_told_what_to_install(
    words: str, styl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(world, "import_module", missing)
    world._party.cache_clear()
    code, out, err = styl(*words.split())
    assert (code, out) == (2, "")
    assert "error: voices need the package pyworld, which is not installed" in err
    assert "pip install 'styl[voice]'" in err
    assert not Path("runs").exists()
    assert not Path("translated").exists()
