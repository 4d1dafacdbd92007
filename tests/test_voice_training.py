"""Two folders of speech become a translator: what is learnt, what is left out, and the same to the bit when resumed."""

import dataclasses
import itertools
import shutil
import signal
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny import (
    BATCH,
    Folders,
    around_step,
    assert_diary_in_order,
    assert_whole,
    digest,
    flip_a_bit,
    log,
    looks,
    one_thread,
    result,
    states,
    stop_after,
)
from torch import Tensor, nn
from voices import PITCH, say, write_folder

from cyclegan import codecs
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Voice
from cyclegan.codecs.cepstrum import DECIBELS
from cyclegan.codecs.voice import Speaker
from cyclegan.errors import CheckpointError, InputError, UsageError
from cyclegan.experiment import Data, Experiment
from cyclegan.media.sounds.loudness import USUAL, loudness
from cyclegan.media.sounds.reader import open_sound, read_sound
from cyclegan.media.sounds.wav import CONVERTED, encode_wav
from cyclegan.objectives import Objective, assemble
from cyclegan.recipes import Voice as VoiceOptions
from cyclegan.training import recordings as taking_apart
from cyclegan.training.data import Batches
from cyclegan.training.listen import Heard, Listener, pieces_of
from cyclegan.training.recordings import Recordings
from cyclegan.training.run import Outcome, train
from cyclegan.training.scan import scan
from cyclegan.training.store import home
from cyclegan.training.trainer import Trainer

pytest.importorskip("pyworld")

STEPS, COUNT = 4, 3
SMALL = [
    *("translator.width=4", "translator.inner=16", "translator.blocks=1", "critic.width=4", "critic.layers=2"),
    *("data.size=32", "data.held_back=2", "training.ema=20", f"training.batch={BATCH}", "objective.history=3"),
    *("codec.rate=16000", "codec.coefficients=36", "codec.period=5", "objective.mask=0.5", "translator.kernel=3"),
    *(f"training.images={STEPS * BATCH}", "training.precision=fp32", "every.log=2", "every.sheet=6", "every.save=4"),
]

Frames = NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setenv("STYL_HOME", str(place))
        yield place


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("voices")
    write_folder(root / "x", speaker="low", count=COUNT, seconds=0.35)
    write_folder(root / "y", speaker="high", count=COUNT, seconds=0.35, rate=22_050, seed=2)
    return root / "x", root / "y"


def experiment(folders: Folders, *overrides: str) -> Experiment:
    chosen = Experiment.load("voice-tiny", overrides=[*SMALL, *overrides])
    return chosen.replace(data__folders=tuple(map(str, folders)), data__domains=("x", "y"))


def play(folders: Folders, run: Path, *overrides: str, workers: int = 0, **how: Any) -> Outcome:
    return train(experiment(folders, *overrides), run, device="cpu", workers=workers, **how)


@pytest.fixture(scope="module")
def straight(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    outcome = play(folders, run)
    assert (outcome.images, outcome.signal, outcome.already) == (STEPS * BATCH, None, False)
    assert (outcome.damaged, outcome.notes) == ((), ())
    return run


def translators(run: Path, *, name: str = "last") -> Checkpoint:
    return Checkpoint.load(run / "weights" / f"{name}.safetensors", kind="translator")


# --- what is written down


def test_weights_know_the_speakers(folders: Folders, straight: Path) -> None:
    about = translators(straight).about
    assert about["domains"] == ["x", "y"]
    assert about["routes"] == [["x", "y", "G"], ["y", "x", "F"]]
    assert about["networks"]["G"]["name"] == "2-1-2d"
    codec = codecs.build(about["codec"])
    assert isinstance(codec, Voice)
    assert (codec.rate, codec.coefficients, codec.period) == (16_000, 36, 5.0)
    for name, speaker in (("x", "low"), ("y", "high")):
        assert np.exp(codec.of(name).pitch[0]) == pytest.approx(PITCH[speaker], rel=0.12)
    assert about["codec"] == translators(straight, name="best").about["codec"]
    own = [medium().read(path)[..., 0] for path in sorted(folders[0].iterdir())]
    spoken = [one[:-1, one[0] > np.quantile(one[0], 0.95) - 40 / DECIBELS] for one in own]
    np.testing.assert_allclose(codec.of("x").mean, np.concatenate(spoken, axis=1).mean(1), atol=1e-4)


def test_people_can_look_and_listen(folders: Folders, straight: Path) -> None:
    Image.open(straight / "sheets" / f"{STEPS * BATCH:09d}.jpg").load()
    names = {path.stem for path in (straight / "samples").iterdir()}
    there = {f"{x}-{i}-to-{y}" for x, y in ("xy", "yx") for i in range(1, COUNT + 1)}
    assert names == {f"{x}-{i}" for x in "xy" for i in range(1, COUNT + 1)} | there
    for name in names:
        with open_sound(straight / "samples" / f"{name}.wav") as sound:
            said, title = (sound.container.metadata.get(key, "") for key in ("comment", "title"))
            samples = np.concatenate(list(sound))
        assert said == (CONVERTED if name in there else "")
        assert (folders["xy".index(name[0])] / title).is_file()
        assert sound.rate == 16_000
        assert 0.01 < np.abs(samples).max() <= 1
    lengths = {read_sound(straight / "samples" / f"x-1{way}.wav").samples.shape for way in ("", "-to-y")}
    assert len(lengths) == 1


def test_figures_are_numbers(straight: Path) -> None:
    assert log(straight)[0]["untranslated"].keys() == {"x", "y"}
    figures = looks(straight)[-1]["measure"]
    for name in "xy":
        assert figures[name].keys() == {"kid", "kid_std", "fid", "diversity", "change", "cycle", "modulation"}
        assert np.isfinite(list(figures[name].values())).all()


# --- stopped and continued


def test_whoever_reads_the_run_is_the_same(folders: Folders, straight: Path, tmp_path: Path) -> None:
    play(folders, tmp_path, "data.cache_gb=0", workers=1)  # taken apart again for every draw, elsewhere
    assert result(tmp_path) == result(straight)
    assert looks(tmp_path) == looks(straight)


@pytest.mark.parametrize(("step", "before", "after"), [(1, 0, 0), (3, 0, 1)])
def test_stopped_at_a_step_and_continued(
    folders: Folders,
    straight: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    before: int,
    after: int,
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        stopped = play(folders, tmp_path, workers=before)
    assert (stopped.images, stopped.signal) == (step * BATCH, signal.SIGTERM)
    assert_whole(tmp_path)
    torch.manual_seed(step)  # chance elsewhere in the process has no say
    finished = play(folders, tmp_path, workers=after)
    assert (finished.images, finished.signal) == (STEPS * BATCH, None)
    assert result(tmp_path) == result(straight)
    assert_diary_in_order(tmp_path)
    assert looks(tmp_path) == looks(straight)


def test_killed_without_notice_it_goes_on_from_the_last_state(
    folders: Folders, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(_: Trainer) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        around_step(patch, 3, before=die)
        with pytest.raises(Killed):
            play(folders, tmp_path)
    assert states(tmp_path) == [4]
    flip_a_bit(tmp_path / "weights" / "last.safetensors")  # what it knows of the speakers is found out again
    play(folders, tmp_path)
    assert result(tmp_path) == result(straight)
    assert translators(tmp_path).about["codec"] == translators(straight).about["codec"]
    assert_whole(tmp_path)


def test_a_finished_run_is_left_alone(folders: Folders, straight: Path) -> None:
    before = {path: path.read_bytes() for path in straight.rglob("*") if path.is_file()}
    again = play(folders, straight)
    assert (again.already, again.images) == (True, STEPS * BATCH)
    assert {path: path.read_bytes() for path in straight.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("codec.period=10", "codec.period = 5.0, now it is 10.0"),
        ("objective.mask=0.75", "objective.mask = 0.5, now it is 0.75"),
    ],
)
def test_a_changed_option_is_refused(folders: Folders, straight: Path, override: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        play(folders, straight, override)


def test_other_recordings_are_refused_unless_that_is_wanted(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "x", tmp_path / "y"
    for folder, copy in zip(folders, own, strict=True):
        shutil.copytree(folder, copy)
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        play(own, tmp_path / "run")
    known = translators(tmp_path / "run").about["codec"]
    (own[0] / "more.wav").write_bytes(encode_wav(say(9, speaker="high", seconds=0.5), rate=16_000))
    with pytest.raises(UsageError, match=r"x: 1 added \(more\.wav\)") as caught:
        play(own, tmp_path / "run")
    assert "--allow-changed-data" in caught.value.hint
    assert play(own, tmp_path / "run", changed_data=True).images == STEPS * BATCH
    assert translators(tmp_path / "run").about["codec"] == known, "networks have learnt to live with it"


def test_a_flipped_bit_in_weights_is_noticed(straight: Path, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    whole = (straight / "weights" / "last.safetensors").read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 20):
        path.write_bytes(whole)
        flip_a_bit(path, place=int(place))
        with pytest.raises(CheckpointError, match=r"last\.safetensors: "):
            Checkpoint.load(path, kind="translator")


# --- bad recordings


def spoil(folder: Path) -> dict[str, str]:
    """Put files into a folder that nobody can learn from; return what is said of each."""
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    (folder / "silent.wav").write_bytes(encode_wav(np.zeros(8000), rate=16_000))
    (folder / "hushed.wav").write_bytes(encode_wav(np.full(8000, 1e-5), rate=16_000))
    (folder / "short.wav").write_bytes(encode_wav(noise[:800], rate=16_000))
    (folder / "empty.wav").write_bytes(b"")
    (folder / "none.wav").write_bytes(encode_wav(noise[:0], rate=16_000))
    (folder / "text.wav").write_text("no sound, just words")
    (folder / "junk.flac").write_bytes(noise.tobytes())
    (folder / "picture.m4a").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "notes.txt").write_text("not even called a sound")
    return {
        "silent.wav": "nothing but silence",
        "hushed.wav": "nothing but silence",
        "short.wav": "less than 0.1 seconds of sound",
        **dict.fromkeys(("empty.wav", "none.wav", "text.wav", "junk.flac", "picture.m4a"), ""),
    }


def test_bad_recordings_are_named_and_left_out(folders: Folders, straight: Path, tmp_path: Path) -> None:
    own = tmp_path / "x", tmp_path / "y"
    for folder, copy in zip(folders, own, strict=True):
        shutil.copytree(folder, copy)
    expected = spoil(own[0])
    before = {path: path.read_bytes() for path in own[0].iterdir()}
    outcome = play(own, tmp_path / "run")
    said = {Path(line.split(": ")[0]).name: line for line in outcome.damaged}
    assert said.keys() == expected.keys()
    assert all(reason in said[name] for name, reason in expected.items())
    assert digest(translators(tmp_path / "run")) == digest(translators(straight)), "as if they were not there"
    assert {path: path.read_bytes() for path in own[0].iterdir()} == before
    assert sorted(path.name for path in own[0].iterdir()) == sorted(path.name for path in before)
    with pytest.raises(InputError, match=r"empty\.wav: .* \(and 7 more\)") as caught:
        play(own, tmp_path / "strict", strict=True)
    assert "--strict" in caught.value.hint
    assert not (tmp_path / "strict").exists()


def test_a_folder_with_nothing_to_learn_from_is_one_line(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    spoil(tmp_path / "bad")
    with pytest.raises(InputError) as caught:
        play((folders[0], tmp_path / "bad"), tmp_path / "run")
    assert caught.value.what == f"{tmp_path / 'bad'}: none of its recordings can be used"
    assert "empty.wav" in caught.value.hint
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no sound")
    with pytest.raises(InputError, match="texts: no recordings in it"):
        play((folders[0], tmp_path / "texts"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- recordings, taken apart


def medium(**changes: Any) -> Recordings:
    return Recordings(Data(size=32), VoiceOptions(**({"rate": 16_000} | changes)))


def written(path: Path, samples: NDArray[Any], *, rate: int = 16_000) -> Path:
    """Write float samples (S, channels) as 16-bit WAV with the standard library."""
    with wave.open(str(path), "wb") as out:
        out.setparams((samples.shape[1], 2, rate, 0, "NONE", ""))
        out.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return path


def test_level_and_channels_of_a_recording_do_not_matter(tmp_path: Path) -> None:
    voice = say(0, speaker="low", seconds=0.6)[:, None]
    plain = medium().read(written(tmp_path / "a.wav", voice))
    soft = medium().read(written(tmp_path / "b.wav", np.hstack([voice, voice]) / 4))
    assert plain.shape == soft.shape
    assert plain.dtype == np.float32
    spoken = plain[0, :, 0] > np.quantile(plain[0], 0.95) - 30 / DECIBELS
    assert np.abs(plain - soft)[:-1, spoken].mean() < 0.05
    assert np.median(np.abs(plain - soft)[-1]) < 0.5  # Hz


def test_silence_at_the_ends_is_cut_off(tmp_path: Path) -> None:
    voice, pause = say(0, speaker="low", seconds=0.6)[:, None], np.zeros((16_000, 1))
    plain = medium().read(written(tmp_path / "a.wav", voice))
    framed = medium().read(written(tmp_path / "b.wav", np.concatenate([pause, voice, pause])))
    assert plain.shape[1] <= 121
    assert plain.shape[1] <= framed.shape[1] <= plain.shape[1] + 20  # a margin of 50 ms on either side


def test_long_recordings_are_taken_apart_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.wav", say(0, speaker="low", seconds=1.0)[: 16_000 - 639, None])
    whole = medium().read(path)
    monkeypatch.setattr(taking_apart, "PIECE", 0.24)  # four pieces, and one sample of a fifth
    pieces = medium().read(path)
    assert abs(pieces.shape[1] - whole.shape[1]) <= 1
    frames = min(pieces.shape[1], whole.shape[1])
    assert np.median(np.abs(pieces[:, :frames] - whole[:, :frames])) < 0.01


def test_the_beginning_that_people_hear_begins_with_speech(tmp_path: Path) -> None:
    voice = say(0, speaker="low", seconds=0.6)[:, None]
    path = written(tmp_path / "a.wav", np.concatenate([np.zeros((8000, 1)), voice]))
    samples, speech = medium().heard(path, seconds=0.5)
    assert len(samples) == 8000
    assert len(speech.pitch) == 101
    assert 0 < np.flatnonzero(np.abs(samples) > 0.01)[0] <= 16_000 * 0.06
    assert loudness([samples], rate=16_000) == pytest.approx(USUAL, rel=0.3)


def test_facts_say_how_long_and_how_recorded(folders: Folders) -> None:
    path = min(folders[1].iterdir())
    array = medium().read(path)
    facts = medium().facts(path, array)
    assert facts == {"height": 37, "width": array.shape[1], "seconds": array.shape[1] / 200, "rate": 22_050}


def test_draws_are_pieces_of_every_place(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(100, dtype=np.float32), (37, 1))[..., None]
    drawn = [medium().draw(ramp, seed=seed) for seed in range(2000)]
    starts = {int(one[0, 0, 0]) for one in drawn}
    assert starts == set(range(100 - 32 + 1)), "the first and the last frame are learnt, too"
    assert all(torch.equal(one[0], one[0, :1, :1] + torch.arange(32.0).expand(37, 32)) for one in drawn[:50])
    assert torch.equal(medium().draw(ramp, seed=7), medium().draw(ramp, seed=7))
    assert int(medium().fixed(ramp)[0, 0, 0]) == 34


@pytest.mark.parametrize("frames", [1, 3, 31])
def test_recordings_that_are_too_short_are_played_to_and_fro(frames: int) -> None:
    ramp = np.tile(np.arange(frames, dtype=np.float32), (37, 1))[..., None]
    drawn = medium().draw(ramp, seed=0)
    assert drawn.shape == (1, 37, 32)
    there_and_back = [*range(frames), *reversed(range(frames))] * 32
    assert drawn[0, 0].tolist() == there_and_back[:32]


# --- the store


class Counting:
    """Reads recordings, and knows which."""

    def __init__(self, medium: Recordings) -> None:
        self.medium, self.read = medium, list[str]()

    def __call__(self, path: Path) -> Frames:
        self.read.append(path.name)
        return self.medium.read(path)


def drawn(data: Data, found: Any) -> tuple[list[Tensor], list[str]]:
    """Return some draws, and the files that were read for them."""
    batches = Batches(data, medium(), batch=2, seed=5, scan=found)
    batches.draws.read = reader = Counting(medium())
    draws = [tensor for batch in itertools.islice(batches.starting(0), 3) for tensor in batch]
    return [*draws, *batches.held_back()], reader.read


@pytest.fixture
def stored(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    monkeypatch.setenv("STYL_HOME", str(tmp_path / "home"))
    return Data(folders=tuple(map(str, folders)), size=32, held_back=2)


def test_recordings_are_taken_apart_once(stored: Data) -> None:
    reader = Counting(medium())
    found = scan(stored, medium=medium(), read=reader)
    assert len(reader.read) == 2 * COUNT
    again = scan(stored, medium=medium(), read=reader, earlier=found)
    assert again == found
    assert len(reader.read) == 2 * COUNT
    kept, read = drawn(stored, found)
    assert not read
    anew, read = drawn(stored, None)
    assert len(set(read)) == COUNT
    assert all(map(torch.equal, kept, anew))
    other = medium(period=10.0)
    assert not any(list(album.stores(other)) for album in found.albums), "otherwise taken apart, it is another store"


def test_a_damaged_store_is_not_listened_to(stored: Data) -> None:
    found = scan(stored, medium=medium())
    wanted, _ = drawn(stored, None)
    for number, file in enumerate(sorted(home().iterdir())):
        flip_a_bit(file, place=number * 1000 + 500)  # in the first recording that was stored
    made, read = drawn(stored, found)
    assert all(map(torch.equal, made, wanted))
    assert len(set(read)) <= 2
    assert read
    for file in home().iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    made, _ = drawn(stored, found)
    assert all(map(torch.equal, made, wanted))


@pytest.mark.parametrize(("most", "recordings"), [(2, 2), (5, 3), (100, 3)])
def test_pieces_that_are_measured_are_a_sample(
    stored: Data, monkeypatch: pytest.MonkeyPatch, most: int, recordings: int
) -> None:
    """As many as there can be, from all places of the recordings that the seed puts first."""
    monkeypatch.setattr("cyclegan.training.listen.MOST", most)
    cut = Recordings(dataclasses.replace(stored, size=16), VoiceOptions(rate=16_000))
    batches = Batches(cut.data, cut, batch=1, seed=0)
    paths = batches.domains[0].shuffled
    found = pieces_of(batches, 0, paths, cut)
    every = [piece for path in paths[:recordings] for piece in cut.pieces(cut.read(path))]
    assert len(found) == min(most, len(every))
    places = [next(i for i, one in enumerate(every) if torch.equal(piece, one)) for piece in found]
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, len(every) - 1)


# --- figures


def speakers(*, apart: float, coefficients: int) -> Voice:
    """Return two speakers whose means are so far apart in every coefficient."""
    means = ((0.0,) * coefficients, (apart,) * coefficients)
    known = {n: Speaker(mean, (5.0, 0.2), (1.0,) * coefficients) for n, mean in zip("xy", means, strict=True)}
    return Voice(16_000, coefficients, 5.0, known)


def pieces(seed: int, *, mean: float, coefficients: int, count: int = 60) -> Tensor:
    """Return envelopes that wander about a mean, and below them a pitch."""
    chance = torch.Generator().manual_seed(seed)
    envelope = mean + torch.randn(count, 1, coefficients, 32, generator=chance)
    return torch.cat([envelope, torch.full((count, 1, 1, 32), 100.0)], dim=2)


class Unmoved(nn.Module):
    """A translator that does nothing, whether or not a mask comes along."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x


def unmoved(*, coefficients: int) -> Objective:
    objective = assemble(
        Experiment.load("voice-tiny", overrides=[*SMALL, f"codec.coefficients={coefficients}"]), channels=1
    )
    objective.G, objective.F = Unmoved(), Unmoved()
    return objective


def listener(codec: Voice, *, means: tuple[float, float]) -> Listener:
    count = codec.coefficients
    held = [pieces(i, mean=mean, coefficients=count) for i, mean in enumerate(means)]
    reals = [pieces(i + 2, mean=mean, coefficients=count) for i, mean in enumerate(means)]
    samples = say(0, speaker="low", seconds=0.2)
    heard = [[Heard(samples, codec.analyse(samples))]] * 2
    return Listener(held, reals, heard, codec=codec, domains=("x", "y"))


@pytest.mark.parametrize("coefficients", [16, 36])
def test_figures_mean_what_they_say(coefficients: int) -> None:
    """Speakers whose means are 0.5 apart, translators that do nothing: the mean shift does all there is to do."""
    codec = speakers(apart=0.5, coefficients=coefficients)
    found = listener(codec, means=(0.0, 0.5))
    look = found.look(unmoved(coefficients=coefficients), progress=1.0)
    counted = min(24, coefficients - 1)
    for name in "xy":
        figures = look.measure[name]
        assert figures["change"] == pytest.approx(DECIBELS * np.sqrt(counted * 0.25 / 2), rel=1e-4)
        assert figures["cycle"] == pytest.approx(0, abs=1e-4)
        assert figures["diversity"] == pytest.approx(1, abs=0.1)
        assert figures["modulation"] < 1.5
        assert abs(figures["kid"]) < 3 * figures["kid_std"] + 0.01
        assert found.untranslated[name]["kid"] > 10 * abs(figures["kid"])
    assert look.alarms == ()
    assert look.sheet.dtype == np.uint8
    assert look.samples.keys() == {"x-1", "x-1-to-y", "y-1", "y-1-to-x"}


def test_speakers_that_are_one_are_no_way_apart() -> None:
    found = listener(speakers(apart=0.0, coefficients=36), means=(0.0, 0.0))
    look = found.look(unmoved(coefficients=36), progress=1.0)
    for name in "xy":
        assert abs(found.untranslated[name]["kid"]) < 3 * found.untranslated[name]["kid_std"] + 0.01
        assert look.measure[name]["change"] == pytest.approx(0, abs=1e-4)
    said = "next to nothing is changed, less than 1 dB"
    assert look.alarms == (f"to y: {said}", f"to x: {said}")


@pytest.mark.parametrize(("decibels", "rings"), [(1.5, False), (0.9, True)])
def test_how_little_is_next_to_nothing_is_told_in_decibels(decibels: float, rings: bool) -> None:
    """Of pictures, less than two levels would be."""
    shift = decibels / DECIBELS / np.sqrt(24 / 2)
    look = listener(speakers(apart=shift, coefficients=36), means=(0.0, shift)).look(
        unmoved(coefficients=36), progress=1.0
    )
    assert look.measure["x"]["change"] == pytest.approx(decibels, rel=1e-3)
    assert any("next to nothing" in alarm for alarm in look.alarms) == rings
