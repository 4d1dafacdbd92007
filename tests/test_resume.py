"""Stopped anywhere, in any way, and continued: the same weights to the last bit, and nothing on disk that is broken."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan import files
from cyclegan.checkpoint import Checkpoint
from cyclegan.errors import CheckpointError, InputError, StoppedEarly, StylError, UsageError
from cyclegan.experiment import Experiment
from cyclegan.training.run import Outcome, train
from cyclegan.training.trainer import Report, Trainer

STEPS, BATCH = 8, 2
OPTIONS = [  # everything that has a memory: an average, a history shorter than the run, dropout, a falling step
    *("data.size=16", "data.enlarge=1.25", "data.held_back=2"),
    *("translator.width=4", "translator.blocks=1", "translator.dropout=0.3", "critic.width=4", "critic.layers=1"),
    *("objective.history=3", "training.ema=20", f"training.batch={BATCH}", f"training.images={STEPS * BATCH}"),
    *("training.precision=fp32", "every.log=2", "every.sheet=8", "every.save=6"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, tint in (("x", (120, 20, 20)), ("y", (20, 40, 140))):
        (root / name).mkdir()
        for i in range(20):
            pixels = chance.integers(0, 100, (20, 24, 3)) + tint
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return root / "x", root / "y"


def experiment(folders: tuple[Path, Path], *overrides: str) -> Experiment:
    chosen = Experiment.load("default", overrides=[*OPTIONS, *overrides])
    return chosen.replace(data__folders=tuple(map(str, folders)), data__domains=("x", "y"))


def play(folders: tuple[Path, Path], run: Path, *overrides: str, workers: int = 0) -> Outcome:
    return train(experiment(folders, *overrides), run, device="cpu", workers=workers)


def fingerprint(path: Path, *, kind: str) -> str:
    found = Checkpoint.load(path, kind=kind)
    digest = hashlib.sha256()
    for name, tensor in sorted(found.tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def result(run: Path) -> tuple[str, ...]:
    """Return what a run came to: its last state, and its translators."""
    state = sorted((run / "state").glob("*.safetensors"))[-1]
    weights = [fingerprint(run / "weights" / f"{name}.safetensors", kind="translator") for name in ("last", "best")]
    return (state.name, fingerprint(state, kind="state"), *weights)


@pytest.fixture(scope="module")
def straight(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    outcome = play(folders, run)
    assert (outcome.images, outcome.signal, outcome.already) == (STEPS * BATCH, None, False)
    return run


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGTERM) -> None:
    """Send ourselves a signal in the middle of a step."""
    plain = Trainer.play

    def stopping(self: Trainer, micro_batches: Any) -> Report:
        report = plain(self, micro_batches)
        if report.images == step * BATCH:
            signal.raise_signal(number)
        return report

    monkeypatch.setattr(Trainer, "play", stopping)


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_diary_in_order(run: Path) -> None:
    keys = [(line["images"], "score" in line) for line in log(run)]
    assert keys == sorted(set(keys)), "no line twice, none out of order"


def assert_whole(run: Path) -> None:
    """Check that everything visible is whole and made of numbers, and that nothing temporary is left."""
    for path in run.rglob("*.safetensors"):
        found = Checkpoint.load(path, kind="state" if path.parent.name == "state" else "translator")
        assert all(torch.isfinite(t).all() for t in found.tensors.values()), path
    for path in run.rglob("*.jpg"):
        Image.open(path).load()
    assert not list(run.rglob("*.tmp"))


def test_two_straight_runs_are_equal_whoever_reads(folders: tuple[Path, Path], straight: Path, tmp_path: Path) -> None:
    play(folders, tmp_path / "run", workers=2)
    assert result(tmp_path / "run") == result(straight)


@pytest.mark.parametrize("step", range(1, STEPS))
def test_stopped_at_any_step_and_continued(
    folders: tuple[Path, Path], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    before, after = {2: (2, 0), 5: (0, 2), 6: (2, 2)}.get(step, (0, 0))
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
    scores = [line for line in log(tmp_path) if "score" in line]
    assert scores == [line for line in log(straight) if "score" in line]


def test_stopped_after_every_single_step(
    folders: tuple[Path, Path], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, STEPS):
        with monkeypatch.context() as patch:
            stop_after(patch, step, signal.SIGINT)
            assert play(folders, tmp_path).signal == signal.SIGINT
    play(folders, tmp_path)
    assert result(tmp_path) == result(straight)
    assert_diary_in_order(tmp_path)
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_killed_without_notice_it_goes_on_from_the_last_state(
    folders: tuple[Path, Path], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    plain = Trainer.play

    def dying(self: Trainer, micro_batches: Any) -> Report:
        if self.images == 5 * BATCH:
            raise Killed
        return plain(self, micro_batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "play", dying)
        with pytest.raises(Killed):
            play(folders, tmp_path)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["000000000006.safetensors"]
    assert log(tmp_path)[-1]["images"] == 10
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"images": 12, "torn')
    (tmp_path / ".styl-999999999-00000000.tmp").write_bytes(b"left by a process that died")
    play(folders, tmp_path)
    assert result(tmp_path) == result(straight)
    assert_diary_in_order(tmp_path)
    assert_whole(tmp_path)


def listing(run: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(run)): (p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*")}


def test_a_finished_run_is_left_alone(folders: tuple[Path, Path], straight: Path) -> None:
    before = listing(straight)
    again = play(folders, straight)
    assert (again.already, again.images, again.signal) == (True, STEPS * BATCH, None)
    assert listing(straight) == before


def test_a_finished_run_can_be_taken_further(folders: tuple[Path, Path], tmp_path: Path) -> None:
    play(folders, tmp_path, "training.decay=0")
    further = play(folders, tmp_path, "training.decay=0", "training.images=24")
    assert (further.images, further.already) == (24, False)
    play(folders, tmp_path / "whole", "training.decay=0", "training.images=24")
    assert result(tmp_path) == result(tmp_path / "whole")
    assert_diary_in_order(tmp_path)


def test_a_budget_of_time_ends_in_a_saved_and_finished_run(folders: tuple[Path, Path], tmp_path: Path) -> None:
    budget = ("training.minutes=0.005", "training.images=0")
    done = play(folders, tmp_path, *budget)
    assert (done.signal, done.already) == (None, False)
    assert result(tmp_path)[0] == f"{done.images:012d}.safetensors"
    assert [line["progress"] for line in log(tmp_path) if "progress" in line][-1] == 1
    assert play(folders, tmp_path, *budget).already


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [("training.learning_rate=0.5", "0.0002", "0.5"), ("seed=3", "0", "3"), ("translator.width=8", "4", "8")],
)
def test_a_changed_option_is_refused_with_both_values(
    folders: tuple[Path, Path], straight: Path, override: str, old: str, new: str
) -> None:
    before, name = listing(straight), override.partition("=")[0]
    with pytest.raises(UsageError) as caught:
        play(folders, straight, override)
    assert caught.value.what.endswith(f"was begun with {name} = {old}, now it is {new}")
    assert listing(straight) == before


def flip_a_bit(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) * 2 // 3] ^= 4
    path.write_bytes(blob)


def test_a_damaged_state_gives_way_to_the_one_before(
    folders: tuple[Path, Path], straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        play(folders, tmp_path)
    older, newest = sorted((tmp_path / "state").iterdir())
    flip_a_bit(newest)
    outcome = play(folders, tmp_path)
    assert len(outcome.notes) == 1
    assert str(newest) in outcome.notes[0]
    assert "damaged" in outcome.notes[0]
    assert "the state before it is used" in outcome.notes[0]
    assert result(tmp_path) == result(straight)
    assert_diary_in_order(tmp_path)
    assert older.name == "000000000012.safetensors"


def test_a_run_without_a_whole_state_is_not_begun_anew(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        play(folders, tmp_path)
    for state in (tmp_path / "state").iterdir():
        flip_a_bit(state)
    before = listing(tmp_path)
    with pytest.raises(CheckpointError, match="none of its states is whole"):
        play(folders, tmp_path)
    assert listing(tmp_path) == before


def test_a_flipped_bit_in_weights_is_noticed(straight: Path, tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    whole = (straight / "weights" / "last.safetensors").read_bytes()
    chance = np.random.default_rng(0)
    for place in chance.integers(0, len(whole), 40):
        blob = bytearray(whole)
        blob[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(blob)
        with pytest.raises(CheckpointError, match=r"last\.safetensors: "):
            Checkpoint.load(path, kind="translator")


def test_a_folder_is_held_by_one_run(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with files.lock(tmp_path), pytest.raises(StylError, match=f"in use by process {os.getpid()} on ") as caught:
        play(folders, tmp_path)
    assert caught.value.code == 2
    assert play(folders, tmp_path, "training.images=2").images == 2


class Disk:
    """A disk that is full from the n-th sync on."""

    def __init__(self, room: float) -> None:
        self.room, self.syncs, self.plain = room, 0, os.fsync

    def fsync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.syncs > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.plain(descriptor)


def test_a_full_disk_stops_early_and_loses_nothing(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, whole = Disk(float("inf")), tmp_path / "whole"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk.fsync)
        play(folders, whole, "training.images=8")
    assert disk.syncs > 12
    for room in range(disk.syncs):
        run = tmp_path / str(room)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", Disk(room).fsync)
            with pytest.raises(StoppedEarly, match="No space left on device") as caught:
                play(folders, run, "training.images=8")
        assert caught.value.code == 3
        assert_whole(run)
        if room % 2 == 0 or room > disk.syncs - 6:
            play(folders, run, "training.images=8")
            assert result(run) == result(whole)
            assert_diary_in_order(run)


def test_a_folder_that_cannot_be_made_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file/run: cannot be written: Not a directory"):
        play(folders, tmp_path / "file" / "run")


@pytest.mark.parametrize("every", [("every.log=2", "every.save=4"), ("every.log=100", "every.save=4")])
@pytest.mark.parametrize("network", ["G", "D_y"])
def test_no_checkpoint_ever_holds_what_is_no_number(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, every: tuple[str, str]
) -> None:
    plain = Trainer.play

    def poisoned(self: Trainer, micro_batches: Any) -> Report:
        if self.images == 6:
            next(self.objective.get_submodule(network).parameters()).data.flatten()[0] = float("nan")
        return plain(self, micro_batches)

    monkeypatch.setattr(Trainer, "play", poisoned)
    with pytest.raises(StoppedEarly, match="no numbers any more at 8 images") as caught:
        play(folders, tmp_path, *every)
    assert "learning_rate" in caught.value.hint
    assert_whole(tmp_path)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["000000000004.safetensors"]


def test_the_record_of_a_run_can_be_run_again(straight: Path, tmp_path: Path) -> None:
    written = Experiment.load(str(straight / "experiment.toml"))
    train(written, tmp_path, device="cpu", workers=0)
    assert result(tmp_path) == result(straight)
    assert (tmp_path / "experiment.toml").read_bytes() == (straight / "experiment.toml").read_bytes()


def test_the_surroundings_of_a_run_are_written_down(straight: Path) -> None:
    found = json.loads((straight / "environment.json").read_text())
    assert found["command"] == sys.argv
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found.keys() >= {"python", "platform", "commit", "cores"}
    assert found["device_name"]


def test_weights_say_what_they_are_and_name_no_place(folders: tuple[Path, Path], straight: Path) -> None:
    about = Checkpoint.load(straight / "weights" / "last.safetensors", kind="translator").about
    assert about["domains"] == ["x", "y"]
    assert about["routes"] == [["x", "y", "G"], ["y", "x", "F"]]
    assert about["images"] == STEPS * BATCH
    assert about["networks"]["G"]["name"] == "resnet"
    assert str(folders[0].parent) not in json.dumps(about)


def test_a_damaged_record_is_one_line(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text("seed = = 1")
    with pytest.raises(InputError, match=r"experiment\.toml: not valid TOML"):
        play(folders, tmp_path)


def command(folders: tuple[Path, Path], run: Path, *more: str) -> list[str]:
    settings = [word for option in OPTIONS for word in ("--set", option)]
    where = [*map(str, folders), "-o", str(run), "--device", "cpu"]
    return [sys.executable, "-m", "cyclegan", "train", *where, *settings, *more]


def interrupted(words: list[str], run: Path, number: int) -> tuple[int, str]:
    """Start a training, send a signal once its diary has grown, and return exit code and everything it said."""
    diary, env = run / "log.jsonl", os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    size = diary.stat().st_size if diary.exists() else 0
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if diary.exists() and diary.stat().st_size > size:
            process.send_signal(number)
            break
        time.sleep(0.005)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def test_signals_save_and_the_same_command_goes_on(folders: tuple[Path, Path], tmp_path: Path) -> None:
    budget, run = ["training.images=100000", "training.decay=0", "every.save=1000000", "every.sheet=1000000"], tmp_path
    words = command(folders, run, *(w for option in budget for w in ("--set", option)), "--workers", "2")
    reached = [0]
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        returned, said = interrupted(words, run, number)
        assert returned == code, said
        assert "saved at" in said
        assert "Traceback" not in said
        newest = max(int(path.stem) for path in (run / "state").iterdir())
        assert f"saved at {newest:,} images" in said
        assert newest > reached[-1]
        reached.append(newest)
    target = f"training.images={reached[-1] + 4}"
    play(folders, run, *budget, target)
    play(folders, tmp_path / "whole", *budget, target)
    assert result(run)[:2] == result(tmp_path / "whole")[:2]
    assert_diary_in_order(run)
