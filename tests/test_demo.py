"""The demonstration, and the translator that comes with the program."""

import hashlib
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from cyclegan import Translator
from cyclegan.cli import app
from cyclegan.cli.display import Display
from cyclegan.cli.edge import guarded
from cyclegan.demo import show
from cyclegan.media.image import read_picture


def test_the_demonstration_runs_and_shows_its_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "COUNT", 24)
    monkeypatch.setattr(show, "TESTED", 6)
    options = ["--set", "training.images=4", "--set", "data.size=32", "--device", "cpu", "--json"]
    monkeypatch.setattr("sys.argv", ["styl", "demo", "-o", str(tmp_path / "demo"), *options])
    with pytest.raises(SystemExit) as left:
        guarded(app)
    out, err = capfd.readouterr()
    assert left.value.code == 0, err
    summary = json.loads(out)
    sheet = read_picture(Path(summary["sheet"])).pixels
    assert sheet.shape[1] > 6 * 128
    assert set(summary["errors"]) == {"zebras", "horses"}
    assert Translator.load(summary["run"], to="zebras", device="cpu").source == "horses"


def test_a_demonstration_that_is_stopped_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(show, "COUNT", 24)
    monkeypatch.setattr(show, "TESTED", 6)
    options = ["--set", "training.images=8", "--set", "data.size=32", "--set", "every.log=2", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["styl", "demo", "-o", str(tmp_path / "demo"), *options])
    once = [signal.SIGTERM]  # a second signal would end the process at once
    trained = lambda _, line: "losses" in line and once and signal.raise_signal(once.pop())  # noqa: E731
    monkeypatch.setattr(Display, "show", trained)
    with pytest.raises(SystemExit) as left:
        guarded(app)
    out, err = capfd.readouterr()
    assert (left.value.code, out) == (143, "")
    assert "the same command goes on" in err
    with pytest.raises(SystemExit) as left:
        guarded(app)
    assert left.value.code == 0
    assert "contact sheet" in capfd.readouterr().out


def test_left_error_is_the_share_of_leaving_alone() -> None:
    real, true = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 100, np.uint8)
    halfway = np.full((2, 4, 4, 3), 60, np.uint8)
    assert show.left_error((list(real), list(halfway), list(true))) == pytest.approx(0.4)
    assert show.left_error((list(real), list(real), list(true))) == pytest.approx(1.0)


@pytest.mark.parametrize(("animal", "bound"), [("horse", 0.5), ("zebra", 0.5)])
def test_the_translator_on_the_shelf_paints_the_true_counterpart(animal: show.Animal, bound: float) -> None:
    held_back = show.measure("painted-horses", animal, seed=7, size=64, device="cpu")
    assert show.left_error(held_back) <= bound


def test_its_model_card_names_the_very_file() -> None:
    weights = Path(__file__).parents[1] / "weights"
    digest = hashlib.sha256((weights / "painted-horses.safetensors").read_bytes()).hexdigest()
    assert digest in (weights / "README.md").read_text("utf-8")
