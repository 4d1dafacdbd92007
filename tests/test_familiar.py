"""What a model remembers of the pictures it learnt from, from the training to the line that `styl translate` prints."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from planted import JUNK, chance
from test_batch import Heard
from test_translator import Shift, noise, saved, shifting
from tiny import STEPS, Folders, one_thread, play, result, stop_after
from torch import Tensor

from cyclegan import Translator
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli import app
from cyclegan.cli.edge import guarded
from cyclegan.codecs import Pictures
from cyclegan.curation.density import Typicality
from cyclegan.curation.descriptor import describe
from cyclegan.curation.familiar import Familiar, Judgement, kept_of, small, to_keep
from cyclegan.demo.animal import Animal
from cyclegan.demo.painter import paint, scene_of
from cyclegan.experiment import Data
from cyclegan.files import Job
from cyclegan.media.image import read_rgb
from cyclegan.training.augment import Geometry
from cyclegan.translation.batch import translate_files
from cyclegan.translation.onefile import EVERY
from cyclegan.translation.settings import Settings
from cyclegan.translation.unlike import unlike

PHOTOGRAPHS = Path(__file__).parents[2] / "shared/data/images"
ODD = noise(40, 60)  # static is unlike any scene


def scenes(animal: Animal, count: int, *, seed: int) -> list[Any]:
    return [paint(scene_of(seed, animal, i), animal) for i in range(count)]


def as_tensor(pixels: Any) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


@pytest.fixture(scope="module")
def shelf() -> dict[str, Translator]:
    return {to: Translator.load("painted-horses", to=to, device="cpu") for to in ("zebras", "horses")}


@pytest.fixture(scope="module")
def horses() -> Tensor:
    return torch.stack([as_tensor(pixels) for pixels in scenes("horse", 160, seed=4)])


# --- the reduction


@pytest.mark.parametrize("fit", ["cover", "stretch"])
@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize("sides", [(300, 200), (24, 20), (90, 400), (3, 90)])
def test_a_picture_looks_the_same_kept_decoded_or_from_its_file(fit: Any, size: int, sides: tuple[int, int]) -> None:
    geometry, pixels = Geometry(Data(size=size, fit=fit)), noise(*sides)
    short, square = geometry.short_side(), fit == "stretch"
    kept = geometry.resize(pixels, short=short)
    direct = small(as_tensor(pixels), short=short, square=square)
    assert direct.shape == (3, 64, 64)
    assert torch.equal(small(as_tensor(kept), short=short, square=square), direct)
    assert torch.equal(small(as_tensor(pixels).contiguous(), short=short, square=square), direct)


def test_the_way_by_a_smaller_size_is_seen() -> None:
    sharp = as_tensor(noise(64, 64))
    assert torch.equal(small(sharp, short=64, square=False), sharp)
    assert small(sharp, short=16, square=False).float().std() < sharp.float().std() / 2


# --- what is remembered


def test_what_is_remembered_is_bit_equal_and_survives_its_file(horses: Tensor, tmp_path: Path) -> None:
    bright = Familiar.learn(horses[:60], short=64, square=False)
    dark = Familiar.learn(horses[:60] // 2, short=70, square=True)
    about, tensors = to_keep({"horses": bright, "zebras": None, "dark": dark})
    assert [domain["name"] for domain in about["typicality"]["domains"]] == ["horses", "dark"]
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 200_000
    Checkpoint({"kind": "translator"} | about, tensors).save(tmp_path / "w.safetensors")
    found = Checkpoint.load(tmp_path / "w.safetensors", kind="translator")
    again = Familiar.learn(horses[:60].clone(), short=64, square=False)
    back = kept_of("horses", about=found.about, tensors=found.tensors)
    assert again
    assert back
    for name, tensor in again.typicality.tensors().items():
        assert torch.equal(tensors[f"typicality.0.{name}"], tensor)
    assert back.judge(horses[3]) == again.judge(horses[3])
    other = kept_of("dark", about=found.about, tensors=found.tensors)
    assert other
    assert (other.short, other.square) == (70, True)
    assert kept_of("zebras", about=found.about, tensors=found.tensors) is None


def test_what_does_not_say_what_it_is_is_not_asked(horses: Tensor) -> None:
    about, tensors = to_keep({"horses": Familiar.learn(horses[:60], short=64, square=False)})
    assert kept_of("horses", about={}, tensors={}) is None
    assert kept_of("horses", about=about, tensors={}) is None
    assert kept_of("horses", about={"typicality": 3}, tensors=tensors) is None
    about["typicality"]["version"] += 1
    assert kept_of("horses", about=about, tensors=tensors) is None


def test_of_fewer_than_thirty_pictures_nothing_is_remembered(horses: Tensor) -> None:
    assert Familiar.learn(horses[:29], short=64, square=False) is None
    assert Familiar.learn(horses[:0], short=64, square=False) is None
    assert to_keep({"horses": None}) == ({}, {})


def test_junk_in_the_folder_is_no_excuse_for_junk(horses: Tensor) -> None:
    pages = torch.stack([as_tensor(JUNK["text"]("horse", chance(1, "text", i))) for i in range(4)])
    found = torch.cat([pages, horses])
    familiar = Familiar.learn(found, short=64, square=False)
    assert familiar
    assert all(familiar.judge(page).unlike for page in pages)
    assert familiar.typicality.unlike(describe(horses)).sum() <= 1
    assert not Typicality.fit(describe(found)).unlike(describe(pages)).any(), "as if they were ordinary"


# --- judgements


def test_scenes_are_ordinary_to_the_translator_on_the_shelf(shelf: dict[str, Translator]) -> None:
    found = [shelf["zebras"].judge(pixels) for pixels in scenes("horse", 100, seed=123)]
    found += [shelf["horses"].judge(pixels) for pixels in scenes("zebra", 100, seed=123)]
    judged = [judgement for judgement in found if judgement]
    assert len(judged) == 200
    assert sum(judgement.unlike for judgement in judged) <= 2
    assert sorted(judgement.unusualness for judgement in judged)[100] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("kind", JUNK)
def test_junk_is_unlike_them(shelf: dict[str, Translator], kind: str) -> None:
    """A meadow without a horse is the hardest."""
    for to, animal in (("zebras", "horse"), ("horses", "zebra")):
        found = [shelf[to].judge(JUNK[kind](animal, chance(3, kind, i))) for i in range(4)]
        assert sum(bool(judgement and judgement.unlike) for judgement in found) >= (3 if kind == "empty" else 4)


@pytest.mark.parametrize("name", ["apple2orange/testA", "day2night/testA", "shoes2hat/testB"])
def test_photographs_are_unlike_them(shelf: dict[str, Translator], name: str) -> None:
    paths = sorted((PHOTOGRAPHS / name).glob("*"))[:5] if (PHOTOGRAPHS / name).is_dir() else []
    if not paths:
        pytest.skip("no photographs beside the checkout")
    for path in paths:
        judgement = shelf["zebras"].judge(read_rgb(path))
        assert getattr(judgement, "unlike", False)


def test_each_kind_of_frame_is_judged_alike(shelf: dict[str, Translator]) -> None:
    translator, (frame,) = shelf["zebras"], scenes("horse", 1, seed=3)
    number = translator.unusualness(frame)
    assert number is not None
    floating = as_tensor(frame).double() / 127.5 - 1
    for same in (Image.fromarray(frame), as_tensor(frame), as_tensor(frame)[None], floating):
        assert translator.unusualness(same) == pytest.approx(number, abs=1e-4)


def test_a_film_is_judged_by_most_of_its_frames() -> None:
    odd, plain = Judgement(1.0, unlike=True), Judgement(0.25, unlike=False)
    assert Judgement.of_many([odd]) == odd
    assert Judgement.of_many([odd, plain, plain]) == plain
    assert Judgement.of_many([odd, plain, odd]) == odd
    assert Judgement.of_many([odd, plain]) == plain


# --- what is said


def of(*shares: float) -> list[tuple[Path, Judgement]]:
    return [(Path(f"{i}.jpg"), Judgement(share, unlike=share > 0.9)) for i, share in enumerate(shares)]


def test_the_line_that_is_said() -> None:
    assert unlike(of(0.2, 0.7), source="horses") is None
    assert unlike([], source="horses") is None
    assert unlike(of(0.2, 0.99997), source="horses") == (
        "note: 1.jpg is unlike the horses this model learnt from (more unusual than 99.9 % of them); "
        "expect a weak result"
    )
    assert "than all of them" in (unlike(of(1.0), source="horses") or "")
    many = [*of(*[0.1] * 788), *of(*[0.99] * 212)]
    assert unlike(many, source="horses") == (
        "note: 212 of 1,000 pictures are unlike the horses this model learnt from; expect weak results; "
        "the first: 0.jpg, 1.jpg, 2.jpg"
    )


def jobs_of(folder: Path, frames: list[Any]) -> list[Job]:
    folder.mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i}.png")
    return [Job(path, folder.parent / "out" / path.name) for path in sorted(folder.iterdir())]


def knowing(shelf: dict[str, Translator]) -> Translator:
    familiar = shelf["zebras"].familiar
    return Translator(Shift(3), codec=Pictures(), source="horses", target="zebras", familiar=familiar)


def test_many_inputs_are_told_of_in_one_line(shelf: dict[str, Translator], tmp_path: Path) -> None:
    heard, jobs = Heard(), jobs_of(tmp_path / "in", [*scenes("horse", 3, seed=3), ODD, ODD, ODD, ODD])
    summary = translate_files(knowing(shelf), jobs, settings=Settings(batch=3), progress=heard)
    assert [judgement.unlike for _, judgement in summary.judged] == [False] * 3 + [True] * 4
    (line,) = heard.notes
    assert line.startswith("note: 4 of 7 pictures are unlike the horses this model learnt from; ")
    entries = summary.encode()["inputs"]
    assert [entry["path"] for entry in entries] == [str(job.source) for job in jobs]
    assert all(entry["unusualness"] == round(entry["unusualness"], 4) for entry in entries)


def test_a_film_in_the_dark_for_a_second_is_ordinary(shelf: dict[str, Translator], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    bright, dark = scenes("horse", 1, seed=3)[0], np.zeros((64, 64, 3), np.uint8)
    for name, shown in (("fade", [dark] * EVERY + [bright] * 2 * EVERY), ("dark", [dark, bright])):
        frames = [Image.fromarray(np.vstack([frame[:-1], frame[-1:] // 2 + i])) for i, frame in enumerate(shown)]
        more: dict[str, Any] = {"append_images": frames[1:], "duration": 40, "lossless": True}  # equal ones are joined
        frames[0].save(tmp_path / "in" / f"{name}.webp", save_all=True, **more)
    jobs = [Job(path, tmp_path / "out" / path.name) for path in sorted((tmp_path / "in").iterdir())]
    summary = translate_files(knowing(shelf), jobs, settings=Settings(steady=False))
    assert [(path.stem, judgement.unlike) for path, judgement in summary.judged] == [("dark", True), ("fade", False)]


def test_weights_that_remember_nothing_are_silent(tmp_path: Path) -> None:
    old = Translator.load(saved(tmp_path / "w.safetensors"), device="cpu")
    assert old.unusualness(ODD) is None
    heard, jobs = Heard(), jobs_of(tmp_path / "in", [ODD])
    summary = translate_files(shifting(3), jobs, progress=heard)
    assert (summary.encode()["inputs"], heard.notes) == ([], [])
    assert old.file(jobs[0].source, tmp_path / "b.png").judgement is None


def test_the_command_notes_it_in_a_line_and_gives_programs_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(ODD).save(tmp_path / "saloon.png")
    Image.fromarray(scenes("horse", 1, seed=3)[0]).save(tmp_path / "horse.png")
    monkeypatch.chdir(tmp_path)
    words = ["translate", "saloon.png", "horse.png", "-m", "painted-horses", "--device", "cpu", "--json"]
    monkeypatch.setattr(sys, "argv", ["styl", *words])
    with pytest.raises(SystemExit) as left:
        guarded(app)
    out, err = capsys.readouterr()
    assert left.value.code == 0
    assert err.count("unlike") == 1
    assert "note: saloon.png is unlike the horses this model learnt from (more unusual than all of them); expect" in err
    odd, plain = json.loads(out)["inputs"]
    assert odd == {"path": "saloon.png", "unusualness": 1.0, "unlike": True}
    assert (plain["path"], plain["unlike"]) == ("horse.png", False)
    assert plain["unusualness"] < 0.99


# --- training


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("painted")
    animals: dict[str, Animal] = {"x": "horse", "y": "zebra"}
    for name, animal in animals.items():
        jobs_of(root / name, scenes(animal, 40, seed=1))
    return root / "x", root / "y"


def remembered(path: Path) -> dict[str, bytes]:
    tensors = Checkpoint.load(path, kind="translator").tensors
    return {name: t.numpy().tobytes() for name, t in tensors.items() if name.startswith("typicality.")}


def test_every_translator_remembers_and_a_stopped_run_remembers_the_same(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = "data.size=32"
    with one_thread():
        play(folders, tmp_path / "straight", size)
        with monkeypatch.context() as patch:
            stop_after(patch, STEPS // 2)
            assert play(folders, tmp_path / "run", size).signal == signal.SIGTERM
        play(folders, tmp_path / "run", size)
    assert result(tmp_path / "run") == result(tmp_path / "straight")
    last, best = (remembered(tmp_path / f"run/weights/{name}.safetensors") for name in ("last", "best"))
    assert last == best
    assert len(last) == 16  # eight of each domain
    translator = Translator.load(tmp_path / "run", to="x", device="cpu")
    assert translator.familiar is not None
    assert (translator.familiar.short, translator.familiar.square) == (40, False)  # 1.25 × 32
    found = [translator.judge(pixels) for pixels in [*scenes("zebra", 4, seed=5), ODD]]
    assert [bool(judgement and judgement.unlike) for judgement in found] == [False, False, False, False, True]
