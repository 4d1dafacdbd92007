"""Exported models: the very pictures of torch, at any size, in files that describe themselves and notice damage."""

import dataclasses
import io
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from torch import Tensor, nn

import cyclegan
from cyclegan import Translator, cli
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli.edge import guarded
from cyclegan.codecs import Pictures
from cyclegan.errors import CheckpointError, OutOfMemory, StylError, UsageError
from cyclegan.networks import NETWORKS
from cyclegan.translation import export as exporting
from cyclegan.translation import formats
from cyclegan.translation.export import Outcome, export
from cyclegan.translation.exported import load_onnx

SUFFIX = {"onnx": ".onnx", "pt2": ".pt2", "openvino": ".xml"}
PLAIN: dict[str, Any] = {"name": "resnet", "width": 4, "blocks": 1}
WANTED: dict[str, dict[str, Any]] = {
    "nearest": {
        **PLAIN,
        "resample": "nearest",
        "output": "residual",
        "norm": "instance-affine",
        "separable": True,
        "widths": (3, 5, 8, 6, 7, 4),
    },
    "antialiased": {**PLAIN, "resample": "antialiased", "norm": "batch", "padding": "zero"},
}
UNET: dict[str, Any] = {"name": "unet", "width": 4, "depth": 3}
MORE: dict[str, dict[str, Any]] = {
    "plain": PLAIN,
    "separable": {**PLAIN, "separable": True, "padding": "zero"},
    "dropout": {**PLAIN, "blocks": 3, "dropout": 0.5, "norm": "batch", "output": "residual"},
    "no norm": {**PLAIN, "norm": "none", "resample": "antialiased"},
    "unet": UNET,
    "unet of 256": {"name": "unet", "width": 2, "depth": 8, "dropout": 0.5},
    "unet, batch": {"name": "unet", "width": 4, "depth": 2, "norm": "batch"},
    "unet, affine": {"name": "unet", "width": 4, "depth": 1, "norm": "instance-affine"},
    **WANTED,
}
SIZES = [(17, 31), (8, 8), (40, 24), (1, 5)]


PICTURES = Pictures()


class Half(nn.Module):
    """Makes everything greyer, and says which sizes it takes."""

    multiple, smallest = 4, 8

    def forward(self, x: Tensor) -> Tensor:
        return x / 2


def lively(options: dict[str, Any]) -> nn.Module:
    """Return a network whose every number matters: weights, biases, and the statistics of batch norms."""
    network = NETWORKS[options["name"]](**{k: v for k, v in options.items() if k != "name"})
    chance = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            scale = 1 / max(1, tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.3
            drawn = torch.randn(tensor.shape, generator=chance) * scale
            tensor.copy_(drawn.abs() + 0.5 if "norm" in name and not name.endswith("bias") else drawn)
    return network.eval()


def saved(path: Path, options: dict[str, Any], **changes: Any) -> Path:
    about = {
        "kind": "translator",
        "domains": ["horses", "zebras"],
        "routes": [["horses", "zebras", "G"], ["zebras", "horses", "F"]],
        "networks": {"G": options, "F": options},
        "codec": {"name": "pictures", "channels": 3},
        "images": 7,
        "trained_at": 64,
    }
    state = lively(options).state_dict()
    tensors = {f"{n}.{key}": t * s for n, s in (("G", 1), ("F", 1.1)) for key, t in state.items()}
    Checkpoint(about | changes, tensors).save(path)
    return path


def noise(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


Make = Callable[..., Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("exports") / "weights.safetensors", PLAIN).parent


@pytest.fixture(scope="module")
def made(place: Path) -> Callable[..., Outcome]:
    """Export the plain network, once in every way that is asked for."""
    done = dict[tuple[Any, ...], Outcome]()

    def make(format: str, *, uint8: bool = False) -> Outcome:
        if (format, uint8) not in done:
            target = place / f"{format}-{uint8}{SUFFIX[format]}"
            done[format, uint8] = export(place / "weights.safetensors", target, format=format, uint8=uint8)
        return done[format, uint8]

    return make


def assert_same_pictures(path: Path, weights: Path, *, to: str = "zebras") -> None:
    """Hold an exported model against its weights: pictures of odd sizes, batches of tensors."""
    theirs, ours = (Translator.load(name, to=to, device="cpu") for name in (path, weights))
    assert (theirs.source, theirs.target, theirs.trained_at) == (ours.source, ours.target, ours.trained_at)
    for height, width in SIZES:
        frame = noise(height, width)
        apart = np.abs(theirs(frame).astype(int) - ours(frame))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01
    batch = torch.rand(3, 3, 20, 9) * 2 - 1
    # Far from the edges of so small a picture all is repeated, and norms of nothing amplify rounding.
    torch.testing.assert_close(theirs(batch), ours(batch), rtol=0, atol=5e-4)


# --- what comes out


@pytest.mark.parametrize("name", WANTED)
def test_every_network_translates_alike_from_onnx(name: str, tmp_path: Path) -> None:
    weights = saved(tmp_path / "w.safetensors", WANTED[name])
    outcome = export(weights, tmp_path / "w.onnx", format="onnx")
    assert outcome.agreement.good
    assert_same_pictures(tmp_path / "w.onnx", weights)


@pytest.mark.slow
@pytest.mark.parametrize("uint8", [False, True])
@pytest.mark.parametrize("format", SUFFIX)
@pytest.mark.parametrize("name", MORE)
def test_every_network_in_every_format(name: str, format: str, uint8: bool, tmp_path: Path) -> None:
    weights = saved(tmp_path / "w.safetensors", MORE[name])
    outcome = export(weights, tmp_path / f"w{SUFFIX[format]}", format=format, uint8=uint8)
    assert outcome.agreement.good
    assert outcome.agreement.off < 0.001
    if format != "pt2" and not uint8:
        assert_same_pictures(outcome.files[-1], weights)


@pytest.mark.parametrize("format", SUFFIX)
def test_every_format_agrees_with_torch_and_says_how_far(format: str, made: Callable[..., Outcome]) -> None:
    outcome = made(format)
    shapes = outcome.agreement.shapes
    assert len(set(shapes)) == 3
    assert any(height != width for _, _, height, width in shapes)
    assert any(count == 2 for count, *_ in shapes)
    assert outcome.agreement.difference is not None
    assert outcome.agreement.difference <= 1e-4
    assert (outcome.source, outcome.target, outcome.uint8) == ("horses", "zebras", False)
    assert outcome.size == sum(path.stat().st_size for path in outcome.files)


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_an_exported_model_is_as_good_as_its_weights(format: str, made: Callable[..., Outcome], place: Path) -> None:
    assert_same_pictures(made(format).files[-1], place / "weights.safetensors")


def test_onnx_takes_any_number_and_size_without_us(made: Callable[..., Outcome], place: Path) -> None:
    session = onnxruntime.InferenceSession(made("onnx").files[0], providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.shape, taken.type) == ("input", ["batch", 3, "height", "width"], "tensor(float)")
    assert (given.name, given.shape, given.type) == ("output", ["batch", 3, "height", "width"], "tensor(float)")
    network = Translator.load(place / "weights.safetensors", device="cpu").paint.network
    for shape in [(1, 3, 8, 8), (5, 3, 12, 8), (2, 3, 8, 40)]:
        x = torch.rand(shape) * 2 - 1
        (found,) = session.run(None, {"input": x.numpy()})
        with torch.inference_mode():
            assert np.abs(found - network(x).numpy()).max() <= 1e-4


def test_levels_in_and_out_are_those_of_the_codec(made: Callable[..., Outcome], place: Path) -> None:
    outcome = made("onnx", uint8=True)
    assert outcome.agreement.difference is None
    assert outcome.agreement.levels <= 1
    session = onnxruntime.InferenceSession(outcome.files[0], providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == session.get_outputs()[0].type == "tensor(uint8)"
    ours = Translator.load(place / "weights.safetensors", device="cpu")
    frames = torch.from_numpy(noise(64, 96)).permute(2, 0, 1)[None]
    (found,) = session.run(None, {"input": frames.numpy()})
    apart = np.abs(found.astype(int) - ours(frames).numpy())
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.001, "another rounding would change more"
    theirs = Translator.load(outcome.files[0], device="cpu")
    assert np.array_equal(theirs(frames).numpy(), found)
    floating = PICTURES.encode(frames)
    assert torch.equal(PICTURES.decode(theirs(floating + 0.4 / 127.5)), theirs(frames)), "numbers become levels"


def test_torch_reads_pt2_by_itself(made: Callable[..., Outcome], place: Path) -> None:
    told = {"styl": ""}
    with warnings.catch_warnings(action="ignore"):
        program = torch.export.load(io.BytesIO(made("pt2").files[0].read_bytes()), extra_files=told).module()
    assert json.loads(told["styl"])["target"] == "zebras"
    network = Translator.load(place / "weights.safetensors", device="cpu").paint.network
    x = torch.rand(1, 3, 8, 12)
    torch.testing.assert_close(program(x), network(x), rtol=0, atol=1e-5)


def test_files_say_what_they_are_and_nothing_of_this_machine(made: Callable[..., Outcome]) -> None:
    model = onnx.load(made("onnx").files[0])
    (entry,) = model.metadata_props
    about = json.loads(entry.value)
    assert len(about.pop("sha256")) == 64
    assert about == {
        "format": 1,
        "source": "horses",
        "target": "zebras",
        "codec": {"name": "pictures", "channels": 3},
        "channels": 3,
        "trained_at": 64,
        "multiple": 4,
        "smallest": 8,
        "uint8": False,
        "images": 7,
    }
    assert {node.domain for node in model.graph.node} == {""}, "any runtime knows these"
    assert not any(node.metadata_props for node in model.graph.node)
    here = str(Path(cyclegan.__file__).parent).encode()
    for format in SUFFIX:
        for path in made(format).files:
            assert here not in path.read_bytes()


def test_it_streams_films_and_pictures_as_weights_do(made: Callable[..., Outcome], place: Path) -> None:
    theirs, ours = (Translator.load(p, device="cpu") for p in (made("onnx").files[0], place / "weights.safetensors"))
    frames = [noise(16, 16, i) for i in range(5)] + [noise(12, 17, 9)]
    for a, b in zip(theirs.stream(frames, batch=3), ours.stream(frames, batch=3), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
    image = Image.fromarray(np.dstack([noise(20, 30), noise(20, 30)[..., 0]]))
    assert theirs(image).mode == "RGBA"
    assert np.abs(np.asarray(theirs(image)).astype(int) - np.asarray(ours(image))).max() <= 1


def test_a_far_larger_picture_is_scaled_and_told_of(made: Callable[..., Outcome]) -> None:
    told = list[str]()
    translator = Translator.load(made("onnx").files[0], device="cpu", tell=told.append)
    assert translator(noise(300, 310)).shape == (300, 310, 3)
    assert "learnt at 64 pixels" in told[0]


# --- what is refused


def flipped(blob: bytes, place: int) -> bytes:
    return blob[:place] + bytes([blob[place] ^ 4]) + blob[place + 1 :]


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_a_flipped_bit_is_noticed_wherever_it_is(format: str, made: Callable[..., Outcome], tmp_path: Path) -> None:
    blobs = {tmp_path / f"x{path.suffix}": path.read_bytes() for path in made(format).files}
    for path, blob in blobs.items():
        for other, whole in blobs.items():
            other.write_bytes(whole)
        last = len(blob) - 1
        for place in {*range(0, last, last // 25), last, *range(max(0, last - 250), last, 13)}:
            path.write_bytes(flipped(blob, place))
            with pytest.raises(CheckpointError):
                Translator.load(tmp_path / f"x{SUFFIX[format]}", device="cpu")


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_a_file_that_was_cut_off_is_noticed(share: float, made: Callable[..., Outcome], tmp_path: Path) -> None:
    blob = made("onnx").files[0].read_bytes()
    (tmp_path / "x.onnx").write_bytes(blob[: int(share * len(blob))])
    with pytest.raises(CheckpointError, match=r"x\.onnx"):
        Translator.load(tmp_path / "x.onnx", device="cpu")


def test_a_newer_format_and_impossible_sizes_are_refused(made: Callable[..., Outcome], tmp_path: Path) -> None:
    blob = made("onnx").files[0].read_bytes()
    content, about = formats.load_onnx(blob, device="cpu")[0].about, onnx.load_model_from_string(blob)
    del about.metadata_props[:]
    bare = about.SerializeToString()
    for changes, words in (
        ({"multiple": 0}, "impossible"),
        ({"smallest": 10**9}, "impossible"),
        ({"channels": "3"}, "impossible"),
        ({"codec": 5}, "not one of styl's"),
    ):
        sealed = formats.onnx_entry(type(content)(**{**vars(content), **changes}).sealed(bare))
        (tmp_path / "x.onnx").write_bytes(bare + sealed)
        with pytest.raises(CheckpointError, match=words):
            Translator.load(tmp_path / "x.onnx", device="cpu")
    newer = content.sealed(bare).replace('"format": 1', '"format": 99')
    (tmp_path / "x.onnx").write_bytes(bare + formats.onnx_entry(newer))
    with pytest.raises(CheckpointError, match="newer styl"):
        Translator.load(tmp_path / "x.onnx", device="cpu")


def stranger(
    path: Path, *, shape: tuple[Any, ...] = ("n", 3, "h", "w"), kind: int = TensorProto.FLOAT, domain: str = ""
) -> Path:
    """Write another program's model, which returns the negative."""
    ends = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    node = helper.make_node("Neg", ["x"], ["y"], domain=domain)
    opsets = [helper.make_opsetid("", 20), *([helper.make_opsetid(domain, 1)] if domain else [])]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_another_programs_model_is_taken_with_a_word(tmp_path: Path) -> None:
    told = list[str]()
    translator = Translator.load(stranger(tmp_path / "x.onnx"), device="cpu", tell=told.append)
    assert (translator.source, translator.target) == ("source", "target")
    frame = noise(33, 70)
    assert np.array_equal(translator(frame), 255 - frame)
    assert "x.onnx does not say" in told[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (1, 3, 256, 256)}, "one size only"),
        ({"shape": ("n", "c", "h", "w")}, "not a translator"),
        ({"shape": ("n", 3)}, "not a translator"),
        ({"kind": TensorProto.DOUBLE}, "not a translator"),
        ({"domain": "their.own"}, "onnxruntime"),
    ],
)
def test_another_programs_model_that_is_no_translator(changes: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=words):
        Translator.load(stranger(tmp_path / "x.onnx", **changes), device="cpu")


def test_values_in_other_files_are_not_read(made: Callable[..., Outcome], tmp_path: Path) -> None:
    model = onnx.load(made("onnx").files[0])
    onnx.save_model(model, tmp_path / "x.onnx", save_as_external_data=True, location="secret.bin", size_threshold=0)
    with pytest.raises(CheckpointError, match="other files"):
        Translator.load(tmp_path / "x.onnx", device="cpu")


def test_what_is_no_exported_model(made: Callable[..., Outcome], tmp_path: Path, place: Path) -> None:
    for name, content in (("text.onnx", b"no model at all\n" * 9), ("page.xml", b"<html></html>"), ("none.onnx", b"")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "page.bin").write_bytes(b"")
        with pytest.raises(CheckpointError, match=name):
            Translator.load(tmp_path / name, device="cpu")
    (tmp_path / "page.bin").unlink()
    with pytest.raises(CheckpointError, match=r"page\.bin: No such file"):
        Translator.load(tmp_path / "page.xml", device="cpu")
    with pytest.raises(CheckpointError, match="not weights") as caught:
        Translator.load(made("pt2").files[0], device="cpu")
    assert "other programs" in caught.value.hint
    with pytest.raises(CheckpointError, match="not weights"):
        export(made("onnx").files[0], tmp_path / "again.onnx", format="onnx")


def test_wrong_uses_of_a_right_file(made: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    path = made("onnx").files[0]
    with pytest.raises(UsageError, match="--to horses: this file goes one way"):
        Translator.load(path, to="horses", device="cpu")
    with pytest.raises(UsageError, match="--tile 512: an exported model takes pictures whole") as caught:
        Translator.load(path, tile=512, device="cpu")
    assert "weights" in caught.value.hint
    assert Translator.load(path, tile=0, device="cpu")(noise(9, 9)).shape == (9, 9, 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="--device cuda:1: this model's runtime cannot"):
        Translator.load(path, device="cuda:1")
    assert Translator.load(path).device == "cpu", "auto is what the runtime can do"


def test_memory_that_does_not_suffice_is_said(made: Callable[..., Outcome]) -> None:
    network, _ = load_onnx(made("onnx").files[0].read_bytes(), device="cpu")

    def fail(_: Any) -> Any:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 99")

    network._run = fail
    translator = Translator(network, codec=network.codec, source="a", target="b")
    with pytest.raises(OutOfMemory, match="40 × 30 pixels: not enough memory") as caught:
        translator(noise(30, 40))
    assert "weights" in caught.value.hint


def test_as_many_threads_as_torch_has(made: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()
    plain = onnxruntime.InferenceSession

    def watched(blob: bytes, options: Any, **more: Any) -> Any:
        seen.append(options.intra_op_num_threads)
        return plain(blob, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    load_onnx(made("onnx").files[0].read_bytes(), device="cpu")
    assert seen == [torch.get_num_threads()]


@pytest.mark.parametrize(
    ("package", "format", "extra"),
    [
        ("onnxruntime", "onnx", "onnx"),
        ("onnxscript", "onnx", "onnx"),
        ("onnx", "onnx", "onnx"),
        ("openvino", "openvino", "openvino"),
        ("onnxscript", "openvino", "openvino"),
    ],
)
def test_a_missing_package_is_named_with_what_to_type(
    package: str, format: str, extra: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=f"{package}: not installed") as caught:
        export(place / "weights.safetensors", tmp_path / f"x{SUFFIX[format]}", format=format)
    assert caught.value.hint == f"pip install 'styl[{extra}]'"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_translating_without_the_runtime(
    package: str, made: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made("onnx").files[0]
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=f"{package}: not installed"):
        Translator.load(path, device="cpu")


@pytest.mark.parametrize("change", [1.01, float("nan")])
def test_what_differs_from_torch_is_not_written(
    change: float, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(network: nn.Module, codec: Any, about: Any) -> Any:
        return (b"model",), lambda x: network(x) * change

    monkeypatch.setattr(formats, "_onnx", wrong)
    (tmp_path / "x.onnx").write_text("what was there")
    with pytest.raises(StylError, match="so nothing was written"):
        export(place / "weights.safetensors", tmp_path / "x.onnx", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]
    assert (tmp_path / "x.onnx").read_text() == "what was there"


@pytest.mark.parametrize(("levels", "good"), [(0.6, True), (1.6, False)])
def test_one_level_is_forgiven_and_two_are_not(
    levels: float, good: bool, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly(network: nn.Module, codec: Any, about: Any) -> Any:
        def compute(frames: Tensor) -> Tensor:
            return codec.decode(network(codec.encode(frames)).clamp(-0.9, 0.9) + levels / 127.5)

        return (b"model",), compute

    monkeypatch.setattr(formats, "_onnx", nearly)
    monkeypatch.setattr(exporting.Route, "of", classmethod(lambda cls, *_, **__: cls("a", "b", Half(), PICTURES)))
    if good:
        assert export(place / "weights.safetensors", tmp_path / "x.onnx", format="onnx", uint8=True).agreement.off > 0.2
    else:
        with pytest.raises(StylError, match="by 2 levels"):
            export(place / "weights.safetensors", tmp_path / "x.onnx", format="onnx", uint8=True)


# --- the command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a run, and two pictures in a folder."""
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "runs/horses-zebras/weights/best.safetensors", PLAIN)
    (tmp_path / "in").mkdir()
    for i in range(2):
        Image.fromarray(noise(20, 18, i)).save(tmp_path / f"in/{i}.png")
    return tmp_path


@pytest.fixture
def styl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str, str]]:
    def run(words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["styl", *words.split()])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            guarded(cli.app)
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    return run


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path)).astype(int)


def test_from_weights_to_pictures_by_command(here: Path, styl: Any) -> None:
    weights = saved(here / "runs/horses-zebras/weights/best.safetensors", UNET)
    (here / "horses-zebras-to-horses.onnx").write_text("what was there")
    code, out, _ = styl("export runs/horses-zebras --to horses --json")
    assert code == 0
    summary = json.loads(out)
    assert summary["files"] == ["horses-zebras-to-horses.onnx"]
    assert (summary["source"], summary["target"], summary["format"]) == ("zebras", "horses", "onnx")
    assert summary["difference"] <= 1e-4
    assert_same_pictures(here / "horses-zebras-to-horses.onnx", weights, to="horses")
    model = "translate in -m horses-zebras-to-horses.onnx --device cpu"
    assert styl(f"{model} -o a")[0] == 0
    assert styl("translate in -m runs/horses-zebras --to horses --device cpu -o b")[0] == 0
    for i in range(2):
        apart = np.abs(pixels(here / f"a/{i}.png") - pixels(here / f"b/{i}.png"))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01
    assert "2 finished before" in styl(f"{model} -o a")[1]
    blob = (here / "horses-zebras-to-horses.onnx").read_bytes()
    again = onnx.load_model_from_string(blob)
    (entry,) = again.metadata_props
    about, bare = load_onnx(blob, device="cpu")[0].about, blob.replace(formats.onnx_entry(entry.value), b"")
    other = formats.onnx_entry(dataclasses.replace(about, images=8).sealed(bare))
    (here / "horses-zebras-to-horses.onnx").write_bytes(bare + other)
    assert "2 translated" in styl(f"{model} -o a")[1], "another model, which has not done this"


AT_ONCE = {
    "export": "model",
    "export x --format onyx": "did you mean 'onnx'",
    "export x --format onnx -o x.pt2": "files of --format onnx end in .onnx",
    "export x -o x.zip": "x.zip: of another format",
}
LATER = {
    "export nowhere": "nowhere: no weights of that name",
    "export runs/horses-zebras --to zebra": "did you mean 'zebras'",
    "export held.onnx -o held.onnx": "held.onnx: an exported model",
    "export weights.pt2 -o weights.pt2": "weights.pt2: an exported model",
    "translate in -m held.onnx": "held.onnx: not ONNX",
    "translate in -m weights.pt2": "weights.pt2: an exported model",
    "translate in -m nowhere.onnx": "nowhere.onnx: no such file",
    "evaluate held.onnx --source in --target in": "held.onnx",
}


@pytest.mark.parametrize("words", [*AT_ONCE, *LATER])
def test_a_mistake_is_answered_in_two_lines(words: str, here: Path, styl: Any) -> None:
    for name in ("held.onnx", "weights.pt2"):
        (here / name).write_bytes(b"no model")
    before = sorted(here.iterdir())
    code, out, err = styl(words)
    assert (code, out) == (2, "")
    assert {**AT_ONCE, **LATER}[words] in err
    assert [line[:7] for line in err.splitlines()] in (["error: ", err.splitlines()[-1][:7]],)
    assert err.splitlines()[-1].startswith("  ")
    assert [path for path in sorted(here.iterdir()) if path.name != "translated"] == before


def test_weights_are_never_overwritten(here: Path) -> None:
    weights = here / "runs/horses-zebras/weights/best.safetensors"
    (here / "x.onnx").symlink_to(weights)
    (here / "y.bin").symlink_to(weights)
    for name, format in (("x.onnx", "onnx"), ("y.xml", "openvino")):
        with pytest.raises(UsageError, match="would overwrite the input"):
            export(weights, here / name, format=format)
