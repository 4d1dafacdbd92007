"""Nothing half-written, nothing overwritten, nobody else's files touched."""

import errno
import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclegan import files, locks
from cyclegan.errors import InputError, StylError, UsageError
from cyclegan.files import Source, plan_outputs, sweep_stale, write_atomic

WRITABLE = frozenset({".jpg", ".png"})
ODD_NAMES = ["two words.png", "🦓.png", "line\nbreak.png", "-rf.png", "$(x) %s.png", "x" * 251 + ".png"]


def spy(monkeypatch: pytest.MonkeyPatch, *, fail: str = "", error: int = errno.ENOSPC) -> list[str]:
    """Record the order of the calls that make a file last, and let one of them fail."""
    calls = list[str]()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            is_folder = name == "fsync" and os.path.isdir(f"/proc/self/fd/{arguments[0]}")  # noqa: PTH112
            calls.append("fsync folder" if is_folder else name)
            if calls[-1] == fail:
                raise OSError(error, os.strerror(error))
            return real(*arguments)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    return calls


def test_a_file_is_synced_before_its_name_and_the_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = list[int]()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (sizes.append(os.fstat(fd).st_size), real(fd)))
    calls = spy(monkeypatch)
    write_atomic(tmp_path / "new" / "a.bin", b"12345")
    assert calls == ["fsync", "replace", "fsync folder"]
    assert sizes[0] == 5  # flushed before it was synced
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"12345"


@pytest.mark.parametrize("fail", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: str
) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    spy(monkeypatch, fail=fail)
    with pytest.raises(OSError) as caught:
        write_atomic(target, b"new")
    assert caught.value.errno == errno.ENOSPC
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]  # noqa: PTH208


@pytest.mark.parametrize(("error", "matters"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced_is_fine_but_one_that_fails_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, matters: bool
) -> None:
    spy(monkeypatch, fail="fsync folder", error=error)
    if matters:
        with pytest.raises(OSError):
            write_atomic(tmp_path / "a", b"new")
    else:
        write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_a_full_disk_is_an_oserror_and_leaves_the_old_content(tmp_path: Path) -> None:
    """A file size limit makes the kernel itself stop the write in the middle."""
    write_atomic(tmp_path / "a", b"old")
    child = (
        "import errno, pathlib, resource, signal, sys\n"
        "from cyclegan.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, resource.RLIM_INFINITY))\n"
        "try:\n    write_atomic(pathlib.Path(sys.argv[1]), bytes(100_000))\n"
        "except OSError as error:\n    sys.exit(7 if error.errno == errno.EFBIG else 8)\n"
    )
    root = Path(files.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", child, str(tmp_path / "a")], cwd=root, check=False, timeout=30)
    assert done.returncode == 7
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_mode_follows_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_odd_names_are_written(tmp_path: Path) -> None:
    names = [*ODD_NAMES, os.fsdecode(b"caf\xe9.png")]
    for name in names:
        write_atomic(tmp_path / name, name.encode(errors="surrogateescape"))
    assert {p.name for p in tmp_path.iterdir()} == set(names)


def test_only_temporaries_of_the_dead_are_swept(tmp_path: Path) -> None:
    dead = multiprocessing.get_context("spawn").Process(target=int)
    dead.start()
    dead.join()
    stale = f".styl-{dead.pid}-0123abcd.tmp"
    kept = [f".styl-{os.getpid()}-0123abcd.tmp", ".styl-1-0123abcd.tmp", ".styl-notes.tmp", f"a{stale}", f"{stale}.png"]
    for name in [stale, *kept]:
        (tmp_path / name).touch()
    sweep_stale(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == set(kept)
    sweep_stale(tmp_path / "not there")


def hold(folder: Path, pipe: Connection) -> None:
    with locks.lock(folder):
        pipe.send(os.getpid())
        pipe.recv()


def test_a_second_holder_is_told_who_the_first_is_until_it_dies(tmp_path: Path) -> None:
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path, theirs))
    process.start()
    pid = mine.recv()
    with pytest.raises(StylError, match=f"process {pid} on {os.uname().nodename}") as caught, locks.lock(tmp_path):
        pass
    assert caught.value.code == 2
    process.kill()
    process.join()
    with locks.lock(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".lock").read_text()


def test_a_lock_ends_with_its_block_even_if_a_forked_worker_shares_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, shared = os.open, list[int]()

    def open_twice(*arguments: Any) -> int:
        descriptor = real(*arguments)
        shared.append(os.dup(descriptor))  # what a fork does
        return descriptor

    monkeypatch.setattr(os, "open", open_twice)
    with locks.lock(tmp_path), pytest.raises(StylError), locks.lock(tmp_path):
        pass
    with locks.lock(tmp_path):
        pass
    for descriptor in shared:
        os.close(descriptor)


@pytest.mark.timeout(10)
def test_a_lock_is_neither_a_link_nor_a_pipe(tmp_path: Path) -> None:
    for name in ("link", "pipe"):
        (tmp_path / name).mkdir()
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "link" / ".lock").symlink_to(tmp_path / "theirs")
    os.mkfifo(tmp_path / "pipe" / ".lock")
    for name in ("link", "pipe"):
        with pytest.raises(OSError), locks.lock(tmp_path / name):
            pass
        assert not locks.held(tmp_path / name)
    assert (tmp_path / "theirs").read_text() == "precious"


def planned(sources: list[Source], output: Path) -> list[str]:
    jobs = plan_outputs(sources, output, writable=WRITABLE)
    assert [job.source for job in jobs] == [source.path for source in sources]
    return [job.target.relative_to(output).as_posix() for job in jobs]


def found(root: Path, *names: str) -> list[Source]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [Source(name, root) for name in names]


def named(*paths: Path) -> list[Source]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return [Source(str(path)) for path in paths]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b/a.jpg", "b/a.png"], ["a.jpg", "b/a.jpg", "b/a.png"]),  # the tree is mirrored, suffixes stay
        (["a.GIF", "b"], ["a.png", "b.png"]),  # what cannot be written becomes png
        (["a.gif", "a.png"], ["a.gif.png", "a.png"]),
        (["a.gif", "a.gif.png", "a.png"], ["a-2.png", "a.gif.png", "a.png"]),
        (["A.png", "a.png", "a-2.png"], ["A.png", "a-3.png", "a-2.png"]),  # others keep their names
        (["é.png", "e\u0301.png"], ["é.png", "e\u0301-2.png"]),  # one name on macOS
    ],
)
def test_only_colliding_names_change(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    assert planned(found(tmp_path / "in", *names), tmp_path / "out") == expected


def test_files_of_one_name_from_two_folders_do_not_collide(tmp_path: Path) -> None:
    sources = named(tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.jpg")
    assert planned(sources, tmp_path / "out") == ["a.jpg", "a-2.jpg"]
    folders = found(tmp_path / "p", "a.png/b.png") + found(tmp_path / "q", "a.png")  # a folder and a file of one name
    assert planned(folders, tmp_path / "out") == ["a.png/b.png", "a-2.png"]


def test_a_plan_is_linear_in_time_and_light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, roots = 2_000, [tmp_path / f"photos-{i}" for i in range(3)]
    sources = [Source(f"a folder/picture-{i:06d}.gif", root) for root in roots for i in range(count)]
    sources += [Source(f"{i}/one name.gif", root) for root in roots for i in range(count)]
    sources += [Source(f"/made/up/{i}/one name.gif") for i in range(count)]
    calls = Counter[str]()

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, **more: (calls.update([name]), real(*given, **more))[1])

    counted(files, "_key")
    for name in ("resolve", "stat"):
        counted(Path, name)
    tracemalloc.start()
    jobs = plan_outputs(sources, tmp_path / "out", writable=WRITABLE)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len({job.target for job in jobs}) == len(jobs) == len(sources)
    assert calls["_key"] < 5 * len(sources), "many files of one name do not ask for each other's"
    assert calls["resolve"] + calls["stat"] < 20, "the disk is asked for folders, not for files"
    assert held < 150 * len(sources), "bytes: the names, no paths"


NAMES = st.text(alphabet="aAßsé\u0301-2", min_size=1, max_size=3)
SUFFIXES = st.sampled_from(["", ".png", ".PNG", ".jpg", ".gif", ".gif.png"])
RELATIVE = st.tuples(st.sampled_from(["", "b/", "B/"]), NAMES, SUFFIXES).map("".join)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(RELATIVE, max_size=12))
def test_every_source_has_a_target_of_its_own(relatives: list[str]) -> None:
    wanted = [files._with_suffix(relative, WRITABLE, {}) for relative in relatives]
    targets = files._distinct(relatives, wanted)
    keys = [files._key(target) for target in targets]
    assert len(set(keys)) == len(keys)
    for target, name, key in zip(map(Path, targets), map(Path, wanted), map(files._key, wanted), strict=True):
        assert target.parent == name.parent
        assert target.suffix == name.suffix
        if [files._key(other) for other in wanted].count(key) == 1:
            assert target == name


def test_one_file_may_be_sent_to_a_file(tmp_path: Path) -> None:
    (source,) = named(tmp_path / "a.jpg")
    (job,) = plan_outputs([source], tmp_path / "new" / "b.png", writable=WRITABLE)
    assert job.target == tmp_path / "new" / "b.png"
    (tmp_path / "folder.png").mkdir()
    assert planned([source], tmp_path / "folder.png") == ["a.jpg"]


def test_outputs_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"b\.png"):
        plan_outputs(named(tmp_path / "a.jpg", tmp_path / "b.jpg"), tmp_path / "b.png", writable=WRITABLE)
    with pytest.raises(UsageError, match=r"b\.png"):
        plan_outputs(found(tmp_path / "in", "a.jpg"), tmp_path / "b.png", writable=WRITABLE)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt"):
        plan_outputs(named(tmp_path / "a.jpg"), tmp_path / "notes.txt", writable=WRITABLE)


def test_an_input_is_never_a_target(tmp_path: Path) -> None:
    home = tmp_path / "in"
    sources = found(home, "a.jpg", "b.jpg")
    (tmp_path / "soft").mkdir()
    (tmp_path / "soft" / "a.jpg").symlink_to(home / "b.jpg")
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / "b.jpg").hardlink_to(home / "a.jpg")
    (tmp_path / "alias").symlink_to(home)
    for output in (home, tmp_path / "soft", tmp_path / "hard", tmp_path / "alias", home / ".." / "in"):
        with pytest.raises(InputError, match="would overwrite the input"):
            plan_outputs(sources, output, writable=WRITABLE)
    with pytest.raises(InputError, match="would overwrite the input"):
        plan_outputs(named(home / "a.jpg"), home / "a.jpg", writable=WRITABLE)


def test_translations_inside_the_input_folder_are_not_translated_again(tmp_path: Path) -> None:
    sources = found(tmp_path, "a.jpg", "out/a.jpg", "outside/a.jpg")
    jobs = plan_outputs(sources, tmp_path / "out", writable=WRITABLE)
    assert [(job.source, job.target) for job in jobs] == [
        (tmp_path / "a.jpg", tmp_path / "out" / "a.jpg"),
        (tmp_path / "outside" / "a.jpg", tmp_path / "out" / "outside" / "a.jpg"),
    ]
