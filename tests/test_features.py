"""Features of pictures: torch-fidelity's and the SqueezeNet's numbers, files that do not fit, and the one download."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from cyclegan.errors import CheckpointError, StylError, UsageError
from cyclegan.metrics import download, inception, squeezenet
from cyclegan.metrics.distances import fid, kid, kid_of_subsets
from cyclegan.metrics.features import load_features

SHARED = Path(__file__).parents[2] / "shared/data"


def pictures(count: int, *, height: int, width: int, seed: int, mood: float = 0.0) -> Tensor:
    """Draw soft, coloured noise, uint8 (N, 3, H, W): every picture with a colour of its own."""
    chance = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=chance) * 120 + torch.rand(count, 3, 1, 1, generator=chance) * 90
    soft = torch.nn.functional.interpolate(coarse + mood, size=(height, width), mode="bicubic")
    grain = torch.randn(count, 3, height, width, generator=chance) * 4
    return (soft + grain).clamp(0, 255).to(torch.uint8)


# ------------------------------------------------------------------------------------------------------- Inception


def random_weights() -> dict[str, Tensor]:
    """Return weights that keep differences between pictures alive through 48 layers."""
    chance = torch.Generator().manual_seed(1)
    state = {}
    for name, t in inception._body().state_dict().items():
        if name.endswith("conv.weight"):
            state[name] = torch.randn(t.shape, generator=chance) * (2 / t[0].numel()) ** 0.5
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        else:  # statistics and scales of the norms
            spread = torch.rand(t.shape, generator=chance) * 0.4 - 0.2
            state[name] = spread + float(name.endswith(("bn.weight", "running_var")))
    return state | {"fc.weight": torch.ones(1008, 2048), "fc.bias": torch.ones(1008)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(random_weights(), path)
    return path


def theirs(weights: Path, seen: Tensor) -> Tensor:
    network = FeatureExtractorInceptionV3("theirs", ["2048"], feature_extractor_weights_path=str(weights))
    features: Tensor = network(seen)[0]
    return features.double()


@pytest.mark.parametrize(("height", "width"), [(299, 299), (61, 90)])
def test_inception_is_that_of_torch_fidelity(weights: Path, height: int, width: int) -> None:
    fakes = pictures(9, height=height, width=width, seed=1, mood=40)
    reals = pictures(8, height=height, width=width, seed=2)
    features = load_features(str(weights), resize="torch-fidelity")
    ours = [features(fakes), features(reals)]
    right = [theirs(weights, fakes), theirs(weights, reals)]

    for mine, other in zip(ours, right, strict=True):
        assert mine.shape == (len(other), 2048)
        assert mine.dtype == torch.float64
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4 * float(other.abs().mean()))
        assert float(other.std(0).mean() / other.mean()) > 0.02, "pictures that look alike would prove nothing"

    found = kid_features_to_metric(*right, kid_subsets=100, kid_subset_size=6, verbose=False)
    expected = found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]
    assert kid_of_subsets(ours[0], ours[1], size=6) == pytest.approx(expected, rel=1e-4)
    some = [fid_features_to_statistics(r[:, :256]) for r in right]  # its eigenvalues of all 2048 take minutes
    distance = fid_statistics_to_metric(*some, verbose=False)["frechet_inception_distance"]
    assert fid(ours[0][:, :256], ours[1][:, :256]) == pytest.approx(distance, rel=1e-4)


def test_inception_is_named_with_its_weights_and_its_resizing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYL_FEATURES", str(weights))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    for source in ("auto", "inception"):
        features = load_features(source, resize="clean-fid")
        assert features.name == "inception"
        assert features.protocol == (
            f"inception: 299 px as clean-fid, Inception 2015-12-05, weights {digest} (not the published weights)"
        )


def test_resizing_of_clean_fid_is_that_of_pillow_on_floats() -> None:
    seen = pictures(1, height=400, width=123, seed=3)
    bands = [Image.fromarray(band.numpy().astype(np.float32)) for band in seen[0]]
    expected = np.stack([np.asarray(band.resize((299, 299), Image.Resampling.BICUBIC)) for band in bands])
    mine = inception.RESIZINGS["clean-fid"](seen.float())[0].numpy() * 128 + 128
    assert np.abs(mine - expected.clip(0, 255)).max() < 1e-3


def test_what_the_resizings_do_to_a_step() -> None:
    """Two pixels, dark and light, become 299: where the middle lies tells the alignment, the ends tell the range."""
    step = torch.tensor([0.0, 255.0]).expand(1, 3, 2, 2)
    rows = {name: resize(step)[0, 0, 0] for name, resize in inception.RESIZINGS.items()}
    middle = {name: int((row < row.mean() * 0 + (row[0] + row[-1]) / 2).sum()) for name, row in rows.items()}
    assert middle == {"pytorch-fid": 149, "clean-fid": 149, "torch-fidelity": 75}
    assert rows["pytorch-fid"][[0, -1]].tolist() == [-1, 1]
    assert rows["torch-fidelity"][[0, -1]].tolist() == [-1, 127 / 128]
    assert rows["clean-fid"][[0, -1]].tolist() == [-1, 127 / 128]


# ------------------------------------------------------------------------------------------------------ SqueezeNet


def small_net() -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(2)

    def layer(name: str, n_in: int, n_out: int, side: int) -> dict[str, Tensor]:
        weight = torch.randn(n_out, n_in, side, side, generator=chance) * (2 / (n_in * side * side)) ** 0.5
        return {f"features.{name}.weight": weight, f"features.{name}.bias": torch.full((n_out,), 0.01)}

    state = layer("0", 3, 96, 7)
    wide = 96
    for i, squeezed in zip(squeezenet._FIRES, (16, 16, 32, 32, 48, 48, 64, 64), strict=True):
        state |= layer(f"{i}.squeeze", wide, squeezed, 1)
        state |= layer(f"{i}.expand1x1", squeezed, 4 * squeezed, 1) | layer(f"{i}.expand3x3", squeezed, 4 * squeezed, 3)
        wide = 8 * squeezed
    return state


def test_squeezenet_sees_the_middle_square_as_pillow_makes_it(tmp_path: Path) -> None:
    seen = pictures(2, height=80, width=121, seed=4)
    image = Image.fromarray(seen[1].permute(1, 2, 0).numpy())
    square = image.crop((20, 0, 100, 80)).resize((227, 227), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[[2, 1, 0]]
    assert torch.equal(squeezenet._prepared(seen)[1], expected.float())

    safetensors.torch.save_file(small_net(), tmp_path / "net.safetensors")
    features = load_features(str(tmp_path / "net.safetensors"))
    found = features(seen)
    assert features.name == "squeezenet"
    assert found.shape == (2, 512)
    torch.testing.assert_close(found.norm(dim=1), torch.full((2,), 512**0.5, dtype=torch.float64))
    torch.testing.assert_close(features(seen[:, :, :, 20:100]), found)
    torch.save({"state_dict": small_net()}, tmp_path / "net.pth")
    torch.testing.assert_close(load_features(str(tmp_path / "net.pth"))(seen), found, rtol=0, atol=0)


@pytest.mark.skipif(not (SHARED / "features").is_dir(), reason="the shared weights are not here")
def test_squeezenet_measures_as_the_script_beside_the_checkout_does() -> None:
    import importlib.util

    place = SHARED.parent / "measure/squeeze_kid.py"
    described = importlib.util.spec_from_file_location("squeeze_kid", place)
    assert described
    assert described.loader
    script: Any = importlib.util.module_from_spec(described)
    described.loader.exec_module(script)

    weights = SHARED / "features/squeezenet1_0_caffe.pth"
    features = load_features(str(weights))
    state = torch.load(weights, weights_only=True)
    sets = []
    for name in ("testA", "testB"):
        paths = sorted((SHARED / "images/apple2orange" / name).iterdir())[:12]
        mine = [
            features(torch.from_numpy(np.array(Image.open(p).convert("RGB"))).permute(2, 0, 1)[None]) for p in paths
        ]
        with torch.no_grad():
            right = torch.stack([script_features(script, state, p) for p in paths])
        torch.testing.assert_close(torch.cat(mine) / 512**0.5, right, rtol=1e-6, atol=1e-7)
        sets.append((torch.cat(mine), right))
    (a, a_right), (b, b_right) = sets
    assert kid(a, b)[0] == pytest.approx(script.kid(a_right, b_right) / 1000, rel=1e-6)


def script_features(script: Any, state: dict[str, Tensor], path: Path) -> Tensor:
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((227, 227), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[[2, 1, 0]].float()[None]
    found: Tensor = script.features(state, x - torch.tensor([104.0, 117.0, 123.0])[None, :, None, None])[0].double()
    return found / found.norm()


# -------------------------------------------------------------------------------------------- ours, and what is refused


def test_own_features_need_nothing_and_are_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STYL_FEATURES", raising=False)
    seen = pictures(40, height=50, width=70, seed=5)
    features = load_features()
    found = features(seen)
    assert features.name == "own"
    assert features.protocol.startswith("own")
    assert found.dtype == torch.float64
    torch.manual_seed(3)
    assert torch.equal(load_features("own")(seen), found)
    torch.testing.assert_close(torch.cat([features(s[None]) for s in seen[:5]]), found[:5], rtol=1e-5, atol=1e-5)
    assert features(pictures(1, height=300, width=17, seed=6)).shape == found[:1].shape
    assert features(pictures(1, height=1, width=1, seed=6)).isfinite().all()


def test_own_features_tell_what_people_can_tell() -> None:
    features = load_features("own")
    reals = features(pictures(60, height=64, width=64, seed=7))
    alike = pictures(60, height=64, width=64, seed=8)
    soft = torch.nn.functional.avg_pool2d(alike.float(), 5, stride=1, padding=2).to(torch.uint8)
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 24
    grid = (alike.float() + board - 12).clamp(0, 255).to(torch.uint8)
    changed = {
        "soft": soft,
        "grid": grid,
        "inverted": 255 - alike,
        "one for all": alike[:1].expand(60, -1, -1, -1),
    }
    level, error = kid(features(alike), reals)
    for name, seen in changed.items():
        assert kid(features(seen), reals)[0] > level + 5 * error, name


def refused(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    state = small_net()
    del state["features.7.squeeze.bias"]
    torch.save(state, tmp_path / "lacking.pth")
    yield tmp_path / "lacking.pth", "do not fit.*features.7.squeeze.bias"
    short = random_weights()
    short["Conv2d_1a_3x3.conv.weight"] = torch.ones(2, 2)
    torch.save(short, tmp_path / "shapes.pth")
    yield tmp_path / "shapes.pth", "do not fit.*Conv2d_1a_3x3.conv.weight"
    torch.save({"layer.weight": torch.ones(3)}, tmp_path / "other.pth")
    yield tmp_path / "other.pth", "no known feature network"
    (tmp_path / "cut.safetensors").write_bytes(safetensors.torch.save(small_net())[:-9])
    yield tmp_path / "cut.safetensors", "truncated or damaged"
    torch.save({"hook": functools.partial(print, "no")}, tmp_path / "code.pth")
    yield tmp_path / "code.pth", "holds code"
    yield tmp_path / "missing.pth", "cannot be read"


def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    for path, why in refused(tmp_path):
        with pytest.raises(CheckpointError, match=rf"{path.name}: .*{why[:1]}") as caught:
            load_features(str(path))
        assert caught.match(why)
        assert "\n" not in caught.value.what
        assert caught.value.hint


def test_names_that_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--features inceptoin: not known"):
        load_features("inceptoin")
    with pytest.raises(UsageError, match="--resize clean: not known"):
        load_features("own", resize="clean")
    torch.save(small_net(), tmp_path / "net.pth")
    monkeypatch.setenv("STYL_FEATURES", str(tmp_path / "net.pth"))
    assert load_features().name == "squeezenet"
    assert load_features("own").name == "own"
    with pytest.raises(UsageError, match="not Inception but squeezenet"):
        load_features("inception")


# ---------------------------------------------------------------------------------------------------- the download

CONTENT = bytes(range(256)) * 40_000  # some ten megabytes
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header(
                "Location", "file:///etc/passwd" if self.path == "/away-file" else "http://example.org/a?token=1"
            )
            self.end_headers()
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
        elif self.path == "/gone":
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            content = {"/cut": CONTENT[:-1000], "/wrong": b"x" + CONTENT[1:], "/endless": CONTENT * 2}
            self.wfile.write(content.get(self.path, CONTENT))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("STYL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def fetch(url: str, *, size: int = len(CONTENT), told: list[str] | None = None) -> Path:
    tell = told.append if told is not None else lambda _: None
    return download.fetch(url, DIGEST, size, "weights.pth", tell=tell)


def test_a_file_is_fetched_once_and_again_when_it_rots(server: str, tmp_path: Path) -> None:
    told: list[str] = []
    path = fetch(f"{server}/moved", told=told)
    assert path == tmp_path / "home/features/weights.pth"
    assert path.read_bytes() == CONTENT
    assert told == [f"fetching 10 MB, once: {server}/moved"]
    assert fetch("https://nowhere.invalid/a") == path, "what is there needs no network"
    path.write_bytes(b"y" + CONTENT[1:])
    fetch(f"{server}/whole")
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("wrong", "not the published file"),
        ("cut", "10,239,000 of 10,240,000 bytes came"),
        ("gone", "cannot be fetched: Not Found"),
        ("away-file", "cannot be fetched: Found"),
        ("away-http", "not an https address"),
    ],
)
def test_what_is_not_the_file_leaves_nothing_behind(server: str, tmp_path: Path, page: str, why: str) -> None:
    with pytest.raises(StylError, match=why) as caught:
        fetch(f"{server}/{page}")
    assert "--features FILE, or $STYL_FEATURES" in caught.value.hint
    assert not list((tmp_path / "home").rglob("*.*"))


def test_a_longer_file_is_not_read_to_its_end(server: str) -> None:
    with pytest.raises(StylError, match="more than the 1,000,000 bytes came"):
        fetch(f"{server}/whole", size=1_000_000)


def test_no_server_and_no_safe_address(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StylError, match=r"cannot be fetched: .*refused") as caught:
        fetch("http://127.0.0.1:9/weights")
    assert "$STYL_FEATURES" in caught.value.hint
    for url in ("http://example.org/weights", "ftp://127.0.0.1/weights", "file:///etc/passwd"):
        with pytest.raises(StylError, match="not an https address"):
            fetch(url)
    monkeypatch.delenv("STYL_FEATURES", raising=False)
    monkeypatch.setattr(inception, "URL", f"{server}/whole")
    with pytest.raises(StylError, match="10,240,000 of 95,628,359 bytes came"):
        load_features("inception")
