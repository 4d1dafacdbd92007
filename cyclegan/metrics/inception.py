"""The Inception network of the published FID and KID: TensorFlow's of 2015-12-05, as ported to PyTorch.

It differs from torchvision's in three ways: averages leave out the padding, the last block pools by the maximum, and
there are 1008 classes, which features do not need.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torchvision.models.inception import Inception3, InceptionA, InceptionC, InceptionE

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIZE = 95_628_359  # bytes of the file
SIDE = 299  # pixels


class Inception(nn.Module):
    """Gives the 2048 features before the classes: uint8 (N, 3, H, W) in, float32 (N, 2048) out.

    `state` holds the published file's tensors; RuntimeError says which do not fit. `resize` is one of RESIZINGS.
    """

    def __init__(self, state: Mapping[str, Tensor], *, resize: str) -> None:
        super().__init__()
        self.resize = RESIZINGS[resize]
        with torch.device("meta"):
            self.body = _body()
        counters = {name: torch.tensor(0) for name in self.body.state_dict() if name.endswith("num_batches_tracked")}
        kept = {name: t for name, t in state.items() if not name.startswith("fc.")}
        self.body.load_state_dict(counters | kept, assign=True)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (N, 2048) of uint8 pictures (N, 3, H, W)."""
        features: Tensor = self.body(self.resize(pictures.float()))
        return features


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Tell whether named tensors are those of this network, going by a name no other network uses."""
    return "Mixed_7c.branch_pool.conv.weight" in state


def _body() -> nn.Module:
    body: nn.Module = Inception3(aux_logits=False, init_weights=False)
    body.Mixed_5b, body.Mixed_5c, body.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
    body.Mixed_6b, body.Mixed_6c, body.Mixed_6d, body.Mixed_6e = (_C(768, width) for width in (128, 160, 160, 192))
    body.Mixed_7b, body.Mixed_7c = _E(1280), _LastE(2048)
    body.dropout, body.fc = nn.Identity(), nn.Identity()
    return body


def _average(x: Tensor) -> Tensor:
    return nnf.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _A(InceptionA):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch1x1(x), five, three, self.branch_pool(_average(x))]


class _C(InceptionC):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return [self.branch1x1(x), seven, twice, self.branch_pool(_average(x))]


class _E(InceptionE):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        one = self.branch3x3_1(x)
        two = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        wide = [self.branch3x3_2a(one), self.branch3x3_2b(one)]
        wider = [self.branch3x3dbl_3a(two), self.branch3x3dbl_3b(two)]
        return [self.branch1x1(x), *wide, *wider, self.branch_pool(self.pooled(x))]

    def pooled(self, x: Tensor) -> Tensor:
        return _average(x)


class _LastE(_E):
    def pooled(self, x: Tensor) -> Tensor:
        return nnf.max_pool2d(x, 3, stride=1, padding=1)


# ------------------------------------------------------- how each tool brings pictures (0 to 255) to what is looked at


def _pytorch_fid(x: Tensor) -> Tensor:
    """Bilinear without antialiasing, pixels' centres aligned; [0, 255] becomes [-1, 1]."""
    return nnf.interpolate(x, size=(SIDE, SIDE), mode="bilinear", align_corners=False) / 127.5 - 1


def _clean_fid(x: Tensor) -> Tensor:
    """Bicubic with antialiasing, as Pillow on floats: nothing is rounded (Parmar et al. 2022)."""
    return _around_128(nnf.interpolate(x, size=(SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 255))


def _torch_fidelity(x: Tensor) -> Tensor:
    """Bilinear as TensorFlow 1 had it: pixels' upper left corners are aligned, so that pictures shift."""
    for axis in (2, 3):
        place = torch.arange(SIDE, dtype=torch.float32, device=x.device) * (x.shape[axis] / SIDE)
        low = place.long()
        high = (low + 1).clamp_max(x.shape[axis] - 1)
        share = (place - low).unsqueeze(-1) if axis == 2 else place - low
        first = x.index_select(axis, low)
        x = first + (x.index_select(axis, high) - first) * share
    return _around_128(x)


def _around_128(x: Tensor) -> Tensor:
    return (x - 128) / 128


RESIZINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "pytorch-fid": _pytorch_fid,
    "clean-fid": _clean_fid,
    "torch-fidelity": _torch_fidelity,
}
