"""What is finished is never done again, what is not is: through kills, changes, damage, and with several at work."""

import errno
import json
import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from cyclegan.files import Job, write_atomic
from cyclegan.translation import manifest as module
from cyclegan.translation.manifest import NAME, Manifest

# Processes are forked by a small server of their own: fast, and not from a process that has threads.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "cyclegan.translation.manifest"])


def jobs_in(tree: Path, *names: str) -> list[Job]:
    """Make a source with content of its own for every name."""
    for name in names:
        write_atomic(tree / "in" / name, f"content of {name!a}".encode())
    return [Job(tree / "in" / name, tree / "out" / name) for name in names]


def many(tree: Path, count: int) -> list[Job]:
    return jobs_in(tree, *(f"{number % 7}/{number}.png" for number in range(count)))


def do(manifest: Manifest, job: Job, **notable: Any) -> None:
    """Translate, as far as a manifest can tell."""
    assert manifest.claim(job)
    write_atomic(job.target, job.source.read_bytes().upper())
    manifest.record(job, **notable)


def lines(tree: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tree / "out" / NAME).read_bytes().split(b"\n") if line]


def begun(tree: Path) -> list[tuple[str, ...]]:
    """Return who began what, in order."""
    log = tree / "begun"
    return [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []


def complete(jobs: list[Job]) -> bool:
    return all(job.target.read_bytes() == job.source.read_bytes().upper() for job in jobs)


# What the processes of these tests do.


def work_through(jobs: list[Job], tree: Path, ready: Connection, pause: float) -> None:
    """Do as a batch does: what nobody else works on first, the rest at the end; every beginning goes to a log."""
    log = os.open(tree / "begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def unless_finished(manifest: Manifest, job: Job) -> None:
        if manifest.finished(job):
            manifest.release(job)
            return
        os.write(log, f"{job.target.name} {os.getpid()}\n".encode())
        time.sleep(pause)
        write_atomic(job.target, job.source.read_bytes().upper())
        manifest.record(job)

    with Manifest(tree / "out", work="one") as manifest:
        ready.send("ready")
        ready.recv()
        elsewhere = list[Job]()
        for job in jobs:
            if manifest.claim(job):
                unless_finished(manifest, job)
            else:
                elsewhere.append(job)
        for job in elsewhere:
            manifest.wait(job)
            unless_finished(manifest, job)


def hold(jobs: list[Job], tree: Path, pipe: Connection, finish: bool) -> None:
    """Claim jobs, say so, and keep them until told otherwise."""
    with Manifest(tree / "out", work="one") as manifest:
        pipe.send([manifest.claim(job) for job in jobs])
        pipe.recv()
        if finish:
            for job in jobs:
                write_atomic(job.target, b"done there")
                manifest.record(job)
            pipe.recv()


def ask(jobs: list[Job], tree: Path, pipe: Connection) -> None:
    """Tell which jobs can be claimed, each time anew."""
    with Manifest(tree / "out", work="one") as manifest:
        while pipe.recv():
            free = [manifest.claim(job) for job in jobs]
            for job in [job for job, ours in zip(jobs, free, strict=True) if ours]:
                manifest.release(job)
            pipe.send(free)


def start(what: Callable[..., None], jobs: list[Job], tree: Path, *more: Any) -> tuple[BaseProcess, Connection]:
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=what, args=(jobs, tree, theirs, *more), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def finish(*processes: BaseProcess) -> None:
    for process in processes:
        process.join(30)
        assert process.exitcode == 0


# Runs that are stopped, and runs beside each other.


def test_killed_thirty_times_only_what_was_in_flight_is_done_again(tmp_path: Path) -> None:
    jobs, chance, kills = many(tmp_path, 200), random.Random(0), 30
    for _ in range(kills):
        process, pipe = start(work_through, jobs, tmp_path, 0.001)
        pipe.recv()
        before = begun(tmp_path)
        pipe.send("go")
        while len(begun(tmp_path)) - len(before) < chance.randint(1, 5):
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.002))
        process.kill()
        process.join()
    known = [entry["target"] for entry in lines(tmp_path)]
    assert 0 < len(known) < len(jobs), "killed too early or too late to show anything"
    process, pipe = start(work_through, jobs, tmp_path, 0.0)
    pipe.send("go")
    finish(process)
    assert complete(jobs)
    recorded = [entry["target"] for entry in lines(tmp_path)]
    assert sorted(recorded) == sorted(job.target.relative_to(tmp_path / "out").as_posix() for job in jobs)
    assert {name for name, _ in begun(tmp_path)} == {job.target.name for job in jobs}
    assert len(jobs) < len(begun(tmp_path)) <= len(jobs) + kills


@pytest.mark.parametrize("workers", [2, 4])
def test_processes_share_a_folder_and_every_job_is_done_once(tmp_path: Path, workers: int) -> None:
    jobs = many(tmp_path, 100)
    started = [start(work_through, jobs, tmp_path, 0.002) for _ in range(workers)]
    for word in ("ready", "go"):
        for _, pipe in started:
            pipe.recv() if word == "ready" else pipe.send(word)
    finish(*(process for process, _ in started))
    assert complete(jobs)
    assert Counter(entry["target"] for entry in lines(tmp_path)) == Counter(
        job.target.relative_to(tmp_path / "out").as_posix() for job in jobs
    )
    assert Counter(name for name, _ in begun(tmp_path)) == Counter(job.target.name for job in jobs)
    assert len({pid for _, pid in begun(tmp_path)}) == workers, "one did all the work: nothing was shared"


def test_a_killed_process_frees_what_it_had_claimed(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, "a.png", "b.png")
    process, pipe = start(hold, jobs, tmp_path, False)
    assert pipe.recv() == [True, True]
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert [manifest.claim(job) for job in jobs] == [False, False]
        threading.Timer(0.2, process.kill).start()
        began = time.monotonic()
        manifest.wait(jobs[0])
        assert time.monotonic() - began > 0.1
        assert not manifest.finished(jobs[0])
        do(manifest, jobs[0])  # a claim may be made twice
        assert manifest.claim(jobs[1])
    process.join()


def test_who_waited_for_a_job_learns_that_it_is_finished(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, "a.png")
    process, pipe = start(hold, [job], tmp_path, True)
    assert pipe.recv() == [True]
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert not manifest.finished(job)
        pipe.send("finish")
        manifest.wait(job)
        assert manifest.finished(job)
    pipe.send("end")
    finish(process)


def test_claims_survive_everything_a_manifest_does(tmp_path: Path) -> None:
    """A closed descriptor of the file would drop them all, and so would the end of another claim on the same byte."""
    jobs = jobs_in(tmp_path, "a.png", "b.png", "c.png", "d.png")
    process, pipe = start(ask, jobs, tmp_path)

    def free() -> list[bool]:
        pipe.send("ask")
        return list(pipe.recv())

    with Manifest(tmp_path / "out", work="one") as manifest:
        assert free() == [True] * 4
        assert all(manifest.claim(job) for job in jobs)
        do(manifest, jobs[0])
        manifest.release(jobs[1])
        assert manifest.finished(jobs[0])
        assert not manifest.finished(jobs[2])
        assert free() == [True, True, False, False]
    assert free() == [True] * 4
    pipe.send("")
    finish(process)


def test_two_jobs_on_one_byte_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_in(tmp_path, "a.png", "b.png")
    process, pipe = start(ask, [jobs[1]], tmp_path)
    shared = module._place("b.png")
    monkeypatch.setattr(module, "_place", lambda _: shared)
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert [manifest.claim(job) for job in jobs] == [True, True]
        for job, still_ours in zip(jobs, [True, False], strict=True):
            manifest.release(job)
            pipe.send("ask")
            assert pipe.recv() == [not still_ours]
    pipe.send("")
    finish(process)


def test_a_folder_that_cannot_hold_locks_is_worked_on_without_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.lockf", refuse)
    (job,) = jobs_in(tmp_path, "a.png")
    with Manifest(tmp_path / "out", work="one") as manifest, Manifest(tmp_path / "out", work="one") as other:
        assert other.claim(job)
        manifest.wait(job)
        write_atomic(job.target, b"")
        manifest.record(job)
        assert other.finished(job)


# What counts as finished.


def touch_later(path: Path) -> None:
    then = path.stat()
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Job], object]] = {
    "source touched": lambda job: touch_later(job.source),
    "source longer, of the same time": lambda job: rewrite(job.source, job.source.read_bytes() + b"!"),
    "source gone": lambda job: job.source.unlink(),
    "target gone": lambda job: job.target.unlink(),
    "target cut, of the same time": lambda job: rewrite(job.target, job.target.read_bytes()[:-1]),
    "target touched": lambda job: touch_later(job.target),
    "target a folder": lambda job: (job.target.unlink(), job.target.mkdir()),
}


def rewrite(path: Path, content: bytes) -> None:
    then = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_done_again_and_nothing_else(tmp_path: Path, change: str) -> None:
    jobs = jobs_in(tmp_path, "a.png", "b.png", "c.png")
    with Manifest(tmp_path / "out", work="one") as manifest:
        for job in jobs:
            assert not manifest.finished(job)
            do(manifest, job)
        assert all(manifest.finished(job) for job in jobs)
    CHANGES[change](jobs[1])
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert [manifest.finished(job) for job in jobs] == [True, False, True]


def test_other_work_and_another_source_are_done_again_and_the_last_one_counts(tmp_path: Path) -> None:
    job, twin = jobs_in(tmp_path, "a.png", "b.png")
    twin = Job(twin.source, job.target)
    rewrite(twin.source, job.source.read_bytes())
    times = job.source.stat()
    os.utime(twin.source, ns=(times.st_atime_ns, times.st_mtime_ns))  # equal in all but its name
    with Manifest(tmp_path / "out", work="one") as one, Manifest(tmp_path / "out", work="two") as two:
        do(one, job)
        assert one.finished(job)
        assert not one.finished(twin)
        assert not two.finished(job)
        target = job.target.stat()
        do(two, twin)
        os.utime(job.target, ns=(target.st_atime_ns, target.st_mtime_ns))  # only the manifest knows better
        assert not one.finished(job)
        assert not two.finished(job)
        do(one, job)
        assert one.finished(job)


def test_a_source_that_changes_while_it_is_translated_is_done_again(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, "a.png")
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert manifest.claim(job)
        write_atomic(job.target, job.source.read_bytes().upper())
        touch_later(job.source)
        assert manifest.claim(job)  # ours already: what counts is how the source was the first time
        manifest.record(job)
        assert not manifest.finished(job)
        do(manifest, job)
        assert manifest.finished(job)


def test_a_failed_job_is_not_finished(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, "a.png")
    job.target.parent.mkdir()
    job.target.write_bytes(b"an old one")
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert manifest.claim(job)
        manifest.release(job)
        assert not manifest.finished(job)
    assert not (tmp_path / "out" / NAME).read_bytes()


def test_a_manifest_is_read_in_pieces_that_are_shorter_than_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = many(tmp_path, 20)
    with Manifest(tmp_path / "out", work="one") as manifest:
        for job in jobs:
            do(manifest, job)
    monkeypatch.setattr(module, "_CHUNK", 50)
    place = tmp_path / "out" / NAME
    with Manifest(tmp_path / "out", work="one") as manifest, place.open("ab") as torn:
        torn.write(b'{"version": 1, "target": "0/')
        torn.flush()
        assert all(manifest.finished(job) for job in jobs)
        torn.truncate(10)  # by somebody who may not
        assert manifest.finished(jobs[0])


def test_a_folder_is_never_finished(tmp_path: Path) -> None:
    """Its time says nothing about the files in it."""
    (job,) = jobs_in(tmp_path, "frames/1.png")
    film = Job(job.source.parent, tmp_path / "out" / "frames.mp4")
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert manifest.claim(film)
        write_atomic(film.target, b"")
        manifest.record(film)
        assert not manifest.finished(film)


def test_a_tree_that_is_moved_stays_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = jobs_in(tmp_path / "here", "a/b.png")
    with Manifest(tmp_path / "here" / "out", work="one") as manifest:
        do(manifest, job)
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir(tmp_path / "there")
    with Manifest(Path("out"), work="one") as manifest:
        assert manifest.finished(Job(Path("in/a/b.png"), Path("out/a/b.png")))
        assert manifest.finished(Job(tmp_path / "there/in/a/b.png", Path("in/../out/a/b.png")))


def test_odd_names_come_back(tmp_path: Path) -> None:
    odd = [
        "line\nbreak.png",
        'quo"te\\.png',
        "\u2028.png",
        "🦓.png",
        "caf\u00e9.png",
        os.fsdecode(b"caf\xe9.png"),
        "x" * 255,
    ]
    jobs = jobs_in(tmp_path, *odd)
    with Manifest(tmp_path / "out", work="one") as manifest:
        for job in jobs[::2]:
            do(manifest, job)
    with Manifest(tmp_path / "out", work="one") as manifest:
        assert [manifest.finished(job) for job in jobs] == [True, False] * 3 + [True]
    (tmp_path / "out" / NAME).read_text("ascii")


# Damage.


def test_a_line_torn_anywhere_loses_that_job_and_no_other(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, "a.png", "b.png", "c.png")
    path = tmp_path / "out" / NAME
    with Manifest(tmp_path / "out", work="one") as manifest:
        do(manifest, jobs[0])
        whole = len(path.read_bytes())
        do(manifest, jobs[1])
    text = path.read_bytes()
    assert text.count(b"\n") == 4
    for end in range(whole, len(text)):
        path.write_bytes(text[:end])
        with Manifest(tmp_path / "out", work="one") as manifest:
            assert [manifest.finished(job) for job in jobs] == [True, False, False]
            do(manifest, jobs[2])
            assert [manifest.finished(job) for job in jobs] == [True, end == len(text) - 1, True]


def test_a_line_that_others_have_not_written_to_its_end_is_read_later(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, "a.png")
    path = tmp_path / "out" / NAME
    with Manifest(tmp_path / "out", work="one") as manifest:
        do(manifest, job)
    text = path.read_bytes()
    path.write_bytes(b"")
    with Manifest(tmp_path / "out", work="one") as manifest, path.open("ab", buffering=0) as others:
        for position in range(len(text)):
            assert not manifest.finished(job)
            others.write(text[position : position + 1])
        assert manifest.finished(job)


GARBAGE = {
    "not UTF-8": b'\xff\xfe{"version": 1}',
    "zeros, as after a power cut": bytes(5000),
    "no object": b"[1, 2]",
    "no target": b'{"version": 1, "work": "one"}',
    "a target that is no name": b'{"version": 1, "work": "one", "target": ["b.png"]}',
    "nothing but a target": b'{"version": 1, "work": "one", "target": "b.png"}',
    "what is not there": b'{"version": 1, "work": "one", "target": "b.png", "source": "../in/b.png"}',
    "another version": b'{"version": 2, "work": "two", "target": "a.png"}',
    "too deep": b"[" * 200_000,
    "too long a number": b'{"version": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_the_middle_is_passed_over(tmp_path: Path, kind: str) -> None:
    first, second, last = jobs_in(tmp_path, "a.png", "b.png", "c.png")
    with Manifest(tmp_path / "out", work="one") as manifest:
        do(manifest, first)
        with (tmp_path / "out" / NAME).open("ab") as file:
            file.write(GARBAGE[kind] + b"\n")
        do(manifest, last)
    for _ in range(2):
        with Manifest(tmp_path / "out", work="one") as manifest:
            assert [manifest.finished(job) for job in (first, second, last)] == [True, False, True]
        second.source.unlink(missing_ok=True)


def test_a_full_disk_is_an_oserror_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, real = jobs_in(tmp_path, "a.png", "b.png"), os.write
    with Manifest(tmp_path / "out", work="one") as manifest:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda descriptor, line: real(descriptor, line[:20]))
            with pytest.raises(OSError) as caught:
                do(manifest, jobs[0])
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "out" / NAME))
        do(manifest, jobs[1])
        assert [manifest.finished(job) for job in jobs] == [False, True]


def test_a_line_says_what_was_done(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, "x/a.png")
    with Manifest(tmp_path / "out", work="one") as manifest:
        do(manifest, job, lost="12.3 of 24 s")
    source, target = job.source.stat(), job.target.stat()
    assert lines(tmp_path) == [
        {
            "version": 1,
            "target": "x/a.png",
            "source": "../in/x/a.png",
            "source_is": [source.st_size, source.st_mtime_ns],
            "target_is": [target.st_size, target.st_mtime_ns],
            "work": "one",
            "notable": {"lost": "12.3 of 24 s"},
        }
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [NAME, "x"]
