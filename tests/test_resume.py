"""Stopped anywhere, in any way, and continued: the same weights to the last bit, and nothing on disk that is broken."""

import dataclasses
import errno
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
from tiny import (
    BATCH,
    OPTIONS,
    STEPS,
    Folders,
    around_step,
    assert_diary_in_order,
    assert_whole,
    draw_folders,
    flip_a_bit,
    listing,
    log,
    looks,
    play,
    result,
    states,
    stop_after,
)

from cyclegan.checkpoint import Checkpoint
from cyclegan.errors import CheckpointError, InputError, StoppedEarly, StylError, UsageError
from cyclegan.experiment import Experiment
from cyclegan.locks import lock
from cyclegan.media.image import encode_picture
from cyclegan.objectives import Objective
from cyclegan.training.look import Look, Looker
from cyclegan.training.run import train
from cyclegan.training.trainer import Trainer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return draw_folders(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def straight(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    outcome = play(folders, run)
    assert (outcome.images, outcome.signal, outcome.already) == (STEPS * BATCH, None, False)
    return run


def test_two_straight_runs_are_equal_whoever_reads(folders: Folders, straight: Path, tmp_path: Path) -> None:
    play(folders, tmp_path / "run", workers=2)
    assert result(tmp_path / "run") == result(straight)


@pytest.mark.parametrize("step", range(1, STEPS))
def test_stopped_at_any_step_and_continued(
    folders: Folders, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
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
    assert looks(tmp_path) == looks(straight)
    assert ["untranslated" in look for look in looks(straight)] == [True, False, False]


def test_stopped_after_every_single_step(
    folders: Folders, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    folders: Folders, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(_: Trainer) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        around_step(patch, 6, before=die)
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


def test_a_finished_run_is_left_alone(folders: Folders, straight: Path) -> None:
    before = listing(straight)
    again = play(folders, straight)
    assert (again.already, again.images, again.signal) == (True, STEPS * BATCH, None)
    assert listing(straight) == before


def test_a_finished_run_can_be_taken_further(folders: Folders, tmp_path: Path) -> None:
    play(folders, tmp_path, "training.decay=0")
    further = play(folders, tmp_path, "training.decay=0", "training.images=24")
    assert (further.images, further.already) == (24, False)
    play(folders, tmp_path / "whole", "training.decay=0", "training.images=24")
    assert result(tmp_path) == result(tmp_path / "whole")
    assert_diary_in_order(tmp_path)


def test_a_budget_of_time_ends_in_a_saved_and_finished_run(folders: Folders, tmp_path: Path) -> None:
    budget = ("training.minutes=0.005", "training.images=0")
    done = play(folders, tmp_path, *budget)
    assert (done.signal, done.already) == (None, False)
    assert result(tmp_path)[0] == f"{done.images:012d}.safetensors"
    assert [line["progress"] for line in log(tmp_path) if "progress" in line][-1] == 1
    assert play(folders, tmp_path, *budget).already


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [("objective.cycle=0.5", "10.0", "0.5"), ("seed=3", "0", "3"), ("translator.width=8", "4", "8")],
)
def test_a_changed_option_is_refused_with_both_values(
    folders: Folders, straight: Path, override: str, old: str, new: str
) -> None:
    before, name = listing(straight), override.partition("=")[0]
    with pytest.raises(UsageError) as caught:
        play(folders, straight, override)
    assert caught.value.what.endswith(f"was begun with {name} = {old}, now it is {new}")
    assert listing(straight) == before


def test_a_damaged_state_gives_way_to_the_one_before(
    folders: Folders, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_folder_is_held_by_one_run(folders: Folders, tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(StylError, match=f"in use by process {os.getpid()} on ") as caught:
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
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, whole = Disk(float("inf")), tmp_path / "whole"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk.fsync)
        play(folders, whole, "training.images=8")
    assert disk.syncs > 12
    for room in range(0, disk.syncs, 3):  # every one of them, and between: test_crash.py
        run = tmp_path / str(room)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", Disk(room).fsync)
            with pytest.raises(StylError, match="No space left on device") as caught:
                play(folders, run, "training.images=8")
        assert caught.value.code == (3 if (run / ".lock").exists() else 2), "nothing can go on that was not begun"
        assert_whole(run)
        if room % 2 == 0:
            play(folders, run, "training.images=8")
            assert result(run) == result(whole)
            assert_diary_in_order(run)


def test_a_folder_that_cannot_be_made_is_named(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file/run: cannot be written: Not a directory"):
        play(folders, tmp_path / "file" / "run")


@pytest.mark.parametrize("every", [("every.log=2", "every.save=4"), ("every.log=100", "every.save=4")])
@pytest.mark.parametrize("network", ["G", "D_y"])
def test_no_checkpoint_ever_holds_what_is_no_number(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str, every: tuple[str, str]
) -> None:
    def poison(trainer: Trainer) -> None:
        next(trainer.objective.get_submodule(network).parameters()).data[0] = float("nan")

    around_step(monkeypatch, 4, before=poison)
    with pytest.raises(StoppedEarly, match="no numbers any more at 8 images") as caught:
        play(folders, tmp_path, *every)
    assert "learning_rate" in caught.value.hint
    assert_whole(tmp_path)
    assert states(tmp_path) == [4]
    assert not (tmp_path / "weights" / "best.safetensors").exists()


def test_samples_are_what_the_best_weights_make(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three looks the second is the best."""
    plain, seen = Looker.look, list[Look]()

    def looked(self: Looker, objective: Objective, **more: Any) -> Look:
        found, kid = plain(self, objective, **more), (3.0, 1.0, 2.0)[len(seen)]
        distances = {name: dataclasses.replace(each, value=kid) for name, each in found.distances.items()}
        measure = {name: figures | {"kid": kid} for name, figures in found.measure.items()}
        seen.append(dataclasses.replace(found, measure=measure, distances=distances))
        return seen[-1]

    monkeypatch.setattr(Looker, "look", looked)
    play(folders, tmp_path, "every.sheet=6")
    assert [look.kid for look in seen] == [3, 1, 2]
    names = {f"{x}-{i}{way}" for x, y in ("xy", "yx") for i in (1, 2, 3) for way in ("", f"-to-{y}")}
    assert {path.name for path in (tmp_path / "samples").iterdir()} == {f"{name}.jpg" for name in names}
    for name in names:
        written = (tmp_path / "samples" / f"{name}.jpg").read_bytes()
        assert written == encode_picture(seen[1].samples[name], suffix=".jpg")
        translated = "-to-" in name
        assert (written == encode_picture(seen[2].samples[name], suffix=".jpg")) != translated


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


def test_weights_say_what_they_are_and_name_no_place(folders: Folders, straight: Path) -> None:
    about = Checkpoint.load(straight / "weights" / "last.safetensors", kind="translator").about
    assert about["domains"] == ["x", "y"]
    assert about["routes"] == [["x", "y", "G"], ["y", "x", "F"]]
    assert about["images"] == STEPS * BATCH
    assert about["networks"]["G"]["name"] == "resnet"
    assert str(folders[0].parent) not in json.dumps(about)


def test_a_damaged_record_is_one_line(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text("seed = = 1")
    with pytest.raises(InputError, match=r"experiment\.toml: not valid TOML"):
        play(folders, tmp_path)


def command(folders: Folders, run: Path, *more: str) -> list[str]:
    settings = [word for option in OPTIONS for word in ("--set", option)]
    settings += ["--preset", "cyclegan-2017", "--set", "data.fit=cover"]
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


@pytest.mark.parametrize(
    "numbers",  # as real processes; in forked children see test_faults.py
    [((signal.SIGTERM, 143),), pytest.param(((signal.SIGTERM, 143), (signal.SIGINT, 130)) * 5, marks=pytest.mark.slow)],
    ids=["once", "often"],
)
def test_signals_save_and_the_same_command_goes_on(
    folders: Folders, tmp_path: Path, numbers: tuple[tuple[int, int], ...]
) -> None:
    budget, run = ["training.images=100000", "training.decay=0", "every.save=1000000", "every.sheet=1000000"], tmp_path
    words = command(folders, run, *(w for option in budget for w in ("--set", option)), "--workers", "2")
    reached = [0]
    for number, code in numbers:
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
