"""Codecs: nothing is lost on the way in and out, and nothing is cut off."""

import pytest
import torch

from cyclegan import codecs
from cyclegan.codecs import Pictures
from cyclegan.errors import CheckpointError


def test_all_256_levels_come_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2, 3, 16, 16)
    encoded = Pictures().encode(levels)
    assert encoded.dtype == torch.float32
    assert encoded.min().item() == -1
    assert encoded.max().item() == 1
    assert torch.equal(Pictures().decode(encoded), levels)
    assert torch.equal(Pictures().decode(encoded.double()), levels)


def test_encoding_leaves_the_frames_alone() -> None:
    frames = torch.full((1, 3, 2, 2), 7, dtype=torch.uint8)
    Pictures().encode(frames)
    tensors = torch.full((1, 3, 2, 2), 0.5)
    Pictures().decode(tensors)
    assert (frames == 7).all()
    assert (tensors == 0.5).all()


def test_values_are_rounded_and_kept_in_range() -> None:
    def level(value: float) -> float:
        return value / 127.5 - 1

    values = torch.tensor([level(10.4), level(10.6), level(99.9), -1.7, 1.2]).view(1, 1, 1, 5)
    assert Pictures().decode(values).flatten().tolist() == [10, 11, 100, 0, 255]
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact, decoded = (noise + 1) * 127.5, Pictures().decode(noise).float()
    assert (decoded - exact).abs().max() <= 0.5 + 1e-4
    assert (decoded - exact).mean().abs() < 0.02  # cutting off would darken by 0.5


def test_a_codec_is_built_from_what_a_file_says() -> None:
    assert codecs.build({"name": "pictures", "channels": 1}) == Pictures(channels=1)
    with pytest.raises(CheckpointError, match="unknown codec 'picture'") as caught:
        codecs.build({"name": "picture"})
    assert "pictures" in caught.value.hint
