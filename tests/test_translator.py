"""Weights in use: any kind of frame, any size, in scripts and over folders."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan import Translator
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Pictures
from cyclegan.errors import CheckpointError, InputError, UsageError
from cyclegan.networks import ResNet, UNet, initialise

SIZES = [(1, 1), (3, 2), (8, 8), (17, 31), (1, 40), (64, 48), (65, 66), (80, 80), (1, 2000), (2000, 1)]


class Shift(nn.Module):
    """Brightens by an exact number of levels, and insists on the sizes it declares."""

    multiple, smallest = 4, 8

    def __init__(self, levels: float) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] % 4 == x.shape[-2] % 4 == 0
        assert min(x.shape[-2:]) >= 8
        return x + self.levels / 127.5


def shifting(levels: float) -> Translator:
    return Translator(Shift(levels), codec=Pictures(), source="dark", target="bright")


def noise(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def saved(path: Path, *, seed: int = 0, **changes: Any) -> Path:
    torch.manual_seed(seed)
    G, F = initialise(ResNet(width=4, blocks=1), gain=0.5), initialise(ResNet(width=4, blocks=1), gain=0.5)
    options = {"name": "resnet", "width": 4, "blocks": 1}
    about = {
        "kind": "translator",
        "domains": ["horses", "zebras"],
        "routes": [["horses", "zebras", "G"], ["zebras", "horses", "F"]],
        "networks": {"G": options, "F": options},
        "codec": {"name": "pictures", "channels": 3},
        "images": 1,
    }
    tensors = {f"{n}.{k}": t for n, net in (("G", G), ("F", F)) for k, t in net.state_dict().items()}
    Checkpoint(about | changes, tensors).save(path)
    return path


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("network", [ResNet(width=4, blocks=1), UNet(width=4, depth=3)], ids=["resnet", "unet"])
def test_every_size_comes_back_as_it_was(network: nn.Module, height: int, width: int) -> None:
    options: list[dict[str, int]] = [{}, {"scale_to": 1}, {"scale_to": 2}, {"tile": 0}, {"tile": 16}]
    for chosen in options:
        translator = Translator(network, codec=Pictures(), source="a", target="b", **chosen)  # type: ignore[arg-type]
        result = translator(noise(height, width))
        assert result.shape == (height, width, 3)
        assert result.dtype == np.uint8


def test_values_are_rounded_and_clamped() -> None:
    frame = np.array([[[0, 100, 255]]], dtype=np.uint8)
    assert shifting(0.6)(frame).tolist() == [[[1, 101, 255]]]
    assert shifting(0.4)(frame).tolist() == [[[0, 100, 255]]]
    assert shifting(-0.6)(frame).tolist() == [[[0, 99, 254]]]


def test_each_kind_of_frame_comes_back_as_its_kind() -> None:
    t = shifting(10)
    frame = noise(9, 7) // 2
    image = t(Image.fromarray(frame))
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), frame + 10)
    chw = torch.from_numpy(frame).permute(2, 0, 1)
    assert torch.equal(t(chw), chw + 10)
    both = torch.stack([chw, chw])
    assert torch.equal(t(both), both + 10)
    floating = chw.double() / 127.5 - 1
    assert t(floating).dtype == torch.float64
    torch.testing.assert_close(t(floating), floating + 10 / 127.5, rtol=0, atol=1e-6)


def test_alpha_and_orientation_of_pil_images() -> None:
    frame, alpha = noise(6, 4) // 2, noise(6, 4, seed=1)[..., 0]
    image = Image.fromarray(np.dstack([frame, alpha]))
    result = shifting(10)(image)
    assert result.mode == "RGBA"
    assert np.array_equal(np.asarray(result), np.dstack([frame + 10, alpha]))
    turned = Image.fromarray(frame)
    turned.getexif()[0x0112] = 6  # a quarter turn to the right
    assert np.array_equal(np.asarray(shifting(0)(turned)), np.rot90(frame, -1))


@pytest.mark.parametrize(
    "frame", ["horse.jpg", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), torch.zeros(1, 5, 5), torch.zeros(3, 0, 4)]
)
def test_what_is_no_picture_is_refused(frame: Any) -> None:
    with pytest.raises(InputError, match="not a picture"):
        shifting(0)(frame)


def test_streams_are_lazy_ordered_and_equal_to_single_calls() -> None:
    torch.manual_seed(0)
    network = initialise(ResNet(width=4, blocks=1), gain=0.3)
    t = Translator(network, codec=Pictures(), source="a", target="b")
    frames = [noise(16, 16, i) for i in range(5)] + [noise(12, 16, i) for i in range(2)] + [noise(16, 16, 9)]
    taken: list[int] = []

    def source() -> Any:
        for i, frame in enumerate(frames):
            taken.append(i)
            yield frame

    stream = t.stream(source(), batch=3)
    first = next(stream)
    assert len(taken) <= 4
    for result, frame in zip([first, *stream], frames, strict=True):
        assert np.abs(result.astype(int) - t(frame)).max() <= 1


def test_both_directions_load_and_differ(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors")
    there, back = Translator.load(path, to="zebras", device="cpu"), Translator.load(path, to="horses", device="cpu")
    assert (there.source, there.target, back.source, back.target) == ("horses", "zebras", "zebras", "horses")
    frame = noise(16, 16)
    assert not np.array_equal(there(frame), back(frame))
    assert Translator.load(path, device="cpu").target == "zebras"
    with pytest.raises(UsageError, match="--to zebra:") as caught:
        Translator.load(path, to="zebra", device="cpu")
    assert "zebras" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "resnet", "width": 8, "blocks": 1}, "stem.conv"),
        ({"name": "resnet", "width": 10**9, "blocks": 1}, "impossible"),
        ({"name": "resnet", "blocks": 10**9}, "impossible"),
        ({"name": "resnet", "wdith": 4}, "wdith"),
        ({"name": "resnot"}, "resnot"),
        ({"name": "unet", "width": 4, "depth": 3}, "downs"),
    ],
)
def test_weights_that_do_not_fit_their_network_are_refused(tmp_path: Path, options: Any, words: str) -> None:
    path = saved(tmp_path / "w.safetensors", networks={"G": options, "F": options})
    with pytest.raises(CheckpointError, match=words):
        Translator.load(path, to="zebras", device="cpu")


def sized(trained_at: int | None, **options: Any) -> tuple[Translator, list[int], list[str]]:
    """Return a translator that remembers the short sides its network saw, and what it told."""
    seen, told = list[int](), list[str]()

    class Watching(Shift):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(min(x.shape[-2:]))  # memory is measured at 64
            return super().forward(x)

    known = {"codec": Pictures(), "source": "a", "target": "b", "trained_at": trained_at, "tell": told.append}
    return Translator(Watching(10), **known, **options), seen, told


def test_far_larger_pictures_are_translated_at_a_size_the_network_knows() -> None:
    translator, seen, told = sized(16)
    soft = np.full((100, 150, 3), 90, np.uint8)
    assert np.array_equal(translator(soft), soft + 10)
    assert np.array_equal(translator(soft[:64]), soft[:64] + 10)
    assert [seen[-2], seen[-1]] == [32, 64], "twice sixteen; and 64 is not more than four times sixteen"
    assert len(told) == 1
    assert "--scale-to 0" in told[0]
    floating = torch.zeros(3, 100, 80)
    assert torch.allclose(translator(floating), floating + 10 / 127.5, atol=1 / 127.5)


@pytest.mark.parametrize(
    ("trained_at", "options", "side"),
    [
        (16, {"scale_to": 0}, 100),
        (16, {"scale_to": 48}, 48),
        (None, {}, 100),
        (16, {"tile": 0}, 100),
        (None, {"scale_to": 200}, 100),
    ],
)
def test_who_names_a_size_gets_it(trained_at: int | None, options: dict[str, int], side: int) -> None:
    translator, seen, told = sized(trained_at, **options)
    assert translator(noise(100, 150)).shape == (100, 150, 3)
    assert (seen[-1], told) == (side, [])


def test_the_training_size_comes_with_the_weights(tmp_path: Path) -> None:
    assert Translator.load(saved(tmp_path / "a.safetensors"), device="cpu").trained_at is None
    for experiment, size in (
        ("[data]\nsize = 96\n", 96),
        ("[data]\n", None),
        ("not TOML", None),
        ('[data]\nsize = "x"', None),
    ):
        path = saved(tmp_path / "b.safetensors", experiment=experiment)
        assert Translator.load(path, device="cpu").trained_at == size
    assert Translator.load(saved(tmp_path / "c.safetensors", trained_at=256), device="cpu").trained_at == 256
