"""Benchmarks can be believed: the floor is counted right, rounds alternate, and the reference does what we do."""

import copy
import itertools
import json
import mmap
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from cyclegan.bench import cases, floor, memory, rows, timing
from cyclegan.bench.cases import Case, Move
from cyclegan.bench.floor import Floor, Work
from cyclegan.bench.timing import About, Failed, Round, Timing
from cyclegan.catalog import load
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli import app
from cyclegan.cli.edge import guarded
from cyclegan.errors import UsageError
from cyclegan.experiment import Experiment
from cyclegan.objectives import assemble
from cyclegan.training.trainer import Trainer
from cyclegan.translation.translator import Translator

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import benchmark  # noqa: E402
import gpu  # noqa: E402
import reference  # noqa: E402

TINY = ("translator.width=4", "translator.blocks=1", "critic.width=4", "critic.layers=1")
SOLID = Floor({"fp32": 1e9, "bf16": 4e9}, 1e9, {"device": "cpu"})
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def styl(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["styl", *words])
        with pytest.raises(SystemExit) as left:
            guarded(app)
        said = capfd.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


# --- the floor


@pytest.mark.parametrize(("precision", "size"), [("fp32", 4), ("bf16", 2)])
def test_a_convolution_is_counted_as_by_hand(precision: str, size: int) -> None:
    conv = nn.Conv2d(3, 5, 3, padding=1)
    found = floor.work_of_translating(conv, (2, 3, 8, 6), precision=precision)
    assert found.flops == 2 * 9 * 3 * 5 * (2 * 8 * 6)
    assert found.bytes == size * (2 * 3 * 48 + 5 * 3 * 9 + 5 + 2 * 5 * 48)


def test_gradients_are_counted_where_they_are_asked_for() -> None:
    def play(*, of_pictures: bool) -> None:
        x = torch.zeros(1, 3, 8, 8, requires_grad=of_pictures)
        conv2d(x, torch.zeros(5, 3, 3, 3, requires_grad=True), padding=1).sum().backward()

    once = 2 * 9 * 3 * 5 * 64
    assert floor.work_of(lambda: play(of_pictures=False), precision="fp32").flops == 2 * once
    assert floor.work_of(lambda: play(of_pictures=True), precision="fp32").flops == 3 * once


def test_a_step_of_2017_takes_what_the_reference_takes() -> None:
    case = Case("train", (256, 256), preset="cyclegan-2017", precision="fp32")
    ours = cases.work_of_training(case.experiment(), case.shape, precision="fp32")
    theirs = floor.work_of(lambda: reference.Game().play(*torch.empty(2, *case.shape)), precision="fp32")
    assert ours.flops == theirs.flops == 1_879_217_012_736


def test_a_penalty_that_is_paid_now_and_then_counts_for_its_share() -> None:
    def flops(every: int, r1: float = 2.0) -> float:
        settings = (*TINY, f"objective.r1={r1}", f"objective.r1_every={every}")
        case = Case("train", (32, 32), settings=settings)
        return cases.work_of_training(case.experiment(), case.shape, precision="fp32").flops

    without, always = flops(1, r1=0.0), flops(1)
    assert flops(4) == pytest.approx(without + (always - without) / 4)
    assert always > without


def test_the_floor_is_what_binds() -> None:
    assert SOLID.seconds(Work(3e9, 1e9), precision="fp32") == 3
    assert SOLID.seconds(Work(3e9, 1e9), precision="bf16") == 1
    assert 2 * Work(1, 2) + Work(3, 4) == Work(5, 8)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_operations_of_a_case_are_timed_by_themselves(precision: str) -> None:
    case = Case("train", (32, 32), preset="cyclegan-2017", precision=precision, settings=TINY)
    work = cases.work_of_training(case.experiment(), case.shape, precision=precision)
    kinds = {name.split()[0] for name in work.operations}
    assert kinds >= {"aten.convolution.default", "aten.convolution_backward.default"}
    assert len(work.operations) < 60, "each shape once"
    assert 1e6 < work.rate("cpu", precision=precision, seconds=0.0) < 1e16
    assert Work(1, 1).rate("cpu", precision=precision, seconds=0.0) == 0
    assert SOLID.seconds(Work(8e9, 0), precision="fp32", rate=2e9) == 4, "nothing is faster than its own operations"
    assert SOLID.seconds(Work(8e9, 0), precision="fp32", rate=1e6) == 8


def test_this_machine_has_a_floor() -> None:
    found = floor.measure("cpu", seconds=0.0)
    assert found.rates.keys() == {"fp32", "bf16"}
    assert all(1e8 < rate < 1e16 for rate in found.rates.values())
    assert 1e8 < found.bandwidth < 1e14
    assert found.machine.keys() >= {"cores", "threads", "torch", "device", "device_name"}


def test_memory_is_this_process_s() -> None:
    before = memory.resident()
    with mmap.mmap(-1, 64 << 20) as held:  # not from the heap, which may have kept as much
        held.write(b"1" * len(held))
        assert memory.peak("cpu") >= memory.resident() > before + len(held) // 2


# --- timing


def test_laps_and_their_median(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.chain([0, 4, 10, 12, 20, 29], itertools.repeat(99))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    played = list[int]()
    assert timing.median_step(Move(lambda: played.append(1)), "cpu", steps=2, seconds=15) == 2  # of 2, 1 and 4.5
    assert len(played) == 6


@pytest.mark.parametrize(
    ("times", "settles", "played", "lap", "lost"),
    [
        ([30, 1, 1.02], 0, 3, 1, 29.02),  # compiled on the first step
        ([0.4, 0.1, 0.02, 0.0201], 0, 4, 5, 0.4601),
        ([5, 4], 0, 2, 1, 1),  # long steps are not waited for
        ([0.1, 0.1, 0.1, 7, 0.05, 0.05], 5, 5, 2, 7.1),  # compiled on the way
        ([0.01, 0.02] * 99, 0, 50, 10, 0.25),  # never settles
    ],
)
def test_a_case_is_warm_when_its_steps_take_the_same(
    times: list[float], settles: int, played: int, lap: int, lost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, steps = [0.0], iter(times)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    count = list[int]()

    def play() -> None:
        count.append(1)
        clock[0] += next(steps)

    assert timing._warmed(Move(play, settles=settles), "cpu") == (lap, pytest.approx(lost))
    assert len(count) == played


class FakePlayer:
    """A case that notes when it plays, and fails where its name says so."""

    played: list[str]

    def __init__(self, case: Any, *, prepare: Any) -> None:
        self.name, self.number = case, 0

    def __enter__(self) -> "FakePlayer":
        return self

    def __exit__(self, *rest: object) -> None:
        self.played.append(f"{self.name} ends")

    def about(self) -> About:
        if self.name == "wrong":
            raise UsageError("wrong")
        if self.name == "unable":
            unable(self)
        return About(1, 10, "fp32", Work(1e9, 0), "cpu", 100 << 20)

    def round(self, seconds: float) -> Round:
        self.played.append(str(self.name))
        self.number += 1
        return Round(float(self.number), self.number << 20, 0.5, 10.0 - self.number)


def unable(player: FakePlayer) -> About:
    raise Failed("not enough memory")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    FakePlayer.played = []
    monkeypatch.setattr(timing, "Player", FakePlayer)
    return FakePlayer.played


def test_rounds_alternate_forwards_and_backwards(fake: list[str]) -> None:
    told = list[int]()
    found = timing.alternate(
        ["a", "unable", "b"], prepare=cases.prepare, repeats=3, seconds=1, tell=lambda: told.append(1)
    )
    assert fake == ["a", "b", "b", "a", "a", "b", "b ends", "unable ends", "a ends"]
    assert [one.rounds for one in found] == [[1, 2, 3], [], [1, 2, 3]]
    assert (found[0].seconds, found[0].peak, len(told)) == (2, 3 << 20, 9)
    assert (found[0].warm_up, found[0].rate) == (0.5, 9.0), "the best of the rounds"
    assert found[1].error == "not enough memory"
    with pytest.raises(UsageError):
        timing.alternate(["a", "wrong"], prepare=cases.prepare, repeats=1, seconds=1)
    assert fake[-2:] == ["wrong ends", "a ends"]


def test_what_is_compared_is_timed_together() -> None:
    made = [Case(verb, (size, size), precision=p) for verb in ("train", "translate") for size in (32, 64) for p in "ab"]
    assert timing.groups(made) == [made[i : i + 2] for i in range(0, 8, 2)]


def test_a_process_that_dies_is_told_of() -> None:
    with timing.Player(7, prepare=os._exit) as player:
        with pytest.raises(Failed, match="ended with 7"):
            player.about()
        with pytest.raises(Failed, match="ended"):
            player.round(1)


def test_rows_for_programs_and_people() -> None:
    case = Case("translate", (64, 32))
    timed = Timing(case, About(2, 10, "bf16", Work(1e9, 0), "cpu", 100 << 20), [0.5, 2.0, 0.25], 300 << 20)
    found = rows.row(timed, SOLID)
    assert (found["seconds_per_step"], found["pictures_per_second"], found["share_of_floor"]) == (0.5, 4.0, 0.5)
    assert (found["peak_memory_mib"], found["work_memory_mib"], found["precision"]) == (300, 200, "bf16")
    assert len(rows.cells(found)) == len(rows.HEAD)
    assert {"64×32", "500 ms", "50 %", "300 MiB"} <= set(rows.cells(found))
    assert "no luck" in rows.cells(rows.row(Timing(case, error="no luck"), SOLID))


# --- the command


@pytest.mark.slow
def test_one_json_line_for_each_row(styl: Run) -> None:
    words = ["--verb", "translate", "--size", "16x24", "--preset", "tiny", "--batch", "2", "--device", "cpu"]
    code, out, err = styl("bench", *words, "--repeats", "2", "--seconds", "0.01", "--json")
    assert code == 0, err
    (line,) = [json.loads(line) for line in out.splitlines()]
    assert (line["verb"], line["size"], line["batch"], line["preset"]) == ("translate", [16, 24], 2, "tiny")
    assert line["pictures_per_second"] * line["seconds_per_step"] == pytest.approx(2, rel=0.01)
    assert len(line["seconds_of_rounds"]) == 2
    assert 0 < line["share_of_floor"] < 1
    assert 50 < line["peak_memory_mib"] < 4000
    assert line["peak_memory_mib"] > line["work_memory_mib"]
    assert "GFLOP/s" in err


def test_a_table_for_people_and_a_row_that_fails(styl: Run, fake: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "floors", lambda devices, *, seconds: ((device, SOLID) for device in devices))
    words = ["bench", "--device", "cpu", "--size", "32", "--size", "64", "--precision", "fp32", "--precision", "auto"]
    code, out, err = styl(*words)
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 1 + 2 * 2 * 2
    assert lines[0].split("  ")[0] == "what"
    assert [line.split()[0] for line in lines[1:]] == 4 * ["train"] + 4 * ["translate"]
    monkeypatch.setattr(FakePlayer, "about", unable)
    code, out, _ = styl(*words, "--json")
    assert code == 1
    assert {json.loads(line)["error"] for line in out.splitlines()} == {"not enough memory"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--size 0", "--size 0"),
        ("--size 16x", "--size 16x"),
        ("--verb fly", "--verb fly"),
        ("--precision int8", "--precision int8"),
        ("--device toaster", "--device toaster"),
        ("--size 64x32 --verb train", "squares"),
        ("--size 30 --verb train", "multiple of 4"),
        ("--preset nothing", "nothing"),
        ("--set data.sise=3", "data.sise"),
        ("-m nothing", "nothing"),
        ("-m painted-horses --preset fast", "leave out one"),
        ("-m painted-horses --verb train", "leave out one"),
        ("--repeats 0", "repeats"),
        ("--against true", "--command is missing"),
        ("--command true", "--against is missing"),
        ("--command true --against 'open", "not a command"),
        ("--command '' --against true", "empty command"),
        ("--command true --against /nowhere/peer", "cannot be started"),
    ],
)
def test_wrong_uses(words: str, said: str, styl: Run) -> None:
    try:
        given = shlex.split(words)
    except ValueError:
        given = words.split()
    code, out, err = styl("bench", *given)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) <= 2


@pytest.mark.skipif(not shutil.which("sh"), reason="POSIX only")
def test_two_commands_take_turns(styl: Run, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def command(name: str, seconds: float, *, end: str = "true") -> str:
        return shlex.join(
            ["sh", "-c", f'ls "$0" >>{log}; echo {name} >>{log}; >"$0/x"; sleep {seconds}; {end}', "{out}"]
        )

    ours, theirs = command("ours", 0.02), command("theirs", 0.3)
    code, out, err = styl("bench", "--command", ours, "--against", theirs, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert log.read_text().split() == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]  # and each {out} was empty
    assert found["ratio"] == pytest.approx(found["against"]["seconds"] / found["seconds"], rel=0.01)
    assert found["ratio"] > 1.5
    assert len(found["seconds_of_rounds"]) == len(found["against"]["seconds_of_rounds"]) == 3
    _, out, _ = styl("bench", "--command", "true", "--against", "true", "--repeats", "1")
    assert "times as long as the first" in out
    failing = command("theirs", 0, end="echo it broke >&2; exit 3")
    code, out, err = styl("bench", "--command", "true", "--against", failing)
    assert (code, out) == (2, "")
    assert "failed with 3: it broke" in err


# --- the reference, and the tools


def test_the_reference_learns_what_we_learn() -> None:
    overrides = [
        "data.size=32",
        "translator.width=4",
        "translator.blocks=2",
        "critic.width=4",
        "training.precision=fp32",
    ]
    experiment = Experiment.load("cyclegan-2017", overrides=[*overrides, "training.images=1000"]).settled(1)
    torch.manual_seed(0)
    objective = assemble(experiment, channels=3)
    game = reference.Game(width=4, blocks=2, critic_width=4)
    for name in ("G", "F", "D_x", "D_y"):
        reference.take_weights(getattr(game, name), copy.deepcopy(objective.get_submodule(name)))
    trainer = Trainer(objective, experiment.training)
    for _ in range(4):
        x, y = torch.rand(2, 2, 3, 32, 32) * 2 - 1
        ours, theirs = trainer.play([[x, y]]).terms, game.play(x, y)
        assert ours.keys() == theirs.keys()
        for name, term in theirs.items():
            assert float(ours[name]) == pytest.approx(float(term), rel=1e-4), name


def test_the_reference_s_weights_are_the_published_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = reference.Generator(width=4, blocks=6)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    assert load(tmp_path / "net.pth").about["networks"]["G"]["blocks"] == 6
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    ours = Translator.load(tmp_path / "net.pth", device="cpu", precision="fp32")(pixels)
    theirs = reference.translate(network, pixels)
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # theirs are cut off, ours are rounded


@pytest.mark.parametrize("verb", ["train", "translate", *benchmark.PREPARE])
def test_every_case_of_the_tools_can_be_played(verb: str) -> None:
    case = benchmark.FilmCase(verb, (32, 32), 2, "fp32", "cpu", "cyclegan-2017", TINY, None, 3)
    ready = benchmark.prepare(case)
    for move in ready.moves:
        move.play()
    assert ready.pictures == (2 if verb.endswith("train") or verb == "translate" else 3)
    assert ready.work.flops > 1e5
    assert sum(move.share for move in ready.moves) == pytest.approx(1)


def test_ratios_are_a_picture_s() -> None:
    one, two = (About(n, 1, "fp32", Work(1, 1), "cpu", 0) for n in (1, 2))
    found = benchmark.ratios(Timing(None, two, [3.0], 5 << 20), Timing(None, one, [6.0], 10 << 20))
    assert (found["ratio"], found["share_of_reference_memory"]) == (4.0, 0.5)


def test_a_session_on_a_gpu_goes_on_after_a_failure(tmp_path: Path) -> None:
    asked = gpu.parser().parse_args(["--device", "cpu", "--quick", "--output", str(tmp_path), "--budget", "1000"])
    session = gpu.Session(asked)
    session.attempt("one", lambda: 1 / 0)
    session.attempt("two", lambda: session.emit("two", {"fine": True}))
    asked.budget = -1
    session.attempt("three", lambda: session.emit("three", {}))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines] == ["one", "two", "three"]
    assert "ZeroDivisionError" in lines[0]["error"]
    assert lines[2]["error"] == "no time was left"


def test_weights_are_brought_home_in_pieces(tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    for folder in (run / "weights", run / "sheets", home):
        folder.mkdir(parents=True)
    (run / "log.jsonl").write_text("{}")
    for name in ("000001", "000002", "000003", "extremes"):
        (run / "sheets" / f"{name}.jpg").write_text(name)
    network = {"name": "resnet", "width": 16, "blocks": 4}
    tensors = {
        f"{name}.{k}": t for name in "GF" for k, t in reference.Generator(width=64, blocks=1).state_dict().items()
    }
    routes = [["x", "y", "G"], ["y", "x", "F"]]
    about = {"kind": "translator", "routes": routes, "networks": {"G": network, "F": network}}
    Checkpoint(about, tensors).save(run / "weights" / "best.safetensors")
    gpu.bring(run, home, to="x", part_mib=1)
    pieces = sorted(home.glob("best.safetensors.*"))
    assert len(pieces) > 1
    assert all(path.stat().st_size <= 1 << 20 for path in pieces)
    (home / "joined").write_bytes(b"".join(path.read_bytes() for path in pieces))
    joined = Checkpoint.load(home / "joined", kind="translator")
    assert joined.about["routes"] == [["y", "x", "F"]]
    assert joined.tensors.keys() == {name for name in tensors if name.startswith("F.")}
    assert {path.name for path in home.glob("*.jpg")} == {"000001.jpg", "000003.jpg", "extremes.jpg"}
