"""Several processes play as one does, to the last bit; only the first one writes."""

import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import fork, wait

from cyclegan.checkpoint import Checkpoint
from cyclegan.cli import app
from cyclegan.errors import StoppedEarly
from cyclegan.objectives import History
from cyclegan.training import ranks as module
from cyclegan.training.ranks import Ranks, joined

OPTIONS = [  # everything that draws: history, dropout, places, augmentation, a penalty that comes at times
    *("--preset", "tiny", "--device", "cpu", "--workers", "0", "--images", "24", "--size", "16", "--batch", "2"),
    *(f"--set={name}" for name in ("data.enlarge=1.25", "data.held_back=4", "translator.width=4", "critic.width=4")),
    *(f"--set={name}" for name in ("translator.blocks=1", "critic.layers=1", "translator.dropout=0.3", "every.log=4")),
    *(f"--set={name}" for name in ("objective.history=3", "objective.nce=0.5", "objective.augment=0.5")),
    *(f"--set={name}" for name in ("objective.r1_every=2", "every.sheet=12", "every.save=12", "training.ema=20")),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, tint in (("x", (120, 20, 20)), ("y", (20, 40, 140))):
        (root / name).mkdir()
        for i in range(40):
            pixels = chance.integers(0, 100, (20, 24, 3)) + tint
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return [str(root / "x"), str(root / "y")]


TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "cyclegan"]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def play_two(*arguments: str) -> str:
    line = [*TWO, "train", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def play_alone(*arguments: str) -> None:
    """Play in this process, with as many threads as each of two would have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert app(args=["train", *arguments], standalone_mode=False) == 0
    finally:
        torch.set_num_threads(threads)


def tensors(run: Path) -> dict[str, torch.Tensor]:
    newest = sorted((run / "state").glob("*.safetensors"))[-1]
    return Checkpoint.load(newest, kind="state").tensors


def log(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(folders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("alone") / "run"
    play_alone(*folders, *OPTIONS, "--set=training.accumulate=2", "-o", str(run))
    return run


def assert_equal_runs(one: Path, other: Path) -> None:
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name


def test_two_ranks_equal_one_process_that_accumulates_two(folders: list[str], alone: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = play_two(*folders, *OPTIONS, "-o", str(run))
    assert_equal_runs(alone, run)
    assert said.count("finished at 24 images") == 1, "one speaks for all"
    mine, theirs = ([line["losses"] for line in log(r) if "losses" in line] for r in (alone, run))
    assert len(mine) == 6
    for one, two in zip(mine, theirs, strict=True):
        assert isinstance(one, dict)
        assert two == pytest.approx(one, rel=1e-5), "losses are means over the ranks"
    looks = [[line["kid"] for line in log(r) if "kid" in line] for r in (alone, run)]
    assert looks[0] == looks[1]


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(folders: list[str], alone: Path, tmp_path: Path) -> None:
    """One process that accumulates begins, two ranks finish: the option changes, the mathematics does not."""
    run = tmp_path / "run"
    half = [option if option != "24" else "12" for option in OPTIONS]
    decay = "--set=training.decay=0"  # the step's fall depends on the length that was asked for
    play_alone(*folders, *half, decay, "--set=training.accumulate=2", "-o", str(run))
    play_two(*folders, *OPTIONS, decay, "-o", str(run))
    whole = tmp_path / "whole"
    play_alone(*folders, *OPTIONS, decay, "--set=training.accumulate=2", "-o", str(whole))
    assert_equal_runs(run, whole)


@pytest.mark.slow
def test_a_signal_to_the_launcher_saves_and_the_same_command_goes_on(
    folders: list[str], tmp_path: Path, alone: Path
) -> None:
    run = tmp_path / "run"
    line = [*TWO, "train", *folders, *OPTIONS, "--images", "1000000", "-o", str(run)]
    started = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())
    deadline = time.monotonic() + 60
    while not (run / "log.jsonl").exists() or len(log(run)) < 3:
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.1)
    started.send_signal(signal.SIGTERM)
    said, _ = started.communicate(timeout=60)
    assert "the same command goes on" in said
    last = log(run)[-1]["images"]
    newest = sorted((run / "state").glob("*.safetensors"))[-1]
    assert int(newest.stem) == last, "no step is lost"
    play_two(*folders, *OPTIONS, "--images", str(int(str(last)) + 8), "-o", str(run))


def test_a_history_is_shared_in_the_order_of_ranks() -> None:
    everyone = [torch.full((1, 1, 1, 1), float(n)) for n in range(20)]
    together, mine, theirs = History(3), History(3), History(3)
    expected = torch.cat([together.swap(fake) for fake in everyone])
    for history, rank in ((mine, 0), (theirs, 1)):
        history.rank = rank
        turns = iter(zip(everyone[::2], everyone[1::2], strict=True))
        history.gather = lambda _, turns=turns: list(next(turns))  # type: ignore[misc]
    given = [torch.cat([h.swap(everyone[0]) for _ in range(10)]) for h in (mine, theirs)]
    assert torch.equal(torch.stack(given, 1).flatten(0, 1), expected)
    assert torch.equal(mine.kept, theirs.kept)


def test_alone_nothing_is_shared() -> None:
    ranks, gradient = Ranks(), torch.tensor([1.0, 2.0])
    ranks.average_([gradient])
    assert gradient.tolist() == [1.0, 2.0]
    assert ranks.largest(3.0) == 3.0
    assert [t.tolist() for t in ranks.gather(gradient)] == [[1.0, 2.0]]


def two_ranks(work: Callable[[Ranks], None], *, step: float) -> list[int]:
    """Let two forked ranks work together, with so many seconds of patience in a step; return their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def play(rank: int) -> None:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": str(rank), "WORLD_SIZE": "2"}
        module.STEP = timedelta(seconds=step)
        try:
            with joined("cpu") as ranks:
                work(ranks)
        except StoppedEarly as error:
            sys.exit(error.code)

    return [wait(child) for child in [fork(lambda rank=rank: play(rank)) for rank in range(2)]]


def test_the_first_rank_may_work_longer_alone_than_a_step_may_take() -> None:
    text = os.urandom(30_000_000)  # the scan of a hundred thousand pictures

    def scans(ranks: Ranks) -> None:
        if ranks.first:
            time.sleep(2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert hashlib.sha256(ranks.told(text if ranks.first else b"")).digest() == hashlib.sha256(text).digest()
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024 < 150, "MiB: bytes, not numbers"
        assert ranks.told(b"") == b""
        if ranks.first:
            time.sleep(2)
        ranks.together()
        assert ranks.largest(ranks.rank) == 1

    assert two_ranks(scans, step=1) == [0, 0]


@pytest.mark.parametrize("lost", ["dead", "hanging"])
def test_a_lost_rank_ends_the_others_soon_and_in_one_line(lost: str) -> None:
    def loses(ranks: Ranks) -> None:
        if not ranks.first:
            time.sleep(0 if lost == "dead" else 3)
            os._exit(7)
        ranks.told(b"before")
        ranks.largest(1)

    begun = time.monotonic()
    assert two_ranks(loses, step=1) == [3, 7]
    assert time.monotonic() - begun < 20
