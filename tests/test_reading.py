"""Only regular files are opened, wherever their path comes from: nothing waits for a FIFO or reads a device."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from test_cli import Run, here, model, picture, styl, template  # noqa: F401 - fixtures

from cyclegan.files import Job
from cyclegan.locks import lock
from cyclegan.reading import open_regular, read_file
from cyclegan.translation.manifest import NAME, Manifest

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")


@pytest.fixture(autouse=True)
def _promptly() -> Iterator[None]:
    """Interrupt what waits."""

    def late(*_: object) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def sparse(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def test_only_regular_files_of_a_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    assert read_file(tmp_path / "a") == read_file(tmp_path / "link") == read_file(tmp_path / "a", most=5) == b"12345"
    wrong = {"fifo": errno.EINVAL, "/dev/zero": errno.EINVAL, "": errno.EISDIR, "missing": errno.ENOENT}
    for name, number in wrong.items():
        with pytest.raises(OSError) as caught:
            read_file(tmp_path / name)
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / name))
    with pytest.raises(OSError, match="5 bytes, and at most 4 are read"), open_regular(tmp_path / "a", most=4):
        pass


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0  # noqa: PTH208
    for _ in range(9):
        for name in ("", "missing"):
            with pytest.raises(OSError):
                read_file(tmp_path / name)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def run_folder() -> None:
    Path("run/weights").mkdir(parents=True)
    Path("run/experiment.toml").write_text("seed = 0\n")
    Path("run/log.jsonl").write_text('{"images": 1, "losses": {}}\n')


def replaced(name: str) -> Callable[[], None]:
    """Return what makes a FIFO of a run's file."""

    def make() -> None:
        run_folder()
        Path(name).unlink(missing_ok=True)
        os.mkfifo(name)

    return make


def a_pair() -> None:
    Path("m.xml").write_text("<net/>")
    os.mkfifo("m.bin")


NAMED: dict[str, tuple[str, Callable[[], object]]] = {  # a command, and what makes what it names
    "train horses zebras --preset p.toml": ("p.toml: cannot be read: not a reg", lambda: os.mkfifo("p.toml")),
    "train horses zebras --preset big.toml": ("at most 1,048,576 are read", lambda: sparse(Path("big.toml"), 3 << 30)),
    "train horses zebras --preset zero.toml": ("not a reg", lambda: Path("zero.toml").symlink_to("/dev/zero")),
    "train horses zebras --only list": ("list: cannot be read: not a reg", lambda: os.mkfifo("list")),
    "train horses zebras --only /dev/zero": ("/dev/zero: cannot be read: not a reg", Path),
    "train horses zebras --only big": ("at most 1,073,741,824 are read", lambda: sparse(Path("big"), 3 << 30)),
    "train horses zebras -o run": ("experiment.toml: cannot be read: not a reg", replaced("run/experiment.toml")),
    "translate photo.png -m m.safetensors": ("m.safetensors: no such file", lambda: os.mkfifo("m.safetensors")),
    "translate photo.png -m m.xml": ("m.bin: not a regular file", a_pair),
    "translate photo.png -m big.onnx": ("at most 2,147,483,648 are read", lambda: sparse(Path("big.onnx"), 3 << 30)),
    "translate photo.png -m run": ("run: no weights in it", replaced("run/weights/best.safetensors")),
    "evaluate --source horses --target zebras --features f.pth": ("f.pth: is not a file", lambda: os.mkfifo("f.pth")),
    "import f.pth --domains a b": ("f.pth", lambda: os.mkfifo("f.pth")),
    "sample f.safetensors": ("f.safetensors: no such file", lambda: os.mkfifo("f.safetensors")),
}


@pytest.mark.parametrize("words", NAMED)
@pytest.mark.usefixtures("here")
def test_what_is_no_file_is_refused(words: str, styl: Run) -> None:  # noqa: F811
    said, make = NAMED[words]
    make()
    code, _, err = styl(*words.split())
    assert code == 2
    assert said in err


@pytest.mark.parametrize("name", ["log.jsonl", "experiment.toml", "environment.json", "data.json", ".lock"])
@pytest.mark.usefixtures("here")
def test_a_run_with_something_else_in_it_is_shown_all_the_same(name: str, styl: Run) -> None:  # noqa: F811
    replaced(f"run/{name}")()
    assert styl("runs", "run")[0] == 0
    assert styl("report", "run", "-o", "page.html")[0] == 0


def test_what_is_written_beside_the_work_follows_no_link(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("dear diary")
    for name in (".lock", NAME):
        (tmp_path / name).symlink_to(theirs)
    with pytest.raises(OSError), lock(tmp_path):
        pass
    with pytest.raises(OSError), Manifest(tmp_path, work="") as manifest:
        manifest.claim(Job(theirs, theirs))
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(OSError, match="not a regular file"):
        Manifest(tmp_path, work="")
    assert theirs.read_text() == "dear diary"


def test_a_state_that_is_none_is_damaged(tmp_path: Path) -> None:
    from cyclegan.checkpoint import Checkpoint
    from cyclegan.errors import CheckpointError

    os.mkfifo(tmp_path / "1.safetensors")
    with pytest.raises(CheckpointError, match="not a regular file"):
        Checkpoint.load(tmp_path / "1.safetensors", kind="state")
    Checkpoint({"kind": "state"}, {"a": torch.zeros(2)}).save(tmp_path / "2.safetensors")
    assert Checkpoint.load(tmp_path / "2.safetensors", kind="state").tensors["a"].shape == (2,)
