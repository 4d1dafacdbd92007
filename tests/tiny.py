"""A training small enough to be played, stopped and killed a hundred times; and children to do that to."""

import ctypes
import hashlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cyclegan.checkpoint import Checkpoint
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
ENDLESS = ("training.images=100000", "training.decay=0", "every.save=1000000", "every.sheet=1000000")

Folders = tuple[Path, Path]


def draw_folders(root: Path) -> Folders:
    """Draw two folders of 20 noisy pictures each."""
    chance = np.random.default_rng(0)
    for name, tint in (("x", (120, 20, 20)), ("y", (20, 40, 140))):
        (root / name).mkdir()
        for i in range(20):
            pixels = chance.integers(0, 100, (20, 24, 3)) + tint
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return root / "x", root / "y"


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: results depend on their number, and a forked child has no other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def experiment(folders: Folders, *overrides: str) -> Experiment:
    chosen = Experiment.load("cyclegan-2017", overrides=["data.fit=cover", *OPTIONS, *overrides])
    return chosen.replace(data__folders=tuple(map(str, folders)), data__domains=("x", "y"))


def play(folders: Folders, run: Path, *overrides: str, workers: int = 0, tensorboard: bool = False) -> Outcome:
    chosen = experiment(folders, *overrides)
    return train(chosen, run, device="cpu", workers=workers, features="own", tensorboard=tensorboard)


def fingerprint(path: Path, *, kind: str) -> str:
    return digest(Checkpoint.load(path, kind=kind))


def digest(found: Checkpoint) -> str:
    """Return the SHA-256 of names, types, shapes and content of all tensors."""
    total = hashlib.sha256()
    for name, tensor in sorted(found.tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return total.hexdigest()


def states(run: Path) -> list[int]:
    return sorted(int(path.stem) for path in (run / "state").glob("*.safetensors"))


def state(run: Path, images: int) -> Path:
    return run / "state" / f"{images:012d}.safetensors"


def result(run: Path, *, kind: str = "translator") -> tuple[str, ...]:
    """Return what a run came to: its last state, its translators or what it draws with, and samples of the best."""
    newest = state(run, states(run)[-1])
    weights = [fingerprint(run / "weights" / f"{name}.safetensors", kind=kind) for name in ("last", "best")]
    return (newest.name, fingerprint(newest, kind="state"), *weights, samples(run))


def samples(run: Path) -> str:
    """Return the SHA-256 of the names and contents of all samples."""
    total = hashlib.sha256()
    for path in sorted((run / "samples").iterdir()):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def looks(run: Path) -> list[dict[str, Any]]:
    return [line for line in log(run) if "losses" not in line]


def listing(run: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(run)): (p.stat().st_mtime_ns, p.stat().st_size) for p in run.rglob("*")}


def assert_diary_in_order(run: Path) -> None:
    keys = [(line["images"], "measure" in line) for line in log(run)]
    assert keys == sorted(set(keys)), "no line twice, none out of order"


def assert_whole(run: Path, *, kind: str = "translator") -> None:
    """Check that everything visible is whole and made of numbers, and that nothing temporary is left."""
    for path in run.rglob("*.safetensors"):
        found = Checkpoint.load(path, kind="state" if path.parent.name == "state" else kind)
        assert all(torch.isfinite(t).all() for t in found.tensors.values()), path
    for path in run.rglob("*.jpg"):
        Image.open(path).load()
    assert not list(run.rglob("*.tmp"))


def flip_a_bit(path: Path, *, place: int | None = None, bit: int = 2) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) * 2 // 3 if place is None else place] ^= 1 << bit
    path.write_bytes(blob)


Hook = Callable[[Trainer], None]


def around_step(patch: Any, step: int, *, before: Hook | None = None, after: Hook | None = None) -> None:
    """Have something happen just before or just after a step is played; steps are counted from 1."""
    plain = Trainer.play

    def played(self: Trainer, micro_batches: Any) -> Report:
        if before and self.images == (step - 1) * BATCH:
            before(self)
        report = plain(self, micro_batches)
        if after and report.images == step * BATCH:
            after(self)
        return report

    patch.setattr(Trainer, "play", played)


def stop_after(patch: Any, step: int, number: int = signal.SIGTERM) -> None:
    """Send ourselves a signal in the middle of a step."""
    around_step(patch, step, after=lambda _: signal.raise_signal(number))


# --- children


def fork(work: Callable[[], object], *, said: Path | None = None, group: bool = False) -> int:
    """Do something in a child of one thread and return its process id; what it prints goes to `said`."""
    with warnings.catch_warnings(action="ignore"):  # of threads that the child does not have: it needs none
        pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        import cv2

        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(900)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a test that fails leaves nothing behind
        cv2.setNumThreads(0)
        torch.set_num_threads(1)
        if group:
            os.setpgid(0, 0)
        if said:
            _speak_into(said)
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _speak_into(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(n), "w", 1) for n in (1, 2))
    sys.__stderr__ = sys.stderr  # type: ignore[misc]
    sys.stderr = sys.__stderr__


def wait(pid: int, *, seconds: float = 60) -> int:
    """Return the exit code of a child, minus the signal's number where one ended it; a late child is killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"still running after {seconds} seconds")


def words(folders: Folders, run: Path, *overrides: str) -> list[str]:
    """Return the command line of a tiny training."""
    settings = [word for option in (*OPTIONS, *overrides) for word in ("--set", option)]
    recipe = ["--preset", "cyclegan-2017", "--set", "data.fit=cover"]
    return ["train", *map(str, folders), *recipe, "-o", str(run), "--device", "cpu", "--features", "own", *settings]


def styl(arguments: list[str]) -> None:
    """Do in this process, a child, what the command does."""
    from cyclegan.cli import main

    sys.argv = ["styl", *arguments]
    main()


def until(true: Callable[[], object], *, pid: int = 0, seconds: float = 60) -> None:
    """Wait for something to become true while a child lives."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        assert not pid or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None, "the child has ended"
        time.sleep(0.002)
