"""Rare pictures more often, in a controlled measure, the same whenever it is asked, and alike again at the end."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import planted
import pytest
import tiny
import torch

from cyclegan.chance import seed_for
from cyclegan.curation.resample import Weights
from cyclegan.demo.animal import Animal
from cyclegan.demo.painter import draw_scene, paint
from cyclegan.experiment import Experiment
from cyclegan.training import balance as balancing
from cyclegan.training.acquaintance import Gathered, acquaint
from cyclegan.training.augment import Geometry
from cyclegan.training.balance import Balance
from cyclegan.training.data import Domain, Draws, Shares
from cyclegan.translation.translator import Translator


def draws(values: list[float]) -> Draws:
    paths = tuple(Path(f"{i}.png") for i in range(len(values)))
    made = Draws([Domain(paths, ())], Geometry(Experiment().data), seed=3)
    made.shares = [Shares(np.array(values) / np.mean(values))]
    return made


def epoch(made: Draws, number: int) -> Counter[str]:
    count = len(made.domains[0].train)
    return Counter(made.path(0, i).stem for i in range(number * count, (number + 1) * count))


def test_shares_are_kept_to_the_next_whole_number_in_every_epoch() -> None:
    values = [3.25, 0.5, 0.25, 0.0, 1.0, 1.0, 1.0, 1.0]
    made = draws(values)
    total: Counter[str] = Counter()
    for number in range(200):
        seen = epoch(made, number)
        total += seen
        for i, value in enumerate(values):
            assert int(value) <= seen[str(i)] <= int(value) + 1
    for i, value in enumerate(values):
        assert total[str(i)] / 200 == pytest.approx(value, abs=0.1)


def test_equal_shares_show_everything_once() -> None:
    assert set(epoch(draws([1.0] * 7), 4).values()) == {1}


def test_draws_are_a_function_of_their_number_and_alike_at_the_end() -> None:
    made = draws([6.0, 1.0, 0.5, 0.5])
    made.alike_from = 14  # in the fourth epoch: that one and all later are uniform
    assert [epoch(made, 3), epoch(made, 9)] == [Counter("0123")] * 2
    assert epoch(made, 2)["0"] >= 2
    again = draws([6.0, 1.0, 0.5, 0.5])
    again.alike_from = 14
    assert [made.path(0, i) for i in range(40)] == [again.path(0, i) for i in range(40)]


def test_the_debiasing_vae_draws_by_what_its_latents_say_anew_each_epoch() -> None:
    pictures = planted.folder("horse", 120, seed=1, junk=0.0).pictures
    asked: list[int] = []

    def weigh(latents: torch.Tensor) -> Weights:
        asked.append(len(latents))
        return Weights.of(torch.ones(len(latents)))

    folders = (torch.arange(120) >= 60).long()
    network = acquaint(Gathered(pictures, folders, ("",) * 120, ()), weigh=weigh)
    assert network.labels == 2
    assert len(asked) >= 20  # epochs, of both folders
    assert set(asked) == {60}


@pytest.fixture
def folders(tmp_path: Path) -> tiny.Folders:
    for name, animal in (("x", "horse"), ("y", "zebra")):
        planted.write(planted.folder(animal, 60, seed=2, rare=0.1, junk=0.05), tmp_path / name)  # type: ignore[arg-type]
    return tmp_path / "x", tmp_path / "y"


@pytest.mark.parametrize("how", ["nearest", "product"])
def test_a_run_remembers_its_balance_and_says_it(
    folders: tiny.Folders, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = tiny.experiment(folders, f"data.balance={how}")
    monkeypatch.setattr("cyclegan.training.acquaintance.LEAST", 320)
    told: list[str] = []
    run = tmp_path / "run"

    def tell(line: dict[str, object]) -> None:
        told.append(str(line.get("note", "")))

    tiny.train(chosen, run, device="cpu", workers=0, features="own", tell=tell)
    kept = json.loads((run / "balance.json").read_text())
    assert len(kept["weights"]) == 120
    assert np.mean(list(kept["weights"].values())) == pytest.approx(1, abs=1e-4)
    assert sum("effective sample size" in line for line in told) == 1
    monkeypatch.setattr(balancing, "_found", lambda *args, **how: pytest.fail("it is known already"))
    tiny.train(chosen.replace(training__images=20), run, device="cpu", workers=0, features="own")


def test_folders_that_moved_keep_their_balance(
    folders: tiny.Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclegan.training.acquaintance.LEAST", 320)
    chosen, run = tiny.experiment(folders, "data.balance=nearest"), tmp_path / "run"
    tiny.train(chosen, run, device="cpu", workers=0, features="own")
    before = json.loads((run / "balance.json").read_text())["weights"]
    moved = tuple(str(folder.rename(folder.with_name(f"{folder.name}-moved"))) for folder in folders)
    again = chosen.replace(data__folders=moved, training__images=20)
    tiny.train(again, run, device="cpu", workers=0, features="own")
    after = json.loads((run / "balance.json").read_text())["weights"]
    assert set(after) == {path.replace("/x/", "/x-moved/").replace("/y/", "/y-moved/") for path in before}
    assert sorted(after.values()) == pytest.approx(sorted(before.values()), abs=1e-3)


def test_another_folder_or_option_is_looked_at_anew(tmp_path: Path) -> None:
    kept = Balance({"a": 2.0, "b": 0.5}, "done", {"seed": 0})
    file = tmp_path / "balance.json"
    file.write_bytes(kept.encode())
    assert Balance.load(file, about={"seed": 0}) == kept
    assert Balance.load(file, about={"seed": 1}) is None
    file.write_bytes(kept.encode()[:-9])
    assert Balance.load(file, about={"seed": 0}) is None
    assert Balance.load(tmp_path / "none", about={"seed": 0}) is None


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_rare_group_is_translated_better_and_the_others_as_well(tmp_path: Path) -> None:
    """Painting anew at 32 pixels, where snow suffers most: four minutes on one core."""
    for name, animal in (("horses", "horse"), ("zebras", "zebra")):
        planted.write(planted.folder(animal, 600, seed=100, junk=0.0), tmp_path / name)  # type: ignore[arg-type]
    errors = {how: translated(tmp_path, how) for how in ("none", "nearest")}
    for way, (rare, ordinary) in errors["nearest"].items():
        rare_before, ordinary_before = errors["none"][way]
        assert rare <= 0.7 * rare_before
        assert ordinary <= 1.1 * ordinary_before


def translated(root: Path, how: str) -> dict[str, tuple[float, float]]:
    """Train, and return the errors in levels of fresh rare and ordinary scenes, for both ways."""
    options = ["training.images=3000", "data.size=32", "critic.layers=2", f"data.balance={how}"]
    options += ["translator.output=tanh", "objective.identity=0", "every.sheet=3000", "every.save=3000"]
    chosen = Experiment.load("tiny", overrides=options)
    folders = tuple(str(root / name) for name in ("horses", "zebras"))
    with tiny.one_thread():
        tiny.train(
            chosen.replace(data__folders=folders, data__domains=("horses", "zebras")),
            root / how,
            device="cpu",
            workers=0,
        )
        return {to: (error(root / how, to, planted.RARE), error(root / how, to, None)) for to in ("zebras", "horses")}


def error(run: Path, to: str, ground: str | None) -> float:
    animals: list[Animal] = ["horse", "zebra"] if to == "zebras" else ["zebra", "horse"]
    grounds = [ground or planted.ORDINARY[i % len(planted.ORDINARY)] for i in range(100)]
    scenes = [draw_scene(random.Random(seed_for(999, str(g), i)), ground=g) for i, g in enumerate(grounds)]
    before, after = ([paint(scene, animal, size=32) for scene in scenes] for animal in animals)
    found = list(Translator.load(run / "weights/last.safetensors", to=to, device="cpu").stream(before))
    return float(np.abs(np.stack(found).astype(float) - np.stack(after)).mean())
