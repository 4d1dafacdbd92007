"""Workers that are killed, that hang, that have no shared memory, that are not forked: the draws stay the same."""

import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cyclegan.errors import InputError, StoppedEarly
from cyclegan.experiment import Data
from cyclegan.media.image import read_rgb
from cyclegan.training.data import Batches

ROOT = Path(__file__).parents[1]


def folder(root: Path, count: int, *, seed: int) -> Path:
    root.mkdir()
    for i in range(count):
        pixels = np.random.default_rng([seed, i]).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{i:03d}.png")
    return root


@pytest.fixture
def chosen(tmp_path: Path) -> Data:
    folders = folder(tmp_path / "x", 30, seed=1), folder(tmp_path / "y", 40, seed=2)
    return Data(folders=tuple(map(str, folders)), size=16, enlarge=1.25)


@pytest.fixture(autouse=True)
def no_orphans() -> Iterator[None]:
    before = set(multiprocessing.active_children())
    yield
    end = time.monotonic() + 10
    while set(multiprocessing.active_children()) - before and time.monotonic() < end:
        time.sleep(0.05)
    assert not set(multiprocessing.active_children()) - before


def workers_now() -> list[int]:
    return [process.pid for process in multiprocessing.active_children() if process.pid]


def alike(here: list[list[Tensor]], there: list[list[Tensor]]) -> bool:
    pairs = zip(here, there, strict=True)
    return all(torch.equal(h, t) for one, other in pairs for h, t in zip(one, other, strict=True))


def taken(batches: Batches, steps: int, *, start: int = 0) -> list[list[Tensor]]:
    return list(itertools.islice(batches.starting(start), steps))


@pytest.mark.parametrize("workers", [1, 3])
def test_a_killed_worker_is_replaced_and_nothing_else_changes(chosen: Data, workers: int) -> None:
    straight = taken(Batches(chosen, batch=2, seed=3), 40, start=7)
    batches = Batches(chosen, batch=2, seed=3, workers=workers)
    drawn = batches.starting(7)
    got = list(itertools.islice(drawn, 9))
    os.kill(workers_now()[0], signal.SIGKILL)
    time.sleep(0.3)  # the step goes on: nothing is raised where a draw could not be repeated
    got += itertools.islice(drawn, 31)
    assert alike(got, straight)
    assert len(batches.notes) == 1
    assert "killed" in batches.notes[0]
    assert len(workers_now()) == workers
    os.kill(workers_now()[0], signal.SIGKILL)
    with pytest.raises(StoppedEarly, match="for the second time") as caught:
        list(itertools.islice(drawn, 40))
    assert "--workers 0" in caught.value.hint


def test_a_worker_that_hangs_is_given_up_and_the_files_named(chosen: Data, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    straight = Batches(chosen, batch=1, seed=0)
    hung = straight.draws.path(1, 5)

    def reader(path: Path) -> NDArray[np.uint8]:
        if path == hung:
            pipe.read_bytes()  # as from a network folder whose server is gone: nobody ever writes
        return read_rgb(path)

    batches = Batches(chosen, batch=1, seed=0, workers=2, patience=2)
    batches.draws.read = reader
    drawn = batches.starting(0)
    assert alike(list(itertools.islice(drawn, 5)), taken(straight, 5))
    begun = time.monotonic()
    with pytest.raises(StoppedEarly, match="no answer for 2 seconds while reading") as caught:
        next(drawn)
    assert time.monotonic() - begun < 2 + 5
    assert str(hung) in caught.value.what


SCRIPT = """
import os, sys
from cyclegan.experiment import Data
from cyclegan.training.data import Batches

batches = Batches(Data(folders={folders!r}, size=256), batch=4, seed=0, workers=2)
drawn = batches.starting(0)
next(drawn)
import multiprocessing, time
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
time.sleep(1)  # until the workers wait for someone to take megabytes from them
{ending}
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("ending", ["", "os.kill(os.getpid(), 9)"])
def test_workers_end_with_the_program_however_it_ends(chosen: Data, ending: str) -> None:
    """Here the program ends in between two batches: it neither hangs nor leaves orphans."""
    script = SCRIPT.format(folders=chosen.folders, ending=ending)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == (-9 if ending else 0), done.stderr
    pids = list(map(int, done.stdout.split()))
    assert len(pids) == 2
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, pids))


@pytest.mark.slow
def test_a_worker_that_hangs_does_not_outlive_the_training(chosen: Data, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    batches = Batches(chosen, batch=1, seed=0, workers=2)
    hung = batches.draws.path(1, 3)

    def reader(path: Path) -> NDArray[np.uint8]:
        return read_rgb(pipe if path == hung and pipe.read_bytes() else path)

    batches.draws.read = reader
    drawn = batches.starting(0)
    next(drawn)
    pids = workers_now()
    drawn.close()  # type: ignore[attr-defined]
    assert len(pids) == 2
    assert not workers_now()


def test_slow_is_not_hanging(chosen: Data) -> None:
    def reader(path: Path) -> NDArray[np.uint8]:
        time.sleep(0.7)
        return read_rgb(path)

    batches = Batches(chosen, batch=1, seed=0, workers=1, patience=3)
    batches.draws.read = reader
    assert alike(taken(batches, 2), taken(Batches(chosen, batch=1, seed=0), 2))  # 1.4 s each, asked for every second


def test_what_goes_wrong_in_a_worker_otherwise_is_not_taken_for_its_death(chosen: Data) -> None:
    def reader(path: Path) -> NDArray[np.uint8]:
        raise RuntimeError("a bug of ours")

    batches = Batches(chosen, batch=1, seed=0, workers=1)
    batches.draws.read = reader
    with pytest.raises(RuntimeError, match="a bug of ours"):
        taken(batches, 1)
    assert not batches.notes


def test_workers_need_not_be_forked(chosen: Data) -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        got = taken(Batches(chosen, batch=2, seed=3, workers=1), 6, start=4)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert alike(got, taken(Batches(chosen, batch=2, seed=3), 6, start=4))


def test_pictures_that_rot_while_training_end_it_when_they_are_many(tmp_path: Path) -> None:
    folders = folder(tmp_path / "x", 150, seed=1), folder(tmp_path / "y", 30, seed=2)
    batches = Batches(Data(folders=tuple(map(str, folders)), size=16), batch=1, seed=0)
    drawn = batches.starting(0)
    list(itertools.islice(drawn, 3))
    for path in batches.domains[0].train[:100]:
        path.unlink()
    list(itertools.islice(drawn, 300))
    assert len(batches.damaged) == 100
    batches.domains[0].train[100].write_bytes(b"rot")
    with pytest.raises(StoppedEarly, match="101 pictures cannot be read any more"):
        list(itertools.islice(drawn, 300))


@pytest.mark.parametrize("failures", [1, 2])
def test_a_disk_that_fails_is_asked_once_more(chosen: Data, failures: int) -> None:
    batches, counts = Batches(chosen, batch=1, seed=0), dict[Path, int]()
    failing = batches.draws.path(0, 2)

    def reader(path: Path) -> NDArray[np.uint8]:
        counts[path] = counts.get(path, 0) + 1
        if path == failing and counts[path] <= failures:
            raise InputError(f"{path}: Input/output error") from OSError(5, "Input/output error")
        return read_rgb(path)

    batches.draws.read = reader
    same = alike(taken(batches, 5), taken(Batches(chosen, batch=1, seed=0), 5))
    assert same == (failures == 1)
    assert len(batches.damaged) == failures - 1


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_shared_memory_is_not_needed(chosen: Data, tmp_path: Path) -> None:
    """Containers have 64 MB of it, which torch fills with one batch of large pictures; here it is 64 kB, then full."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import itertools, os, pathlib, torch
            from cyclegan.experiment import Data
            from cyclegan.training.data import Batches

            data = Data(folders={chosen.folders!r}, size=256)
            def taken(workers):
                batches = Batches(data, batch=2, seed=0, workers=workers)
                return list(itertools.islice(batches.starting(0), 4)), batches.notes

            alone, small = taken(0), taken(2)
            filler = pathlib.Path("/dev/shm/filler").open("wb", buffering=0)
            try:
                while filler.write(bytes(4096)): pass
            except OSError:
                pass
            full = taken(2)
            for got, notes in (small, full):
                assert all(torch.equal(a, b) for x, y in zip(got, alone[0]) for a, b in zip(x, y))
            print(len(small[1]), *full[1])
            """
        )
    )
    inside = 'mount -t tmpfs -o size=64k none /dev/shm && exec "$0" "$1"'
    command = ["unshare", "-r", "-m", "sh", "-c", inside, sys.executable, str(script)]
    if subprocess.run(["unshare", "-r", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 no processes to read pictures"), done.stdout
