"""Folders of everything: finished work is left alone, damaged files are named, films and animations go along."""

import gc
import json
import multiprocessing
import os
import shutil
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from films import Recipe, Sound, facts, make
from PIL import Image
from test_translator import noise, saved, shifting

from cyclegan import Translator
from cyclegan.errors import InputError, UsageError
from cyclegan.files import Job
from cyclegan.media.image import read_picture
from cyclegan.translation import batch, memory
from cyclegan.translation.batch import Summary, open_manifest, translate_files
from cyclegan.translation.progress import Progress
from cyclegan.translation.settings import Settings


class Heard(Progress):
    def __init__(self) -> None:
        self.notes, self.counted, self.frames = list[str](), list[tuple[int, int]](), list[int]()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def count(self, done: int, total: int) -> None:
        self.counted.append((done, total))

    def film(self, frames: int, *, of: int | None, seconds: float | None) -> None:
        self.frames.append(frames)


def pictures(folder: Path, count: int) -> list[Job]:
    folder.mkdir()
    for place in range(count):
        Image.fromarray(noise(9, 7, place)).save(folder / f"{place}.png")
    return [Job(path, folder.parent / "out" / path.name) for path in sorted(folder.iterdir())]


def run(translator: Translator, jobs: list[Job], weights: Path, **how: Any) -> Summary:
    with open_manifest(jobs[0].target.parent, weights, translator, how.get("settings", Settings())) as manifest:
        return translate_files(translator, jobs, manifest=manifest, **how)


def written(jobs: list[Job]) -> dict[str, tuple[bytes, int]]:
    return {job.target.name: (job.target.read_bytes(), job.target.stat().st_mtime_ns) for job in jobs}


def test_a_second_run_redoes_nothing_and_a_changed_one_redoes_that(tmp_path: Path) -> None:
    weights, jobs = saved(tmp_path / "w.safetensors"), pictures(tmp_path / "in", 5)
    first = run(shifting(10), jobs, weights)
    before = written(jobs)
    second = run(shifting(10), jobs, weights)
    assert (len(first.done), len(second.done), len(second.finished)) == (5, 0, 5)
    assert written(jobs) == before
    Image.fromarray(noise(9, 7, 99)).save(jobs[1].source)
    jobs[3].target.unlink()
    assert [path.name for path in run(shifting(10), jobs, weights).done] == ["1.png", "3.png"]
    assert len(run(shifting(10), jobs, weights, settings=Settings(quality=50)).done) == 5
    assert len(run(shifting(10), jobs, saved(tmp_path / "v.safetensors", seed=1)).done) == 5
    assert len(run(shifting(10), jobs, saved(tmp_path / "v.safetensors", seed=1), again=True).done) == 5
    assert run(shifting(10), jobs, saved(tmp_path / "v.safetensors", seed=1)).done == []


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, jobs = saved(tmp_path / "w.safetensors"), pictures(tmp_path / "in", 8)
    count, save = 0, batch.save

    def pulled(*args: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return save(*args, **named)

    monkeypatch.setattr(batch, "save", pulled)
    with pytest.raises(KeyboardInterrupt):
        run(shifting(10), jobs, weights)
    rest = run(shifting(10), jobs, weights)
    assert (len(rest.finished), len(rest.done)) == (3, 5)


def work(jobs: list[Job], weights: Path, found: Any) -> None:
    summary = run(shifting(10), jobs, weights)
    found.put((len(summary.done), len(summary.finished), len(summary.failed)))


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_processes_share_a_folder(tmp_path: Path) -> None:
    weights, jobs = saved(tmp_path / "w.safetensors"), pictures(tmp_path / "in", 60)
    (tmp_path / "in" / "7.png").write_bytes(b"not a picture")
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    workers = [context.Process(target=work, args=(jobs, weights, found)) for _ in range(2)]
    for worker in workers:
        worker.start()
    counts = [found.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(done for done, _, _ in counts) == 59, counts
    assert all(sum(each) == 60 for each in counts), counts
    for job in jobs:
        if job.source.name != "7.png":
            assert np.array_equal(read_picture(job.target).pixels, shifting(10)(read_picture(job.source).pixels))


def test_folders_survive_damaged_files_and_keep_alpha(tmp_path: Path) -> None:
    pixels = noise(10, 8) // 2
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    Image.fromarray(noise(5, 5)).save(tmp_path / "d.jpg")
    jobs = [Job(tmp_path / n, tmp_path / "out" / n) for n in ("a.png", "b.png", "c.png", "d.jpg")]
    before = {j.source: j.source.read_bytes() for j in jobs}
    heard = Heard()
    summary = translate_files(shifting(10), jobs, settings=Settings(batch=2), progress=heard)
    assert [p.name for p in summary.done] == ["a.png", "b.png", "d.jpg"]
    ((failed, reason),) = summary.failed
    assert failed.name == "c.png"
    assert "c.png" in reason
    assert any("c.png" in line for line in heard.notes)
    assert np.array_equal(read_picture(tmp_path / "out/a.png").pixels, pixels + 10)
    assert np.array_equal(read_picture(tmp_path / "out/b.png").alpha, pixels[..., 0])
    assert read_picture(tmp_path / "out/d.jpg").pixels.shape == (5, 5, 3)
    assert all(path.read_bytes() == data for path, data in before.items())
    assert json.loads(json.dumps(summary.encode()))["failed"][0]["path"].endswith("c.png")


def test_films_animations_and_pages_go_along(tmp_path: Path) -> None:
    folder, heard = tmp_path / "in", Heard()
    folder.mkdir()
    make(folder / "a.mp4", Recipe(sounds=[Sound()]))
    frames = [Image.fromarray(noise(20, 30, seed)) for seed in range(4)]
    frames[0].save(folder / "b.webp", save_all=True, append_images=frames[1:], duration=[40, 50, 60, 70], lossless=True)
    frames[0].save(folder / "c.tif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "d.png")
    (folder / "e.mp4").write_bytes(b"no film")
    jobs = [Job(path, tmp_path / "out" / path.name) for path in sorted(folder.iterdir())]
    summary = translate_files(shifting(3), jobs, settings=Settings(steady=False, batch=3), progress=heard)
    assert sorted(path.name for path in summary.done) == ["a.mp4", "b.webp", "c.tif", "d.png"]
    assert [(path.name, reason.split(": ", 1)[0]) for path, reason in summary.failed] == [
        ("e.mp4", str(folder / "e.mp4"))
    ]
    assert not (tmp_path / "out" / "e.mp4").exists()
    assert heard.counted[-1] == (5, 5)
    source, result = facts(folder / "a.mp4"), facts(tmp_path / "out" / "a.mp4")
    assert result.times == source.times
    with Image.open(tmp_path / "out" / "b.webp") as animation:
        assert animation.n_frames == 4
    with Image.open(tmp_path / "out" / "c.tif") as pages:
        assert pages.n_frames == 4
    assert json.loads(json.dumps(summary.encode()))["done"]


def test_a_film_says_how_much_it_flickered(tmp_path: Path) -> None:
    heard, film = Heard(), make(tmp_path / "a.mp4", Recipe())
    translate_files(shifting(3), [Job(film, tmp_path / "b.mp4")], progress=heard)
    assert any("flicker" in note for note in heard.notes)
    assert heard.frames == list(range(1, 13))


def test_a_cut_film_is_translated_as_far_as_it_goes(tmp_path: Path) -> None:
    film = make(tmp_path / "a.mkv", Recipe(count=48))
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    summary = translate_files(shifting(3), [Job(film, tmp_path / "b.mkv")], settings=Settings(steady=False))
    ((path, reason),) = summary.partial
    assert path == film
    assert " s" in reason
    assert not summary.whole
    assert summary.done == [tmp_path / "b.mkv"]
    assert 0 < len(facts(tmp_path / "b.mkv").times) < 48
    strictly = Settings(steady=False, strict=True)
    assert translate_files(shifting(3), [Job(film, tmp_path / "c.mkv")], settings=strictly).failed
    assert not (tmp_path / "c.mkv").exists()


def test_one_file_from_a_script(tmp_path: Path) -> None:
    Image.fromarray(noise(9, 7)).save(tmp_path / "a.png")
    translator = shifting(5)
    assert translator.file(tmp_path / "a.png", tmp_path / "b.png").lost is None
    make(tmp_path / "a.mp4", Recipe())
    assert translator.file(tmp_path / "a.mp4", tmp_path / "b.mp4").flicker is not None
    assert len(facts(tmp_path / "b.mp4").times) == 12
    with pytest.raises(UsageError, match="a picture is no film"):
        translator.file(tmp_path / "a.png", tmp_path / "b.mp4")
    with pytest.raises(InputError, match=r"[Nn]o such file"):
        translator.file(tmp_path / "z.png", tmp_path / "b.png")


def test_numbered_frames_become_frames_or_a_film(tmp_path: Path) -> None:
    pictures(tmp_path / "in", 11)
    settings = Settings(steady=False, fps=Fraction(30000, 1001))
    shifting(5).file(tmp_path / "in", tmp_path / "frames", settings=settings)
    assert len(list((tmp_path / "frames").iterdir())) == 11
    shifting(5).file(tmp_path / "in", tmp_path / "film.mp4", settings=settings)
    assert facts(tmp_path / "film.mp4").times == [place * Fraction(1001, 30000) for place in range(11)]


def test_memory_too_small_for_one_picture_stops_that_one_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "PIXELS", 100)
    jobs, translator = pictures(tmp_path / "in", 3), shifting(10)
    Image.fromarray(noise(40, 40)).save(jobs[1].source)
    whole = translator.paint._whole

    def scarce(frames: Any) -> Any:
        if frames.shape[-1] == 40:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return whole(frames)

    monkeypatch.setattr(translator.paint, "_whole", scarce)
    summary = translate_files(translator, jobs)
    assert [path.name for path in summary.done] == ["0.png", "2.png"]
    assert "40 × 40 pixels: not enough memory" in summary.failed[0][1]


def test_what_memory_does_not_hold_is_named_from_its_header_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GIF of 400 bytes may ask for as much as a film of 8K."""
    jobs = pictures(tmp_path / "in", 2)
    frames = [Image.new("1", (9000, 9000)), Image.new("1", (9000, 9000), 1)]
    frames[0].save(tmp_path / "in/a.gif", save_all=True, append_images=frames[1:])
    make(tmp_path / "in/b.mp4", Recipe(width=1280, height=720, count=2))
    Image.new("L", (3000, 3000)).save(tmp_path / "in/c.png")
    (tmp_path / "in/numbered").mkdir()
    Image.new("L", (3000, 3000)).save(tmp_path / "in/numbered/1.png")
    jobs += [Job(tmp_path / "in" / name, tmp_path / "out" / name) for name in ("a.gif", "b.mp4", "c.png", "numbered")]
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)
    tracemalloc.start()
    summary = translate_files(shifting(3), jobs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert [path.name for path in summary.done] == ["0.png", "1.png"]
    assert [path.name for path, _ in summary.failed] == ["c.png", "a.gif", "b.mp4", "numbered"]
    assert "81 megapixels take about 16.2 GB of memory, and 0.1 are free" in dict(summary.failed)[tmp_path / "in/a.gif"]
    still = translate_files(shifting(3), [jobs[3]], settings=Settings(steady=False))
    assert "0.1 GB of memory" in still.failed[0][1]  # less, and still too much
    assert "0.2 GB of memory" in dict(summary.failed)[tmp_path / "in/b.mp4"]


def test_nothing_grows_over_many_pictures(tmp_path: Path) -> None:
    jobs = pictures(tmp_path / "in", 3)
    many = [Job(jobs[0].source, tmp_path / "out" / f"{place}.png") for place in range(300)]
    process, translator = psutil.Process(), shifting(1)
    translate_files(translator, many[:30])
    gc.collect()
    files, memory = process.num_fds(), process.memory_info().rss
    translate_files(translator, many)
    gc.collect()
    assert process.num_fds() <= files
    assert process.memory_info().rss - memory < 20 << 20
    shutil.rmtree(tmp_path / "out")
