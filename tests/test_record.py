"""Which checkpoint is the best: by KID, of those that cannot be told apart the latest, where figures compare."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny import Folders, draw_folders, experiment, log, one_thread, play, result, stop_after
from torch import Tensor

from cyclegan.checkpoint import Checkpoint
from cyclegan.metrics.distances import KernelDistance
from cyclegan.reporting.log import read_log
from cyclegan.training import look
from cyclegan.training.record import Record
from cyclegan.training.run import train

LOOKS = ("every.sheet=2", "every.save=4")  # eight looks in a run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return draw_folders(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def distance(value: float, own: float) -> KernelDistance:
    """Return a distance; two whose `own` differ by 1 have a paired error of √1.5: 3/4 (1² + 1²), see the jackknife."""
    without_fake = value + own * torch.tensor([1.0, -1.0, 0.0, 0.0]).double()
    return KernelDistance(float(value), without_fake, torch.full((3,), float(value)))


def record(images: int, *values: tuple[float, float], protocol: str = "one") -> Record:
    domains = ("zebras", "horses")  # not in the order of the alphabet
    return Record(images, protocol, {n: distance(*value) for n, value in zip(domains, values, strict=True)})


def test_a_difference_is_the_mean_over_the_domains_with_its_paired_error() -> None:
    compared = record(9, (5.0, 1.0), (7.0, 2.0)).compared(record(4, (4.0, 0.0), (6.5, 0.0)))
    assert compared is not None
    assert (compared.images, compared.difference) == (4, 0.75)
    assert compared.error == pytest.approx((1.5 * 1 + 1.5 * 4) ** 0.5 / 2)
    assert compared.as_good
    assert not record(9, (5.0, 0.1), (7.0, 0.1)).compared(record(4, (4.0, 0.0), (6.5, 0.0))).as_good  # type: ignore[union-attr]


def test_what_was_measured_otherwise_is_not_compared() -> None:
    assert record(9, (5.0, 1.0), (7.0, 2.0)).compared(record(4, (4.0, 0.0), (6.5, 0.0), protocol="other")) is None
    assert record(9, (5.0, 1.0), (7.0, 2.0)).compared(None) is None


def test_a_record_is_kept_with_a_state(tmp_path: Path) -> None:
    one = record(1200, (0.25, 1.0), (0.1 + 0.2, -3.0), protocol="own: 64 px; … × …")
    Checkpoint({"kind": "state", "record": one.about()}, one.tensors()).save(tmp_path / "state.safetensors")
    found = Checkpoint.load(tmp_path / "state.safetensors", kind="state")
    again = Record.decode(found.about["record"], found.tensors)
    assert (again.images, again.protocol, list(again.distances)) == (one.images, one.protocol, list(one.distances))
    for name, distance in one.distances.items():
        assert again.distances[name].value == distance.value
        assert torch.equal(again.distances[name].without_fake, distance.without_fake)
        assert torch.equal(again.distances[name].without_real, distance.without_real)


def scripted(patch: pytest.MonkeyPatch, values: Sequence[tuple[float, float]]) -> None:
    """Have looks measure what is said, the same in both directions."""
    found = iter([value for value in values for _ in range(2)])

    def measured(fakes: Tensor, reals: Tensor) -> KernelDistance:
        return distance(*next(found))

    patch.setattr(look, "kernel_distance", measured)


def chosen(run: Path) -> list[int]:
    """Return at how many images a look was the best so far."""
    return [line["images"] for line in log(run) if line.get("best")]


def best(run: Path) -> int:
    return int(Checkpoint.load(run / "weights/best.safetensors", kind="translator").about["images"])


def test_of_checkpoints_that_cannot_be_told_apart_the_latest_is_the_best(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not apart: by √1.5 / √2 = 0.866, from the lowest, so that steps that small do not lead away from it."""
    values = [(9, 0), (5, 0), (5.8, 1), (6.6, 2), (6.6, 1), (4.9, 1), (5.7, 0), (5.9, 0)]
    untranslated = (20, 0)
    scripted(monkeypatch, [untranslated, *values])
    play(folders, tmp_path, *LOOKS)
    assert chosen(tmp_path) == [2, 4, 6, 8, 12, 14]
    assert best(tmp_path) == 14
    compared = [line["compared"] for line in log(tmp_path) if "compared" in line]
    assert [line["images"] for line in compared] == [2, 4, 4, 4, 4, 12, 12]
    assert [line["difference"] for line in compared] == pytest.approx([-4, 0.8, 1.6, 1.6, -0.1, 0.8, 1.0])
    assert [line["error"] for line in compared] == pytest.approx([0.75**0.5 * own for own in (0, 1, 2, 1, 1, 1, 1)])
    told = read_log(tmp_path / "log.jsonl").best
    assert told
    assert told.images == 14


def test_a_run_that_gets_worse_says_so_early(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a sixth of the training: from left alone 1 by way of 5 and 6 to 7."""
    scripted(monkeypatch, [(1, 0), (5, 0), (4, 0), (6, 0), (7, 0)])
    stop_after(monkeypatch, 4)
    play(folders, tmp_path, "every.sheet=2", "every.save=100", "training.images=50")
    said = [line.get("alarms", []) for line in log(tmp_path) if "measure" in line]
    further = [f"to {name}: further from real {name} than before translating, and getting further" for name in "yx"]
    assert said == [[], [], [], further]


def test_what_is_no_number_is_never_the_best(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = float("nan")
    scripted(monkeypatch, [(20, 0), (nan, 0), (9, 0), (nan, 0), (8, 0), *[(9, 0)] * 4])
    play(folders, tmp_path, *LOOKS)
    assert chosen(tmp_path) == [4, 8]


@pytest.mark.parametrize("step", [3, 4, 6])
def test_the_choice_survives_a_stop(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Looks are measured for real; states are written after every other one."""
    play(folders, tmp_path / "straight", *LOOKS)
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        play(folders, tmp_path / "stopped", *LOOKS)
    play(folders, tmp_path / "stopped", *LOOKS)
    assert result(tmp_path / "stopped") == result(tmp_path / "straight")
    lines = [[line for line in log(tmp_path / name) if "measure" in line] for name in ("straight", "stopped")]
    assert lines[0] == lines[1]
    assert all("compared" in line for line in lines[0][1:])


def test_another_size_chooses_anew(folders: Folders, tmp_path: Path) -> None:
    """KID of larger pictures is another figure: 60 here, where 100 was the best before, says nothing."""
    told: list[dict[str, object]] = []
    play(folders, tmp_path, *LOOKS, "training.images=8", "training.decay=0")
    before = log(tmp_path)
    larger = experiment(folders, *LOOKS, "data.size=20", "training.images=10", "training.decay=0")
    train(larger, tmp_path, device="cpu", workers=0, features="own", tell=told.append)
    first, *_ = [line for line in log(tmp_path)[len(before) :] if "measure" in line]
    assert first["protocol"] != before[-1]["protocol"]
    assert first["best"]
    assert "compared" not in first
    assert best(tmp_path) == 10
    assert [line["note"] for line in told if "KID is measured otherwise" in str(line.get("note"))]
    again = [line["images"] for line in log(tmp_path) if "untranslated" in line]
    assert again == [0, 8], "the folders are measured anew, too"
    read = read_log(tmp_path / "log.jsonl")
    assert [look.images for look in read.comparable] == [10]
    assert read.untranslated["x"]["kid"] == log(tmp_path)[len(before)]["untranslated"]["x"]["kid"]


@pytest.mark.parametrize(("name", "anew"), [("held_back", True), ("learnt", True), ("another folder", False)])
def test_other_pictures_choose_anew_where_they_are_measured(tmp_path: Path, name: str, anew: bool) -> None:
    """All 20 pictures of a folder are among those that are measured against."""
    folders = draw_folders(tmp_path)
    run, options = tmp_path / "run", (*LOOKS, "training.decay=0")
    play(folders, run, *options, "training.images=8")
    protocol = log(run)[-1]["protocol"]
    if name == "another folder":
        moved = shutil.move(folders[0], tmp_path / "moved")
        folders = (Path(moved), folders[1])
    else:
        place = 0 if name == "held_back" else 10
        file = sorted(folders[0].iterdir())[place]
        Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
    wanted = experiment(folders, *options, "training.images=10")
    train(wanted, run, device="cpu", workers=0, features="own", changed_data=True)
    last = next(line for line in log(run) if line["images"] == 10 and "measure" in line)
    assert (last["protocol"] != protocol) == anew
    assert ("compared" not in last) == anew


def test_a_run_of_old_goes_on_and_chooses_anew(folders: Folders, tmp_path: Path) -> None:
    """Its states hold no record, its log no protocol."""
    play(folders, tmp_path, *LOOKS, "training.images=8", "training.decay=0")
    lines = [{k: v for k, v in line.items() if k not in ("protocol", "best", "compared")} for line in log(tmp_path)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    newest = max((tmp_path / "state").iterdir())
    state = Checkpoint.load(newest, kind="state")
    del state.about["record"]
    Checkpoint(state.about, {n: t for n, t in state.tensors.items() if not n.startswith("record.")}).save(newest)
    play(folders, tmp_path, *LOOKS, "training.images=10", "training.decay=0")
    assert chosen(tmp_path) == [10]
