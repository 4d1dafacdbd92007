"""Whatever happens to a training: what was saved is whole, one line says what to do, and the same command goes on."""

import ctypes
import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import termios
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import (
    BATCH,
    ENDLESS,
    OPTIONS,
    STEPS,
    Folders,
    around_step,
    assert_diary_in_order,
    assert_whole,
    draw_folders,
    experiment,
    fork,
    listing,
    log,
    one_thread,
    play,
    result,
    state,
    states,
    stop_after,
    styl,
    until,
    wait,
    words,
)

from cyclegan import catalog
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli.display import Display
from cyclegan.codecs import Pictures
from cyclegan.errors import InputError, StoppedEarly, UsageError
from cyclegan.experiment import Experiment
from cyclegan.networks.resnet import ResNet
from cyclegan.tables import flat
from cyclegan.training.begun import as_begun
from cyclegan.training.run import train
from cyclegan.training.runfolder import RunFolder
from cyclegan.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return draw_folders(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def straight(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    with one_thread():
        play(folders, run)
    return run


@pytest.fixture(scope="module")
def stopped(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with states at 12 and 14 of 16 images."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        stop_after(patch, STEPS - 1)
        play(folders, run)
    assert states(run) == [12, 14]
    return run


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    """A run of one's own, stopped at 14 of 16 images."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def assert_goes_on(folders: Folders, run: Path, straight: Path, *overrides: str) -> None:
    play(folders, run, *overrides)
    assert result(run) == result(straight)
    assert_whole(run)
    assert_diary_in_order(run)


def failing(work: Callable[[], object], said: Path) -> tuple[int, str]:
    """Do something in a child and return its exit code and what it said: at most three lines, and no traceback."""
    code = wait(fork(work, said=said))
    text = said.read_text() if said.exists() else ""
    error = text[text.find("error: ") :] if "error: " in text else ""
    assert "Traceback" not in text
    assert len(error.splitlines()) <= 3
    return code, error or text


# --- T1, T3-T5: signals


@pytest.mark.parametrize(("kills", "workers"), [(6, 0), pytest.param(40, 2, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_as_if_nothing_had_been(
    folders: Folders, straight: Path, tmp_path: Path, kills: int, workers: int
) -> None:
    chance, reached = np.random.default_rng(kills), 0
    for _ in range(kills):
        child = fork(lambda: play(folders, tmp_path, "every.save=2", workers=workers), said=tmp_path / "said.txt")
        time.sleep(chance.uniform(0.05, 1.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        now = max(states(tmp_path), default=0) if (tmp_path / "state").exists() else 0
        assert now >= reached
        if (tmp_path / "log.jsonl").exists():
            assert max((line["images"] for line in log_whole(tmp_path)), default=0) - now <= BATCH
        reached = now
    assert_goes_on(folders, tmp_path, straight, "every.save=2")


def log_whole(run: Path) -> list[dict[str, Any]]:
    """Return the log's lines, but for a torn one."""
    text = (run / "log.jsonl").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def grown(run: Path, lines: int) -> Callable[[], bool]:
    diary = run / "log.jsonl"
    return lambda: diary.exists() and diary.read_text().count("\n") >= lines


def gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_to_the_whole_group_saves_and_leaves_no_orphan(
    folders: Folders, tmp_path: Path, number: int, code: int
) -> None:
    run, said = tmp_path / "run", tmp_path / "said.txt"
    child = fork(lambda: styl([*words(folders, run, *ENDLESS), "--workers", "2"]), said=said, group=True)
    until(grown(run, 3), pid=child)
    begun = time.monotonic()
    for _ in range(3):  # as `timeout` and torchrun do: the group, and each process once more
        os.killpg(child, number)
    assert wait(child) == code
    assert time.monotonic() - begun < 10
    until(lambda: gone(child), seconds=10)
    text = said.read_text()
    assert f"saved at {states(run)[-1]:,} images; the same command goes on" in text, "also of SIGHUP: into a file"
    assert "Traceback" not in text
    assert log(run)[-1]["images"] == states(run)[-1], "no step is lost"


def test_a_terminal_that_is_closed_ends_a_training_as_sigterm_does(folders: Folders, tmp_path: Path) -> None:
    run, (ours, theirs) = tmp_path / "run", os.openpty()

    def work() -> None:
        os.setsid()
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)
        os.close(ours)
        styl([*words(folders, run, *ENDLESS), "--workers", "2"])

    child = fork(work, said=Path(os.ttyname(theirs)))
    os.close(theirs)
    while not grown(run, 3)():
        os.read(ours, 1 << 16)  # what is shown, or the child would wait for a reader
    os.close(ours)
    assert wait(child) == 129
    assert log(run)[-1]["images"] == states(run)[-1], "no step is lost"


def test_nohup_is_respected(folders: Folders, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said.txt"

    def work() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
        styl([*words(folders, run, *ENDLESS), "--workers", "0"])

    child = fork(work, said=said)
    until(grown(run, 2), pid=child)
    os.kill(child, signal.SIGHUP)
    lines = len(log_whole(run))
    until(grown(run, lines + 2), pid=child)
    os.kill(child, signal.SIGTERM)
    assert wait(child) == 143


@pytest.mark.parametrize("where", ["step", "save"])
def test_a_second_ctrl_c_quits_at_once_and_the_old_state_is_whole(
    folders: Folders, straight: Path, run: Path, tmp_path: Path, where: str
) -> None:
    mark = tmp_path / "mark"

    def linger(*_: object) -> None:
        mark.touch()
        until(lambda: False, seconds=30)

    def work() -> None:
        patch = pytest.MonkeyPatch()
        if where == "step":
            around_step(patch, STEPS, after=linger)
        else:
            around_step(patch, STEPS, after=lambda _: patch.setattr(os, "fsync", linger))
        styl([*words(folders, run), "--workers", "2"])

    before = result(run)
    child = fork(work, said=tmp_path / "said.txt", group=True)
    until(mark.exists, pid=child)
    os.killpg(child, signal.SIGINT)
    time.sleep(0.5)
    assert os.waitpid(child, os.WNOHANG) == (0, 0), "the first one waits for the step"
    begun = time.monotonic()
    os.killpg(child, signal.SIGINT)
    assert wait(child) == 130
    assert time.monotonic() - begun < 5
    until(lambda: gone(child), seconds=10)
    assert (tmp_path / "said.txt").read_text().splitlines()[-1] == "error: stopped by Ctrl-C"
    assert "Traceback" not in (tmp_path / "said.txt").read_text()
    assert result(run)[:2] == before[:2]
    assert_goes_on(folders, run, straight)


# --- T9-T11: numbers that are none


def poison(patch: pytest.MonkeyPatch, step: int, *, last: int) -> None:
    """Have translators paint NaN from one step to another."""
    plain = ResNet.forward

    def poisoned(self: ResNet, x: torch.Tensor) -> torch.Tensor:
        return plain(self, x) * float("nan")

    around_step(patch, step, before=lambda _: patch.setattr(ResNet, "forward", poisoned))
    around_step(patch, last, after=lambda _: patch.setattr(ResNet, "forward", plain))


@pytest.mark.parametrize("steps", [1, 20])
def test_losses_that_are_nan_for_a_while_are_left_out_and_named(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], steps: int
) -> None:
    poison(monkeypatch, 4, last=3 + steps)
    told: list[dict[str, Any]] = []
    images = BATCH * (steps + 6)
    chosen = experiment(folders, f"training.images={images}", "every.log=4", "every.sheet=100", "every.save=100")
    outcome = train(chosen, tmp_path, device="cpu", workers=0, features="own", tell=told.append)
    assert outcome.images == images
    lines = [line for line in log(tmp_path) if "losses" in line]
    assert all(np.isfinite(list(line["losses"].values())).all() for line in lines)
    skipped = [entry for line in lines for entry in line.get("skipped", ())]
    assert [entry["images"] for entry in skipped] == [BATCH * step for step in range(4, 4 + steps)]
    named = skipped[0]["files"].split(", ")
    assert sorted(Path(name).parent for name in named) == [folders[0], folders[0], folders[1], folders[1]]
    assert all(Path(name).is_file() for name in named)
    assert [not line["losses"] for line in lines].count(True) == (steps - 1) // 2  # two steps a line, both skipped
    assert_whole(tmp_path)
    with Display() as display:
        for line in told:
            display.show(line)
    assert f"8 images: step skipped, its loss or a gradient was NaN or infinite: {skipped[0]['files']}" in (
        capsys.readouterr().err
    )


def test_losses_that_stay_nan_name_the_step_and_the_pictures(
    folders: Folders, straight: Path, run: Path, tmp_path: Path
) -> None:
    longer = ("training.images=1000", "every.sheet=1000", "training.decay=0")

    def work() -> None:
        poison(pytest.MonkeyPatch(), STEPS, last=1000)
        styl([*words(folders, run, *longer), "--workers", "0"])

    code, error = failing(work, tmp_path / "said.txt")
    assert code == 3
    last = 14 + 21 * BATCH
    assert error.startswith(f"error: loss or gradients were NaN or infinite in 21 steps in a row until {last} images, ")
    named = error.splitlines()[0].partition("with ")[2].split(", ")
    assert sorted(Path(name).parent for name in named) == [folders[0], folders[0], folders[1], folders[1]]
    assert "learning_rate" in error.splitlines()[1]
    assert log(run)[-1]["failed"] in error
    assert max(states(run)) < last
    assert_whole(run)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gradient_that_is_no_number_moves_nothing_and_is_counted(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    plain, before, after = Trainer._move, {}, {}

    def overflowing(self: Trainer, player: str, *, broken: torch.Tensor) -> torch.Tensor:
        if self.images == 4 * BATCH:
            self.parameters[player][0].grad[0] = float("inf")
            before[player] = snapshot(self, player)
        moved = plain(self, player, broken=broken)
        if self.images == 4 * BATCH:
            after[player] = snapshot(self, player)
        return moved

    def snapshot(self: Trainer, player: str) -> list[torch.Tensor]:
        slots = [t.clone() for slot in self.optimizers[player].state.values() for t in slot.values()]
        return [*(p.detach().clone() for p in self.parameters[player]), *slots]

    monkeypatch.setattr(Trainer, "_move", overflowing)
    play(folders, tmp_path, f"training.precision={precision}")
    assert before.keys() == after.keys()
    assert len(before) >= 2
    for player, tensors in before.items():
        assert all(map(torch.equal, tensors, after[player])), player
    counts = [len(line.get("skipped", ())) for line in log(tmp_path) if "losses" in line]
    assert counts == [0] * 4 + [1] + [0] * 3
    assert_whole(tmp_path)


@pytest.mark.parametrize("images", [16, pytest.param(1_000, marks=pytest.mark.slow)])
def test_constant_pictures_do_not_blow_up(tmp_path: Path, images: int) -> None:
    folders = draw_folders(tmp_path)
    for folder in folders:
        for i in range(0, 20, 2):
            Image.new("RGB", (24, 20), "white" if i % 4 else "black").save(folder / f"{i:02d}.png")
    play(folders, tmp_path / "run", f"training.images={images}", f"every.sheet={images}")
    assert all(np.isfinite(list(line["losses"].values())).all() for line in log(tmp_path / "run") if "losses" in line)
    assert_whole(tmp_path / "run")


# --- T12, T13: memory and devices


def raising(patch: pytest.MonkeyPatch, error: BaseException, *, step: int) -> None:
    """Have an error raised in the middle of a step, out of a network."""

    def forward(self: ResNet, x: torch.Tensor) -> torch.Tensor:
        raise error

    around_step(patch, step, before=lambda _: patch.setattr(ResNet, "forward", forward))


@pytest.mark.parametrize(
    ("begun", "hint", "smaller"),
    [
        (("training.batch=4", "every.save=4"), "try --batch 2; ", ("training.batch=2", "every.save=4")),
        (("training.batch=1", "data.size=24", "every.save=4"), "try --size 16; ", ("training.batch=1", "data.size=16")),
    ],
)
def test_out_of_memory_says_what_is_smaller_and_that_works(
    folders: Folders, tmp_path: Path, begun: tuple[str, ...], hint: str, smaller: tuple[str, ...]
) -> None:
    run, open_choice = tmp_path / "run", "translator.blocks=0"

    def work() -> None:
        patch = pytest.MonkeyPatch()
        plain = Trainer.play

        def play(self: Trainer, micro_batches: Any) -> Any:
            if self.images == 8:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore lines")
            return plain(self, micro_batches)

        patch.setattr(Trainer, "play", play)
        styl([*words(folders, run, *begun, open_choice), "--workers", "0"])

    code, error = failing(work, tmp_path / "said.txt")
    assert code == 3
    assert error.startswith("error: not enough memory for ")
    assert hint in error
    assert states(run)[-1] == 8
    outcome = play(folders, run, *smaller, open_choice)
    assert outcome.images == 16
    assert [note for note in outcome.notes if " from here on, it was " in note]
    assert_whole(run)


@pytest.mark.parametrize(
    "open_choice", [("translator.blocks=0",), ("translator.blocks=0", "data.size=260"), ("translator.name=unet",)]
)
def test_a_smaller_size_keeps_the_networks_of_the_run(tmp_path: Path, open_choice: tuple[str, ...]) -> None:
    def settled(*overrides: str) -> Experiment:
        preset = Experiment.load("default", overrides=["data.size=256", *open_choice, *overrides])
        return as_begun(preset, tmp_path).settled(100)

    begun = settled()
    (tmp_path / "experiment.toml").write_text(begun.toml())
    assert settled("data.size=256", "training.batch=2").translator == begun.translator
    if "unet" not in open_choice[0]:
        assert settled("data.size=192").translator == begun.translator
    else:
        with pytest.raises(UsageError, match="needs a multiple of 256"):
            settled("data.size=192")


def test_memory_that_really_ends_is_an_early_stop(folders: Folders, run: Path, tmp_path: Path) -> None:
    def work() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
        styl([*words(folders, run, "data.size=1024", "training.batch=8"), "--workers", "0"])

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    code, error = failing(work, tmp_path / "said.txt")
    assert (code, error.split(",")[0]) == (3, "error: not enough memory for 1024 pixels")
    assert states(run) == [12, 14]
    assert_whole(run)


def test_a_lost_device_is_not_asked_for_anything_more(
    folders: Folders, straight: Path, run: Path, tmp_path: Path
) -> None:
    def work() -> None:
        patch = pytest.MonkeyPatch()
        raising(patch, torch.AcceleratorError("CUDA error: unspecified launch failure\nmore lines"), step=STEPS)
        around_step(patch, STEPS, before=lambda _: patch.setattr(Trainer, "state", forbidden))
        styl([*words(folders, run), "--workers", "0"])

    def forbidden(_: Trainer) -> None:
        os._exit(88)

    before = {name: at for name, at in listing(run).items() if name.endswith(".safetensors")}
    code, error = failing(work, tmp_path / "said.txt")
    assert code == 3
    assert error.startswith("error: cpu was lost at 14 images: CUDA error: unspecified launch failure\n")
    assert {name: at for name, at in listing(run).items() if name.endswith(".safetensors")} == before
    assert_goes_on(folders, run, straight)


# --- T14: onlookers


@pytest.mark.parametrize("method", ["__init__", "add_scalar", "close"])
def test_an_onlooker_that_fails_ends_nothing(
    folders: Folders, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            fail("__init__")

        def add_scalar(self, name: str, value: float, images: int) -> None:
            fail("add_scalar")

        def close(self) -> None:
            fail("close")

    def fail(name: str) -> None:
        if name == method:
            raise OSError(28, "No space left on device")

    module = types.ModuleType("torch.utils.tensorboard")
    monkeypatch.setattr(module, "SummaryWriter", SummaryWriter, raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    outcome = play(folders, tmp_path, tensorboard=True)
    assert len(outcome.notes) == 1
    assert outcome.notes[0].startswith("TensorBoard is given up at ")
    assert "No space left on device" in outcome.notes[0]
    assert result(tmp_path) == result(straight)


# --- T15, T17-T19: the same run, elsewhere and otherwise


@pytest.mark.parametrize(("name", "value"), [("torch", "2.0.0"), ("device", "another"), ("threads", 4096)])
def test_other_circumstances_are_said_once(folders: Folders, run: Path, name: str, value: Any) -> None:
    found = Checkpoint.load(state(run, 14), kind="state")
    Checkpoint({**found.about, name: value}, found.tensors).save(state(run, 14))
    outcome = play(folders, run)
    assert len(outcome.notes) == 1
    assert outcome.notes[0].startswith(f"{name} is ")
    assert outcome.notes[0].endswith(f", it was {value}: not bit-identical from here on")
    assert outcome.images == 16


NOTED = {
    "training.batch": 1,
    "training.accumulate": 2,
    "training.learning_rate": 1e-5,
    "training.decay": 0.25,
    "training.precision": "bf16",
    "data.size": 24,
}
QUIET = {
    "training.images": 20,
    "training.minutes": 1.0,
    "training.compile": "off",
    "every.log": 3,
    "every.sheet": 3,
    "every.save": 3,
    "data.folders": ["elsewhere/x", "elsewhere/y"],
    "data.cache_gb": 1.0,
    "data.only": "good.txt",
}


def changed(value: Any) -> Any:
    """Return another value of the same type, near enough to be allowed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 4
    if isinstance(value, float):
        return value / 2 + 0.125
    if isinstance(value, tuple | list):
        return [f"{v}2" for v in value] if value and isinstance(value[0], str) else [v / 2 for v in value]
    raise AssertionError(value)


WORDS = {
    "translator.norm": "batch",
    "translator.padding": "zero",
    "translator.resample": "nearest",
    "translator.output": "residual",
    "critic.norm": "none",
    "objective.adversarial": "hinge",
    "data.fit": "stretch",
    "data.enlarge": 1.5,
    "data.balance": "nearest",
}


def test_every_option_may_change_or_is_refused_with_both_values(folders: Folders, stopped: Path) -> None:
    begun = Experiment.load(str(stopped / "experiment.toml"))
    asked = 0
    for name, old in flat(begun.encode()):
        if name.endswith(".name"):  # there is one objective and one critic; another translator is refused below
            continue
        new = {**NOTED, **QUIET, **WORDS}.get(name)
        new = changed(old) if new is None else new
        other = begun.replace(**{name.replace(".", "__"): new})
        assert list(begun.differences(other)), name
        asked += 1
        if name in NOTED:
            notes = RunFolder(stopped, other, codec=Pictures()).notes
            assert notes == [f"{name} is {new!r} from here on, it was {old!r}"]
        elif name in QUIET:
            assert RunFolder(stopped, other, codec=Pictures()).notes == []
        else:
            with pytest.raises(UsageError) as caught:
                RunFolder(stopped, other, codec=Pictures())
            assert f"was begun with {name} = {old!r}, now it is " in caught.value.what
            assert caught.value.hint
    assert asked > 30
    unet = Experiment.load(
        "default", overrides=[*(o for o in OPTIONS if "translator" not in o), "translator.name=unet"]
    )
    with pytest.raises(UsageError, match="was begun with"):
        RunFolder(stopped, unet.settled(20), codec=Pictures())


def test_what_may_change_goes_on(folders: Folders, run: Path) -> None:
    overrides = [f"{name}={value}" for name, value in NOTED.items()]
    outcome = play(folders, run, *overrides, "training.images=20")
    assert outcome.images == 20
    assert len(outcome.notes) == len(NOTED)
    assert_whole(run)


def ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def test_of_two_processes_one_trains_and_the_other_names_it(folders: Folders, tmp_path: Path) -> None:
    run, said = tmp_path / "run", [tmp_path / "a.txt", tmp_path / "b.txt"]
    arguments = [*words(folders, run, *ENDLESS), "--workers", "0"]
    children = [fork(lambda: styl(arguments), said=path) for path in said]
    until(grown(run, 3))
    until(lambda: any(map(ended, children)), seconds=20)
    loser = next(i for i, child in enumerate(children) if ended(child))
    assert wait(children[loser]) == 2
    assert f"in use by process {children[1 - loser]} on {os.uname().nodename}" in said[loser].read_text()
    os.kill(children[1 - loser], signal.SIGKILL)
    wait(children[1 - loser])
    assert play(folders, run, "training.images=4", "training.decay=0").images == 4, "the lock dies with its process"


def test_a_finished_run_says_so_and_is_left_alone(folders: Folders, straight: Path, tmp_path: Path) -> None:
    before = listing(straight)
    code, text = failing(lambda: styl([*words(folders, straight), "--workers", "0"]), tmp_path / "said.txt")
    assert code == 0
    assert "already finished at 16 images" in text
    assert listing(straight) == before


# --- C1, C2, C4: disks that are full, fail, or are read-only


def assert_saved(run: Path) -> None:
    """Check that both states are whole, and that nothing temporary is left."""
    assert states(run)[0] == 12
    assert_whole(run)
    assert catalog.load(run).tensors


SIZES = [2_000, 20_000, *(pytest.param(n, marks=pytest.mark.slow) for n in range(5_000, 140_000, 5_000))]


@pytest.mark.parametrize("size", SIZES)
def test_files_that_may_not_grow_end_the_training_early(
    folders: Folders, straight: Path, run: Path, tmp_path: Path, size: int
) -> None:
    def work() -> None:
        patch = pytest.MonkeyPatch()
        around_step(patch, STEPS, after=lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        styl([*words(folders, run), "--workers", "0"])

    largest = state(run, 14).stat().st_size
    code, error = failing(work, tmp_path / "said.txt")
    assert code == (3 if size < largest else 0)
    if code:
        assert error.startswith(f"error: {run}: cannot be written: File too large\n")
        assert "the same command goes on" in error
    assert_saved(run)
    assert_goes_on(folders, run, straight)


PRIVATE, BIND, REMOUNT, READ_ONLY = 1 << 18 | 1 << 14, 1 << 12, 1 << 5, 1
NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000


def mounted(work: Callable[[Callable[..., None]], None], tmp_path: Path) -> None:
    """Do something in a child that may mount what only it sees; skip where that is not allowed."""

    def child() -> None:
        libc = ctypes.CDLL(None, use_errno=True)

        def mount(what: str, where: Path, kind: str, flags: int, more: str = "") -> None:
            if libc.mount(what.encode(), os.fsencode(where), kind.encode(), flags, more.encode()):
                raise OSError(ctypes.get_errno(), f"mount {where}")

        if libc.unshare(NEW_MOUNTS | (0 if os.geteuid() == 0 else NEW_USER)):
            sys.exit(77)
        try:
            mount("none", Path("/"), "", PRIVATE)
        except OSError:
            sys.exit(77)
        work(mount)

    if sys.platform != "linux":
        pytest.skip("needs Linux")
    code = wait(fork(child, said=tmp_path / "said.txt"), seconds=600)
    if code == 77:
        pytest.skip("may not mount")
    assert code == 0, (tmp_path / "said.txt").read_text()


@pytest.mark.parametrize("places", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_a_full_disk_ends_the_training_early_wherever_it_fills_up(
    folders: Folders, straight: Path, stopped: Path, tmp_path: Path, places: int
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    needed = state(stopped, 14).stat().st_size

    def work(mount: Callable[..., None]) -> None:
        mount("tmpfs", disk, "tmpfs", 0, "size=16m")
        for place in range(places):
            run = Path(shutil.copytree(stopped, disk / str(place)))

            def fill(_: Trainer, left: int = needed * place // places) -> None:
                room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                (disk / "filler").write_bytes(b"\0" * max(0, room - left))

            with pytest.MonkeyPatch.context() as patch:
                around_step(patch, STEPS, after=fill)
                with pytest.raises(StoppedEarly) as caught:
                    play(folders, run)
            assert caught.value.what == f"{run}: cannot be written: No space left on device"
            (disk / "filler").unlink()
            assert_saved(run)
            assert_goes_on(folders, run, straight)
            shutil.rmtree(run)

    mounted(work, tmp_path)


def test_a_disk_that_holds_what_is_written_suffices_to_begin_and_to_go_on(folders: Folders, tmp_path: Path) -> None:
    options, slack = ("translator.width=16", "every.sheet=100", "training.decay=0"), 1 << 20  # headers, log and sheets
    play(folders, tmp_path / "straight", *options)
    one = state(tmp_path / "straight", 16).stat().st_size
    weights = (tmp_path / "straight" / "weights" / "last.safetensors").stat().st_size
    assert one > 2 * slack, "or it would show nothing"
    disk = tmp_path / "disk"
    disk.mkdir()

    def work(mount: Callable[..., None]) -> None:
        mount("tmpfs", disk, "tmpfs", 0, "size=32m")
        for images, needed in ((8, 3 * one + 2 * weights), (16, one)):
            for left, suffices in ((needed - slack, False), (needed + slack, True)):
                room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                (disk / "filler").write_bytes(b"\0" * (room - left))
                if suffices:
                    play(folders, disk / "run", *options, f"training.images={images}")
                else:
                    with pytest.raises(InputError, match=r"the disk has \d+ MB free, saving needs \d+ MB"):
                        play(folders, disk / "run", *options, f"training.images={images}")
                (disk / "filler").unlink()
        assert result(disk / "run")[:3] == result(tmp_path / "straight")[:3]

    mounted(work, tmp_path)


def test_a_folder_that_turns_read_only_ends_the_training_early(
    folders: Folders, straight: Path, run: Path, tmp_path: Path
) -> None:
    def work(mount: Callable[..., None]) -> None:
        mount(str(run), run, "", BIND)
        mount(str(run / "state"), run / "state", "", BIND)  # a mount with a file open for writing stays writable

        def turn(_: Trainer) -> None:
            mount("none", run / "state", "", REMOUNT | BIND | READ_ONLY)

        with pytest.MonkeyPatch.context() as patch:
            around_step(patch, STEPS, after=turn)
            with pytest.raises(StoppedEarly, match="Read-only file system"):
                play(folders, run)
        mount("none", run, "", REMOUNT | BIND | READ_ONLY)
        with pytest.raises(InputError, match="Read-only file system"):
            play(folders, run)
        for folder in (run, run / "state"):
            mount("none", folder, "", REMOUNT | BIND)
        assert_saved(run)
        assert_goes_on(folders, run, straight)

    mounted(work, tmp_path)


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static const char *part; static long budget; static int number, fsyncs;
void fault(const char *of, long bytes, int error, int syncs) {
    part = of; budget = bytes; number = error; fsyncs = syncs;
}
static int ours(int fd) {
    char link[64], path[4096]; ssize_t n;
    if (!part) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    return n > 0 && (path[n] = 0, strstr(path, part) != 0);
}
ssize_t write(int fd, const void *data, size_t size) {
    static ssize_t (*plain)(int, const void *, size_t);
    if (!plain) plain = dlsym(RTLD_NEXT, "write");
    if (ours(fd) && budget >= 0) {
        if (!budget) { errno = number; return -1; }
        if ((long)size > budget) size = budget;
        budget -= size;
    }
    return plain(fd, data, size);
}
int fsync(int fd) {
    static int (*plain)(int);
    if (!plain) plain = dlsym(RTLD_NEXT, "fsync");
    if (ours(fd) && fsyncs > 0 && !--fsyncs) { errno = number; fsyncs = 1; return -1; }
    return plain(fd);
}
"""

DRIVER = """
import ctypes, json, os, shutil, sys
from pathlib import Path
import pytest, torch
from tiny import *
from cyclegan.errors import StoppedEarly

stopped, straight, into, cases, *folders = sys.argv[1:]
folders = tuple(map(Path, folders))
libc, part = ctypes.CDLL(None), ctypes.create_string_buffer(into.encode())
torch.set_num_threads(1)
for n, (budget, error, syncs) in enumerate(json.loads(cases)):
    run = Path(shutil.copytree(stopped, f"{into}/{n}"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedEarly) as caught:
        around_step(patch, STEPS, after=lambda _: libc.fault(part, ctypes.c_long(budget), error, syncs))
        play(folders, run)
    libc.fault(None, ctypes.c_long(-1), 0, 0)
    assert caught.value.what == f"{run}: cannot be written: {os.strerror(error)}", caught.value.what
    assert states(run)[0] == 12
    assert_whole(run)
    play(folders, run)
    assert result(run) == result(Path(straight))
    assert_whole(run)
    shutil.rmtree(run)
    print("held")
"""


@pytest.mark.parametrize("places", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_a_failing_disk_ends_the_training_early_wherever_it_fails(
    folders: Folders, straight: Path, stopped: Path, tmp_path: Path, places: int
) -> None:
    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("needs gcc on Linux")
    shim = tmp_path / "shim.so"
    (tmp_path / "shim.c").write_text(SHIM)
    made = subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", shim, tmp_path / "shim.c", "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    written = state(stopped, 14).stat().st_size
    budgets = [written * (2 * n + 1) // (2 * places) for n in range(places)]
    cases = [(b, error, 0) for b in budgets for error in (errno.EIO, errno.EDQUOT, errno.ENOSPC)]
    cases += [(-1, errno.EIO, n) for n in ((3,) if places == 1 else range(1, 9))]
    into = tmp_path / "into"
    into.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, stopped, straight, into, json.dumps(cases), *folders],
        env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["held"] * len(cases)


# --- C12, C13: readers and removals


@pytest.mark.parametrize("loads", [150, pytest.param(500, marks=pytest.mark.slow)])
def test_who_reads_while_a_training_writes_always_finds_whole_weights(
    folders: Folders, tmp_path: Path, loads: int
) -> None:
    run, seen = tmp_path / "run", set()
    endless = ("training.images=100000", "training.decay=0", "every.save=2", "every.sheet=1000000")
    child = fork(lambda: play(folders, run, *endless), said=tmp_path / "said.txt")
    until(lambda: (run / "weights" / "last.safetensors").exists(), pid=child)
    for _ in range(loads):
        seen.add(catalog.load(run).about["images"])
        time.sleep(0.005)
    assert len(seen) > 3
    os.kill(child, signal.SIGKILL)
    wait(child)


def test_a_state_that_cannot_be_removed_is_a_note(
    folders: Folders, straight: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.parent.name == "state" and self.suffix == ".safetensors":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        plain(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    outcome = play(folders, run)
    assert outcome.notes == (f"{state(run, 12)}: cannot be removed: Permission denied",)
    assert states(run) == [12, 14, 16]
    assert result(run) == result(straight)
