"""SIGKILL at every file operation of a run, flipped bits and cut files: what was saved is there, and goes on."""

import builtins
import contextlib
import functools
import io
import itertools
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import (
    BATCH,
    STEPS,
    Folders,
    around_step,
    assert_diary_in_order,
    assert_whole,
    draw_folders,
    experiment,
    fork,
    one_thread,
    play,
    result,
    state,
    states,
    stop_after,
    wait,
)

from cyclegan import catalog
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Pictures
from cyclegan.errors import CheckpointError
from cyclegan.training.runfolder import RunFolder
from cyclegan.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
ONE_LOOK = "every.sheet=16"  # at the end, so that it is the best, and is written


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_few_files() -> Iterator[None]:
    """One thread for all; one sample of each direction, since each is a file of its own, and so some crash points."""
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("cyclegan.training.look.EXTREMES", 1)
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return draw_folders(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def straight(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    play(folders, run, ONE_LOOK)
    return run


@pytest.fixture(scope="module")
def stopped(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with states at 12 and 14 of 16 images."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, STEPS - 1)
        play(folders, run, ONE_LOOK)
    assert states(run) == [12, 14]
    return run


# --- killed at the n-th file operation


class Operations:
    """Tells of everything this process is about to do to files, one operation at a time; a write is two halves."""

    ALIKE = ("replace", "rename", "link", "symlink", "unlink", "rmdir", "mkdir", "fsync", "fdatasync", "ftruncate")
    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.folder, self.tell, self.opened, self.heard = str(folder), tell, 0, 0

    def install(self) -> None:
        """For a child that will not come back."""
        for name in self.ALIKE:
            setattr(os, name, self._told(name, getattr(os, name)))
        for name in ("open", "write"):
            setattr(os, name, self._told(name, getattr(os, name)))
        io.open = builtins.open = self._open  # type: ignore[assignment]
        sys.addaudithook(self._hear)

    def _told(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*where: Any, **more: Any) -> Any:
            if name == "open" and self._in_here(where[0]):
                self.opened += 1
            if name != "open" or where[1] & self.WRITES:
                named = Path(f"/proc/self/fd/{where[0]}").readlink() if name == "fsync" and PROC else where[0]
                self.tell(" ".join([name, str(named), *map(str, where[1:2])]))
            return plain(*where, **more)

        return operation

    def _open(self, file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        self.opened += self._in_here(file)
        if isinstance(file, int) or set(mode) <= set("rbt"):
            return _PLAIN_OPEN(file, mode, *more, **options)
        self.tell(f"open {file} {mode}")
        raw = _Halves(os.fspath(file), mode.replace("b", "").replace("t", ""))
        raw.tell_of = self.tell
        buffered = io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8")

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what the interpreter itself sees opened, so that nothing is opened behind our back."""
        if event == "open" and self._in_here(arguments[0]):
            self.heard += 1

    def _in_here(self, path: Any) -> bool:
        return not isinstance(path, int) and os.fsdecode(path).startswith(self.folder)


_PLAIN_OPEN = io.open
PROC = Path("/proc/self/fd").exists()


class _Halves(io.FileIO):
    """A file that is written in two halves, and can be caught between them."""

    tell_of: Callable[[str], None]

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.tell_of(f"write {self.name}")
        first = super().write(view[: len(view) // 2]) or 0
        self.tell_of(f"write the rest of {self.name}")
        return first + (super().write(view[first:]) or 0)


def kill_everywhere(phase: Callable[[Callable[[], None]], None], run: Path, into: Path) -> list[list[str]]:
    """Carry out a phase of a run in children, one for each file operation, each killed as it comes to it.

    `phase` calls what it is given where the operations of interest begin: there the children part. What child n
    leaves is kept in `into`/n. Return what each had done to files; the operation that it died at comes last. The last
    child lived.
    """
    into.mkdir()
    before = into / "before"
    shutil.copytree(run, before)

    def serve() -> None:
        warnings.simplefilter("ignore")  # of threads that a forked child does not have
        done: list[str] = []
        number = 0  # of the child that this is; 0 is their parent

        def tell(operation: str) -> None:
            if number:
                done.append(operation)
                if len(done) == number:
                    note(into / f"{number}.txt")
                    os.kill(os.getpid(), signal.SIGKILL)

        def note(path: Path) -> None:
            with _PLAIN_OPEN(path, "w") as file:
                file.write("\n".join(done))

        def part() -> None:
            nonlocal number
            for child in itertools.count(1):
                pid = os.fork()
                if not pid:
                    number = child
                    return
                ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                shutil.move(run, into / str(child))
                shutil.copytree(before, run)
                if ended != -signal.SIGKILL:
                    os._exit(ended)

        operations = Operations(run, tell)
        operations.install()
        phase(part)
        assert operations.opened == operations.heard, "files were opened behind our back"
        note(into / f"{number}.txt")

    ended = wait(fork(serve, said=into / "said.txt"), seconds=900)
    assert ended == 0, (into / "said.txt").read_text()
    count = len(list(into.glob("[0-9]*.txt")))
    return [(into / f"{n}.txt").read_text().splitlines() for n in range(1, count + 1)]


class Over(BaseException):
    """The phase ends here."""


def saving(folders: Folders, run: Path, begin: Callable[[], None]) -> None:
    """Go on to the last step; of interest is all that follows it: a line, a look, the best, the last, a state."""
    around_step(pytest.MonkeyPatch(), STEPS, after=lambda _: begin())
    play(folders, run, ONE_LOOK)


def beginning(folders: Folders, run: Path, begin: Callable[[], None]) -> None:
    """Take up a run, up to its first step."""

    def end(_: Trainer) -> None:
        raise Over

    around_step(pytest.MonkeyPatch(), states(run)[-1] // BATCH + 1, before=end)
    begin()
    with contextlib.suppress(Over):
        play(folders, run, ONE_LOOK)


def whole_run(folders: Folders, run: Path, begin: Callable[[], None]) -> None:
    """Begin a run, or take it up, and carry it to its end."""
    begin()
    play(folders, run, ONE_LOOK)


def newest(folders: Folders, run: Path) -> int:
    """Return the images of the state that a training would go on from, 0 where it would begin anew."""
    found = RunFolder(run, experiment(folders, ONE_LOOK), codec=Pictures()).state
    return int(found.about["images"]) if found else 0


def assert_usable(folders: Folders, run: Path, *, done: list[str], least: int) -> None:
    """Check what a killed child left: everything under a final name is whole, and no step is lost."""
    renamed = [name for name in done[:-1] if name.startswith("replace ")]
    saved = [int(Path(name.split()[-1]).stem) for name in renamed if "/state/" in name.split()[-1]]
    assert newest(folders, run) == max([least, *saved])
    for path in run.rglob("*.safetensors"):
        assert path.name.startswith(".styl-") or Checkpoint.load(path, kind=kind_of(path)).tensors
    for path in run.rglob("[0-9a-z]*.jpg"):
        Image.open(path).load()
    if least:
        assert catalog.load(run).about["images"] >= least
    assert len(list(run.rglob("*.tmp"))) <= 1


def kind_of(path: Path) -> str:
    return "state" if path.parent.name == "state" else "translator"


def assert_goes_on(folders: Folders, run: Path, straight: Path) -> None:
    play(folders, run, ONE_LOOK)
    assert result(run) == result(straight)
    assert_whole(run)
    assert_diary_in_order(run)


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("phase", [saving, beginning])
def test_killed_at_any_file_operation_it_goes_on(
    folders: Folders, straight: Path, stopped: Path, tmp_path: Path, phase: Any, every: int
) -> None:
    run, left = tmp_path / "run", tmp_path / "left"
    shutil.copytree(stopped, run)
    told = kill_everywhere(functools.partial(phase, folders, run), run, left)
    names = " ".join(told[-1])
    if phase is saving:
        files = "log.jsonl", "weights/last", "weights/best", "state/000000000016", "sheets/000000016", "extremes"
        for name in (*files, "samples/x-1-to-y"):
            assert name in names
        assert any(name.startswith("unlink") and "000000000012" in name for name in told[-1])
    assert [len(done) for done in told[:-1]] == list(range(1, len(told)))
    assert len(told) - 1 == len(told[-1]) > 20
    for n, done in enumerate(told, 1):
        assert_usable(folders, left / str(n), done=[*done, ""] if n == len(told) else done, least=14)
        if n % every == 0 or n == len(told):
            assert_goes_on(folders, left / str(n), straight)
    print(f"{len(told) - 1} crash points")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_any_file_operation_of_a_whole_run(folders: Folders, straight: Path, tmp_path: Path) -> None:
    run, left = tmp_path / "run", tmp_path / "left"
    run.mkdir()
    told = kill_everywhere(functools.partial(whole_run, folders, run), run, left)
    for n, done in enumerate(told, 1):
        assert_usable(folders, left / str(n), done=[*done, ""] if n == len(told) else done, least=0)
        assert_goes_on(folders, left / str(n), straight)
    print(f"{len(told) - 1} crash points")


@pytest.mark.skipif(not PROC, reason="needs /proc")
def test_every_file_is_synced_before_its_name_and_its_folder_after(folders: Folders, tmp_path: Path) -> None:
    """What a power cut would show, and a killed process does not."""
    run, diary = tmp_path / "run", tmp_path / "operations.txt"
    run.mkdir()

    def work() -> None:
        done: list[str] = []
        operations = Operations(run, done.append)
        operations.install()
        play(folders, run, ONE_LOOK)
        with _PLAIN_OPEN(diary, "w") as file:
            file.write("\n".join(done))

    assert wait(fork(work, said=tmp_path / "said.txt")) == 0, (tmp_path / "said.txt").read_text()
    done = [line.removesuffix(" ") for line in diary.read_text().splitlines()]
    renamed = [(n, *line.split()[1:]) for n, line in enumerate(done) if line.startswith("replace ")]
    finals = {str(p) for p in run.rglob("*") if p.is_file() and p.name not in ("log.jsonl", ".lock")}
    assert finals <= {final for _, _, final in renamed}
    assert len(finals) >= 8
    for n, temporary, final in renamed:
        changes = (f"open {temporary} xb", f"write the rest of {temporary}")
        write = max(i for i, line in enumerate(done[:n]) if line in changes)
        assert f"fsync {temporary}" in done[write + 1 : n], final
        assert done[n + 1] == f"fsync {Path(final).parent}", final
    for n, _, final in renamed:  # a state says that all before it is written, the log too
        if "/state/" in final:
            lines = [i for i, line in enumerate(done[:n]) if line == f"write the rest of {run / 'log.jsonl'}"]
            assert f"fsync {run / 'log.jsonl'}" in done[max(lines) : n]


# --- flipped bits and cut files


def damaged(blob: bytes, chance: np.random.Generator, *, flips: int, cuts: int) -> Iterator[bytes]:
    for place in chance.integers(0, len(blob), flips):
        one = bytearray(blob)
        one[place] ^= 1 << int(chance.integers(8))
        yield bytes(one)
    for length in chance.choice(len(blob), cuts, replace=False):
        yield blob[:length]


@pytest.mark.parametrize(
    ("flips", "cuts"), [(2_000, 200), pytest.param(10_000, 1_000, marks=pytest.mark.slow)], ids=str
)
@pytest.mark.parametrize("kind", ["state", "translator"])
def test_no_flipped_bit_and_no_cut_is_silent(straight: Path, kind: str, flips: int, cuts: int) -> None:
    path = state(straight, 16) if kind == "state" else straight / "weights" / "best.safetensors"
    blob, tried = path.read_bytes(), 0
    for bad in damaged(blob, np.random.default_rng(flips), flips=flips, cuts=cuts):
        with pytest.raises(CheckpointError):
            Checkpoint.decode(bad)
        tried += 1
    assert tried == flips + cuts
    assert Checkpoint.decode(blob).tensors


@pytest.mark.parametrize(("flips", "cuts"), [(2, 2), pytest.param(40, 20, marks=pytest.mark.slow)], ids=str)
def test_a_run_whose_newest_state_is_damaged_goes_on_from_the_one_before(
    folders: Folders, straight: Path, stopped: Path, tmp_path: Path, flips: int, cuts: int
) -> None:
    blob = state(stopped, 14).read_bytes()
    for n, bad in enumerate(damaged(blob, np.random.default_rng(1), flips=flips, cuts=cuts)):
        run = tmp_path / str(n)
        shutil.copytree(stopped, run)
        state(run, 14).write_bytes(bad)
        outcome = play(folders, run, ONE_LOOK)
        assert len(outcome.notes) == 1
        assert outcome.notes[0].startswith(f"{state(run, 14)}: ")
        assert outcome.notes[0].endswith("; the state before it is used")
        assert states(run) == [12, 16], "what is damaged is not counted among those kept"
        assert result(run) == result(straight)
        assert_whole(run)
