"""styl evaluate: figures of known translators, the size of the training, damage named, one JSON."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import cyclegan.cli as cli
from cyclegan.checkpoint import Checkpoint
from cyclegan.experiment import Data, Experiment
from cyclegan.files import Job
from cyclegan.media.image import read_rgb
from cyclegan.metrics.distances import fid, kid, kid_of_subsets
from cyclegan.metrics.features import load_features
from cyclegan.networks import NETWORKS
from cyclegan.training.augment import Geometry
from cyclegan.translation.evaluate import Size, evaluate, load_ways, size_of
from cyclegan.translation.progress import Progress

OPTIONS: dict[str, Any] = {"width": 1, "blocks": 1}


def furnish(folder: Path, count: int, *, colour: tuple[int, int, int], seed: int) -> None:
    """Write pictures of 48 × 40 and 40 × 56 pixels, of one colour and much grain."""
    folder.mkdir()
    chance = np.random.default_rng(seed)
    for i in range(count):
        shape = (40, 48, 3) if i % 3 else (56, 40, 3)
        pixels = np.array(colour) + chance.normal(0, 25, shape) + chance.normal(0, 20, 3)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i:02}.png")


def constant(value: float, *, seed: int) -> dict[str, Tensor]:
    """Return a translator that paints everything in one shade, whatever it sees."""
    torch.manual_seed(seed)
    state = NETWORKS["resnet"](**OPTIONS).state_dict()
    state["head.conv.weight"].zero_()
    state["head.conv.bias"].fill_(float(torch.atanh(torch.tensor(value))))
    return state


def model(path: Path, *, back: bool = True, size: int | None = 32, fit: str = "cover") -> Path:
    routes = [["apple", "orange", "G"], ["orange", "apple", "F"]][: 1 + back]
    about: dict[str, Any] = {
        "kind": "translator",
        "domains": ["apple", "orange"],
        "routes": routes,
        "networks": {name: {"name": "resnet", **OPTIONS} for _, _, name in routes},
        "codec": {"name": "pictures", "channels": 3},
        "images": 0,
    }
    if size:
        experiment = Experiment.load("tiny", overrides=[f"data.size={size}", f"data.fit={fit}"])
        about["experiment"] = experiment.toml()
    tensors = {f"G.{name}": t for name, t in constant(0.2, seed=0).items()}
    tensors |= {f"F.{name}": t for name, t in constant(-0.2, seed=1).items()} if back else {}
    Checkpoint(about, tensors).save(path)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STYL_FEATURES", raising=False)
    furnish(tmp_path / "apples", 12, colour=(160, 60, 50), seed=0)
    furnish(tmp_path / "oranges", 10, colour=(200, 130, 40), seed=1)
    model(tmp_path / "model.safetensors")
    return tmp_path


def styl(*arguments: str) -> tuple[int, str, str]:
    """Run styl in this process; return exit code, standard output, standard error."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr("sys.argv", ["styl", *arguments])
        out = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        err = stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        with pytest.raises(SystemExit) as left:
            cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code, out.getvalue(), err.getvalue()


FOLDERS = ("--source", "apples", "--target", "oranges", "--device", "cpu")


def figures(*arguments: str) -> dict[str, Any]:
    code, out, err = styl("evaluate", *arguments, *FOLDERS, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def seen(folder: Path, size: Size) -> Tensor:
    """Return a folder's pictures as the middle squares."""
    read = [torch.from_numpy(np.array(read_rgb(path))).permute(2, 0, 1)[None] for path in sorted(folder.iterdir())]
    return torch.cat([size(picture) for picture in read])


def test_figures_of_a_translator_that_paints_one_shade(place: Path) -> None:
    found = figures("model.safetensors", "--features", "own", "--kid-size", "5")
    features, size = load_features("own"), Size(32)
    apples, oranges = seen(place / "apples", size), seen(place / "oranges", size)
    shade = torch.full_like(apples, 153)  # 0.2 of [-1, 1]
    real, fake, before = features(oranges), features(shade), features(apples)

    assert (found["from"], found["to"], found["sources"], found["targets"]) == ("apple", "orange", 12, 10)
    assert (found["kid"], found["kid_std"]) == pytest.approx(kid(fake, real), rel=1e-6)
    assert found["fid"] == pytest.approx(fid(fake, real), rel=1e-6)
    assert found["untranslated"]["kid"] == pytest.approx(kid(before, real)[0], rel=1e-6)
    assert found["untranslated"]["fid"] == pytest.approx(fid(before, real), rel=1e-6)
    subsets = kid_of_subsets(fake, real, size=5)
    assert found["kid_subsets"] == {"size": 5, "mean": pytest.approx(subsets[0]), "std": pytest.approx(subsets[1])}
    assert found["diversity"] == pytest.approx(0, abs=1e-6)
    assert found["change"] == pytest.approx(float((apples.double() - 153).abs().mean()))
    assert found["cycle"] == pytest.approx(float((apples.double() - 102).abs().mean()))  # -0.2 of [-1, 1]
    assert found["damaged"] == []
    protocol = found["protocol"]
    assert protocol["features"] == "own"
    assert protocol["resize"] == "pytorch-fid"
    assert protocol["pictures"] == "32 × 32, the middle square, 8 bits"
    assert protocol["protocol"] == features.protocol


def test_the_other_way_and_no_way_back(place: Path) -> None:
    found = figures("model.safetensors", "--to", "apple")
    assert (found["from"], found["to"]) == ("orange", "apple")
    assert found["change"] == pytest.approx(float((seen(place / "apples", Size(32)).double() - 102).abs().mean()))
    model(place / "one.safetensors", back=False, size=None)
    found = figures("one.safetensors")
    assert found["cycle"] is None
    assert found["protocol"]["pictures"] == "each at its own size, 8 bits"


def test_without_a_model_the_distance_of_the_folders(place: Path) -> None:
    found = figures()
    assert found["kid"] == found["untranslated"]["kid"]
    assert found["fid"] == found["untranslated"]["fid"]
    assert (found["change"], found["cycle"], found["model"]) == (None, None, None)
    features = load_features("own")
    sets = [
        torch.cat([features(torch.from_numpy(np.array(Image.open(p))).permute(2, 0, 1)[None]) for p in folder])
        for folder in (sorted((place / "apples").iterdir()), sorted((place / "oranges").iterdir()))
    ]
    assert found["kid"] == pytest.approx(kid(*sets)[0], rel=1e-5)


def test_people_read_kid_in_thousandths(place: Path) -> None:
    found = figures("model.safetensors")
    code, out, err = styl("evaluate", "model.safetensors", *FOLDERS)
    assert code == 0
    assert out.startswith(f"KID {1000 * found['kid']:.2f} ± {1000 * found['kid_std']:.2f} (× 1000), FID")
    assert "12 and 10 pictures" in out
    assert len(out.splitlines()) == 1
    assert "model.safetensors: 12 and 10 pictures, own" in err


def test_translations_are_kept_and_damage_is_named(place: Path) -> None:
    (place / "apples" / "03.png").write_bytes(b"no picture")
    (place / "oranges" / "04.png").write_bytes((place / "oranges" / "04.png").read_bytes()[:200])
    code, out, err = styl("evaluate", "model.safetensors", *FOLDERS, "--save", "kept", "--size", "20", "--json")
    found = json.loads(out)
    assert code == 1
    assert (found["sources"], found["targets"]) == (11, 9)
    assert len(found["damaged"]) == 2
    assert "left out: apples/03.png" in err
    assert "left out: oranges/04.png" in err
    kept = sorted((place / "kept").iterdir())
    assert [path.name for path in kept] == [f"{i:02}.png" for i in range(12) if i != 3]
    assert all(read_rgb(path).shape == (20, 20, 3) and (read_rgb(path) == 153).all() for path in kept)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--to", "orange"), "--to needs a model"),
        (("--save", "kept"), "--save needs a model"),
        (("model.safetensors", "--to", "pear"), "--to pear"),
        (("model.safetensors", "--kid-size", "11"), "--kid-size 11: subsets of 2 to 10 pictures"),
        (("model.safetensors", "--resize", "clean"), "--resize clean: not known"),
        (("model.safetensors", "--features", "missing.pth"), "missing.pth: cannot be read"),
        (("model.safetensors", "--save", "apples"), "would overwrite the input"),
        (("nothing.safetensors",), "no such file or run folder"),
    ],
)
def test_mistakes_are_said_in_two_lines(place: Path, arguments: tuple[str, ...], why: str) -> None:
    code, out, err = styl("evaluate", *arguments, *FOLDERS)
    lines = [line for line in err.splitlines() if not line.startswith("model.safetensors: 12")]
    assert (code, out) == (2, "")
    assert why in lines[0]
    assert len(lines) <= 2


def test_too_few_pictures(place: Path) -> None:
    for path in sorted((place / "oranges").iterdir())[2:]:
        path.write_bytes(b"no picture")
    code, _, err = styl("evaluate", *FOLDERS)
    assert code == 2
    assert "--target: 2 pictures can be read; oranges/" in err


@pytest.mark.parametrize("fit", ["cover", "stretch"])
@pytest.mark.parametrize("shape", [(40, 48), (57, 40), (32, 32), (20, 31), (3, 400)])
def test_pictures_are_seen_as_the_training_saw_them(tmp_path: Path, fit: Any, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    size = size_of(model(tmp_path / "model.safetensors", fit=fit))
    assert size == Size(32, fit)
    found = size(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]
    assert torch.equal(found, Geometry(Data(size=32, fit=fit)).fixed(pixels))


def test_order_and_batches_change_nothing(place: Path) -> None:
    there, back = load_ways(place / "model.safetensors", to=None, device="cpu")
    targets = sorted((place / "oranges").iterdir())
    jobs = [Job(path, path) for path in sorted((place / "apples").iterdir())]
    how: dict[str, Any] = {
        "there": there,
        "back": back,
        "features": load_features("own"),
        "size": Size(),
        "progress": Progress(),
    }
    first, second = evaluate(jobs, targets, **how), evaluate(jobs[::-1], targets[::-1], **how)
    assert (first.kid, first.fid, first.cycle) == pytest.approx((second.kid, second.fid, second.cycle), rel=1e-5)
