"""From folders to batches: which picture comes when, how it is cut, and what happens to the damaged ones."""

import io
import itertools
import pickle
import shutil
from pathlib import Path, PurePath

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cyclegan.chance import seed_for
from cyclegan.errors import InputError, StoppedEarly
from cyclegan.experiment import Data
from cyclegan.training.augment import Geometry
from cyclegan.training.data import Batches, Domain, Draws
from cyclegan.training.familiarity import _seen


def grain(seed: int, *, height: int = 20, width: int = 20) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def folder(root: Path, count: int, *, first: int = 0, level: int = 0) -> Path:
    """Write `count` plain pictures, each recognisable by its red."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        Image.new("RGB", (16, 16), (i, level, 0)).save(root / f"{i:03d}.png")
    return root


def data(*folders: Path, size: int = 16, held_back: int = 2, enlarge: float = 1.0) -> Data:
    return Data(folders=tuple(map(str, folders)), size=size, enlarge=enlarge, held_back=held_back)


def reds(tensor: Tensor) -> list[int]:
    return tensor[:, 0, 0, 0].tolist()


def taken(batches: Batches, steps: int, *, start: int = 0) -> list[list[Tensor]]:
    return list(itertools.islice(batches.starting(start), steps))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folder(tmp_path / "x", 25), folder(tmp_path / "y", 40, level=9)


def test_draws_depend_on_seed_and_number_and_on_nothing_else(two: tuple[Path, Path]) -> None:
    for path in two:
        for i, picture in enumerate(sorted(path.iterdir())):
            Image.fromarray(grain(i)).save(picture)
    chosen = data(*two, enlarge=1.5)
    alone, pair = (Batches(chosen, batch=3, seed=4, workers=workers) for workers in (0, 2))
    straight = taken(alone, 24)
    torch.manual_seed(7)
    np.random.seed(7)
    for here, there in zip(straight, taken(pair, 24), strict=True):
        assert all(torch.equal(h, t) for h, t in zip(here, there, strict=True))
    for here, there in zip(straight[5:], taken(alone, 19, start=15), strict=True):
        assert all(torch.equal(h, t) for h, t in zip(here, there, strict=True))
    other = taken(Batches(chosen, batch=3, seed=5), 1)
    assert not torch.equal(other[0][0], straight[0][0])


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_together_see_what_one_process_sees(two: tuple[Path, Path], workers: int) -> None:
    batches = Batches(data(*two, enlarge=1.5), batch=2, seed=4, workers=workers)
    straight = taken(batches, 18, start=5)
    for rank in range(3):
        mine = itertools.islice(batches.starting(5, rank=rank, ranks=3), 6)
        for batch, wanted in zip(mine, straight[rank::3], strict=True):
            assert all(torch.equal(b, w) for b, w in zip(batch, wanted, strict=True))


def test_draws_reach_workers_that_are_not_forked(two: tuple[Path, Path]) -> None:
    draws = Batches(data(*two, enlarge=1.5), batch=1, seed=0).draws
    sent = pickle.loads(pickle.dumps(draws))
    assert all(torch.equal(h, t) for h, t in zip(draws[11][0], sent[11][0], strict=True))


def test_drawing_leaves_torch_chance_alone(two: tuple[Path, Path]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    taken(Batches(data(*two), batch=2, seed=0), 2)
    assert torch.equal(torch.rand(2), expected)


def test_every_picture_comes_once_in_each_pass_of_its_folder(two: tuple[Path, Path]) -> None:
    batches = Batches(data(*two), batch=1, seed=0)
    drawn = taken(batches, 3 * 38)
    for domain, batch in zip(batches.domains, range(2), strict=True):
        count = len(domain.train)
        assert count == (23, 38)[batch]
        numbers = [reds(tensors[batch])[0] for tensors in drawn]
        passes = [numbers[i : i + count] for i in range(0, len(numbers) - count + 1, count)]
        assert len(passes) >= 3
        assert all(sorted(p) == sorted(int(path.stem) for path in domain.train) for p in passes)
        assert len({tuple(p) for p in passes}) == len(passes), "every pass has an order of its own"


def test_a_large_folder_is_split_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("photos")
    paths = [folder / f"{i % 10}/{i:06d}.jpg" for i in range(5_000)]
    hashed, plain = list[int](), PurePath.__hash__
    monkeypatch.setattr(PurePath, "__hash__", lambda path: (hashed.append(1), plain(path))[1])
    domain = Domain.split(folder, held_back=256, seed=3, paths=paths)
    assert len(hashed) < 3 * len(paths)
    order = sorted(paths, key=lambda path: seed_for(3, "held back", path.relative_to(folder).as_posix()))
    held = order[:256]
    assert domain == Domain(tuple(p for p in paths if p not in held), tuple(held), tuple(order[256:]))


def test_held_back_pictures_are_never_learnt(two: tuple[Path, Path]) -> None:
    batches = Batches(data(*two, held_back=4), batch=1, seed=0)
    assert [len(d.held_back) for d in batches.domains] == [2, 4]
    drawn = taken(batches, 2 * 40)
    for i, domain in enumerate(batches.domains):
        shown = {int(path.stem) for path in domain.held_back}
        assert not shown & {reds(tensors[i])[0] for tensors in drawn}
    fixed = batches.held_back()
    assert [tuple(f.shape) for f in fixed] == [(2, 3, 16, 16), (4, 3, 16, 16)]
    assert set(reds(fixed[0])) == {int(path.stem) for path in batches.domains[0].held_back}


def test_what_is_looked_at_does_not_fill_the_device(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclegan.training.data.HELD_BYTES", 3 * 3 * 16 * 16)
    batches = Batches(data(*two, held_back=4), batch=1, seed=0)
    assert [len(pictures) for pictures in batches.held_back()] == [2, 3]
    assert [len(pictures) for pictures in batches.examples(99)] == [3, 3]


def test_an_added_picture_displaces_at_most_one_that_was_held_back(tmp_path: Path) -> None:
    root = folder(tmp_path, 60)
    held = set(Domain.split(root, held_back=5, seed=1).held_back)
    assert len(held) == 5
    changed = 0
    for i in range(60, 140):
        folder(root, 1, first=i)
        now = set(Domain.split(root, held_back=5, seed=1).held_back)
        assert len(held - now) <= 1
        assert now - held <= {root / f"{i:03d}.png"}, "nothing that was learnt is held back later"
        changed, held = changed + (now != held), now
    assert changed < 15


def test_which_are_held_back_depends_on_names_not_on_the_place(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "a", 40), folder(tmp_path / "b" / "c", 40)
    names = [[p.name for p in Domain.split(f, held_back=4, seed=0).held_back] for f in (one, other)]
    assert names[0] == names[1]
    assert names[0] != [p.name for p in Domain.split(one, held_back=4, seed=1).held_back]


def test_what_is_measured_against_is_a_random_sample(tmp_path: Path) -> None:
    """Of four cameras a quarter each, 64 ± 5 of 256: the order of names would show next to nothing but the first."""
    cameras = [folder(tmp_path / "x", 1, first=red) / f"{red:03d}.png" for red in range(4)]
    for number in range(125):
        for camera in cameras:
            shutil.copy(camera, tmp_path / "x" / f"{camera.stem}-{number:03d}.png")
    chosen = data(tmp_path / "x", folder(tmp_path / "y", 12), held_back=32)
    counts = np.bincount(reds(Batches(chosen, batch=1, seed=0).examples(256)[0]), minlength=4)
    assert counts.sum() == 256
    assert all(44 < count < 84 for count in counts), counts
    shown = reds(Batches(chosen, batch=1, seed=0).held_back()[0][:8])
    assert len(set(shown)) > 1, "the sheets show more than one camera"


def test_a_sample_depends_on_the_seed_and_on_names_and_changes_little(tmp_path: Path) -> None:
    def sample(root: Path, seed: int = 1) -> set[str]:
        domain = Domain.split(root, held_back=5, seed=seed)
        assert sorted(domain.shuffled) == sorted(domain.train)
        return {path.name for path in [*domain.held_back, *domain.shuffled][:30]}

    one, other = folder(tmp_path / "a", 60), folder(tmp_path / "b" / "c", 60)
    known = sample(one)
    assert known == sample(one) == sample(other)
    assert known != sample(one, seed=2)
    for i in range(60, 100):
        folder(one, 1, first=i)
        now = sample(one)
        assert now - known <= {f"{i:03d}.png"}
        known = now


def test_what_is_usual_is_learnt_from_a_random_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures in pairs, left and right: every other one by name is left."""
    monkeypatch.setattr("cyclegan.training.familiarity.COUNT", 50)
    batches = Batches(data(folder(tmp_path / "x", 110), folder(tmp_path / "y", 110)), batch=1, seed=0)
    right = sum(int(pixels[0, 0, 0]) % 2 for pixels in _seen(batches, 0, square=False))
    assert 15 < right < 35


@pytest.mark.parametrize("count", [1, 3])
def test_tiny_folders_are_learnt_whole_and_shown(tmp_path: Path, count: int) -> None:
    small, large = folder(tmp_path / "x", count), folder(tmp_path / "y", 19)
    batches = Batches(data(small, large, held_back=16), batch=4, seed=0)
    assert len(batches.domains[0].train) == count
    assert [len(f) for f in batches.held_back()] == [count, 16]
    drawn = list(itertools.chain.from_iterable(reds(x) for x, _ in taken(batches, 6)))
    assert all(sorted(drawn[i : i + count]) == list(range(count)) for i in range(0, 24, count))


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing: no pictures"):
        Domain.split(tmp_path / "nothing", held_back=2, seed=0)


def test_crops_and_mirrors_vary_between_passes_and_between_workers(tmp_path: Path) -> None:
    """Each albumentations pipeline carries a generator of its own, which forked workers would all repeat."""
    Image.fromarray(grain(0, height=40, width=40)).save(tmp_path / "only.png")
    batches = Batches(data(tmp_path, tmp_path, size=16, enlarge=2.5), batch=1, seed=0, workers=2)
    views = [tensors[i].numpy().tobytes() for tensors in taken(batches, 16) for i in range(2)]
    assert len(set(views)) >= 30  # of 625 places and two sides


def test_mirrors_come_half_the_time_and_crops_reach_every_corner() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(20), np.arange(20)[:, None]
    geometry = Geometry(Data(size=16, enlarge=1.25))
    views = [geometry.draw(picture, seed=seed) for seed in range(400)]
    mirrored = [bool(v[0, 0, 0] > v[0, 0, 1]) for v in views]
    assert 160 < sum(mirrored) < 240
    corners = {(int(v[0, 0].min()), int(v[1, 0, 0])) for v in views}
    assert corners == set(itertools.product(range(5), range(5)))
    plain = Geometry(Data(size=16, enlarge=1.25, flip=False))
    assert not any(v[0, 0, 0] > v[0, 0, 1] for v in (plain.draw(picture, seed=s) for s in range(50)))


@pytest.mark.parametrize("fit", ["stretch", "cover"])
def test_settled_draws_are_what_is_shown_in_use_but_for_the_mirror(fit: str) -> None:
    picture = grain(0, height=30, width=50)
    geometry = Geometry(Data(size=16, enlarge=1.5, fit="stretch" if fit == "stretch" else "cover"))
    views = [geometry.draw(picture, seed=seed, settled=True) for seed in range(200)]
    fixed = geometry.fixed(picture)
    assert all(torch.equal(v, fixed) or torch.equal(v, fixed.flip(2)) for v in views)
    assert 70 < sum(torch.equal(v, fixed) for v in views) < 130


@pytest.mark.parametrize("workers", [0, 2])
def test_draws_settle_from_a_number_on(two: tuple[Path, Path], workers: int) -> None:
    for path in two:
        for i, picture in enumerate(sorted(path.iterdir())):
            Image.fromarray(grain(i)).save(picture)
    restless, settling = (Batches(data(*two, enlarge=1.5), batch=2, seed=4, workers=workers) for _ in range(2))
    settling.settle_from = 11
    pairs = zip(taken(restless, 9), taken(settling, 9), strict=True)
    same = [torch.equal(r[0][i], s[0][i]) for r, s in pairs for i in range(2)]
    assert same == [True] * 11 + [False] * 7
    assert torch.equal(taken(settling, 3, start=12)[0][0], taken(settling, 7)[6][0]), (
        "a resume settles at the same draw"
    )


def test_a_view_is_a_function_of_picture_and_seed() -> None:
    picture, geometry = grain(0, height=30, width=50), Geometry(Data(size=16, enlarge=1.5))
    first = geometry.draw(picture, seed=2**63 - 1)
    geometry.draw(picture, seed=1)
    assert torch.equal(geometry.draw(picture, seed=2**63 - 1), first)
    assert torch.equal(Geometry(Data(size=16, enlarge=1.5)).draw(picture, seed=2**63 - 1), first)


def test_stretch_squashes_and_cover_keeps_the_aspect() -> None:
    wide = np.zeros((16, 64, 3), np.uint8)
    wide[:, :16], wide[:, 48:] = (255, 0, 0), (0, 0, 255)  # the ends, one picture's width each
    stretched = Geometry(Data(size=16, fit="stretch")).fixed(wide)
    covered = Geometry(Data(size=16, fit="cover")).fixed(wide)
    assert stretched.shape == covered.shape == (3, 16, 16)
    assert stretched[:, 8, 0].tolist()[0] > 240
    assert stretched[:, 8, -1].tolist()[2] > 240
    assert covered.max() == 0, "the middle is black"
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    assert torch.equal(Geometry(Data(size=16, fit="cover")).fixed(tall), covered)
    assert torch.equal(Geometry(Data(size=16, fit="stretch")).fixed(tall), stretched.transpose(1, 2))


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (1, 4000), (4000, 1), (15, 17), (16, 300), (33, 7)])
@pytest.mark.parametrize("fit", ["stretch", "cover"])
def test_pictures_of_every_shape_fit(shape: tuple[int, int], fit: str) -> None:
    geometry = Geometry(Data(size=16, fit="stretch" if fit == "stretch" else "cover"))
    picture = grain(0, height=shape[0], width=shape[1])
    for view in (geometry.fixed(picture), geometry.draw(picture, seed=1)):
        assert (view.shape, view.dtype) == ((3, 16, 16), torch.uint8)
        assert view.is_contiguous()


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    picture = grain(0, height=16, width=16)
    assert np.array_equal(Geometry(Data(size=16)).fixed(picture).permute(1, 2, 0).numpy(), picture)


@pytest.mark.parametrize("shape", [(150, 150), (61, 43), (16, 16), (500, 333)])
def test_resizing_equals_pillow(shape: tuple[int, int]) -> None:
    soft = Image.fromarray(grain(0, height=9, width=9)).resize(shape[::-1], Image.Resampling.BICUBIC)
    picture = np.asarray(soft)
    got = Geometry(Data(size=40, fit="stretch")).fixed(picture).permute(1, 2, 0).numpy()
    wanted = np.asarray(Image.fromarray(picture).resize((40, 40), Image.Resampling.BICUBIC))
    assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1


def test_a_damaged_picture_is_named_and_the_next_one_takes_its_place(two: tuple[Path, Path]) -> None:
    whole = taken(Batches(data(*two), batch=2, seed=0), 12)
    order = [red for x, _ in whole for red in reds(x)]
    bad = two[0] / f"{order[5]:03d}.png"
    bad.write_bytes(bad.read_bytes()[:40])
    runs = []
    for workers in (0, 2, 0):
        batches = Batches(data(*two), batch=2, seed=0, workers=workers)
        runs.append([red for x, _ in taken(batches, 12) for red in reds(x)])
        assert len(batches.damaged) == 1, "named once, however often it is met"
        assert str(bad) in next(iter(batches.damaged))
    assert runs[0] == runs[1] == runs[2]
    assert runs[0][:5] + runs[0][6:23] == order[:5] + order[6:23]
    assert runs[0][5] == order[6]


def test_the_last_picture_of_a_pass_may_be_damaged(tmp_path: Path) -> None:
    x, y = folder(tmp_path / "x", 3), folder(tmp_path / "y", 3)
    (x / "001.png").write_bytes(b"no picture")
    drawn = [red for reds_x, _ in taken(Batches(data(x, y), batch=1, seed=0), 30) for red in reds(reds_x)]
    assert set(drawn) == {0, 2}


@pytest.mark.parametrize("workers", [0, 2])
def test_when_no_picture_can_be_read_any_more_one_line_says_so(two: tuple[Path, Path], workers: int) -> None:
    batches = Batches(data(*two), batch=2, seed=0, workers=workers)
    batches.held_back()
    for path in two[1].iterdir():
        path.write_bytes(b"")
    with pytest.raises(StoppedEarly, match="no picture can be read") as caught:
        taken(batches, 1)
    assert "\n" not in caught.value.what
    assert "empty file" in caught.value.what


def test_a_folder_of_damaged_pictures_is_refused(two: tuple[Path, Path]) -> None:
    for path in two[0].iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="x: none of its pictures can be read"):
        Batches(data(*two), batch=1, seed=0).held_back()


def test_damaged_pictures_among_the_held_back_are_left_out(two: tuple[Path, Path]) -> None:
    batches = Batches(data(*two), batch=1, seed=0)
    first, *others = batches.domains[0].held_back
    first.write_bytes(b"no picture")
    assert [len(f) for f in batches.held_back()] == [1, 2]
    assert str(first) in next(iter(batches.damaged))
    for path in others:
        path.write_bytes(b"no picture")
    assert [len(f) for f in batches.held_back()] == [1, 2], "one that is learnt stands in"


def test_pictures_are_read_only_when_their_turn_comes(two: tuple[Path, Path]) -> None:
    read = list[Path]()

    def reader(path: Path) -> NDArray[np.uint8]:
        read.append(path)
        return np.asarray(Image.open(io.BytesIO(path.read_bytes())))

    domains = [Domain.split(path, held_back=2, seed=0) for path in two]
    draws = Draws(domains, Geometry(data(*two)), seed=0, read=reader)
    assert not read
    draws[17]
    assert len(read) == 2
