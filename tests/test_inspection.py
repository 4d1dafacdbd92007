"""styl inspect as people run it: folders in, a page, figures and a list out, and nothing touched."""

import json
import shutil
from pathlib import Path

import planted
import pytest
import tiny

from cyclegan.errors import UsageError
from cyclegan.experiment import Experiment
from cyclegan.training.inspection import inspect
from cyclegan.training.scan import scan


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("inspected")
    planted.write(planted.folder("horse", 150, seed=4, misfiled=5, duplicates=4), root / "horses")
    planted.write(planted.folder("zebra", 150, seed=4), root / "zebras")
    (root / "horses" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n of no use")
    return root / "horses", root / "zebras"


def styl(*words: str) -> int:
    from cyclegan.cli import app

    code = app(args=list(words), standalone_mode=False)
    return code if isinstance(code, int) else 0


def test_two_folders_are_told_in_two_looks_and_left_as_they_are(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclegan.training.acquaintance.LEAST", 640)
    monkeypatch.setattr("cyclegan.training.acquaintance.MOST", 640)
    before = [tiny.listing(folder) for folder in folders]
    page, good = tmp_path / "page.html", tmp_path / "good.txt"
    assert styl("inspect", *map(str, folders), "-o", str(page), "--write-list", str(good)) == 0
    said = capsys.readouterr()
    assert "first look" in said.err
    assert "closer look" in said.out
    assert [tiny.listing(folder) for folder in folders] == before
    found = json.loads(page.with_suffix(".json").read_text())
    assert found["stage"] == "vae"
    assert [folder["name"] for folder in found["folders"]] == ["horses", "zebras"]
    assert [Path(one["path"]).name for one in found["folders"][0]["unreadable"]] == ["broken.png"]
    scores = [one["score"] for one in found["odd"]]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == sum(folder["pictures"] for folder in found["folders"])
    assert all(Path(one["path"]).is_absolute() for one in found["odd"])
    assert page.read_text().count("data:image/jpeg") > 10
    clustered = [path for cluster in found["clusters"] for path in (*cluster["keep"], *cluster["leave_out"])]
    assert len(clustered) == len(set(clustered)) >= 8
    assert {path for cluster in found["clusters"] for path in cluster["leave_out"]} == {
        pair["second"] for pair in found["duplicates"]
    }
    for cluster in found["clusters"]:
        pairs = [
            p for p in found["duplicates"] if {p["first"], p["second"]} <= {*cluster["keep"], *cluster["leave_out"]}
        ]
        assert cluster["difference"] <= max(pair["difference"] for pair in pairs)
        assert cluster["folders"] == sorted({name for pair in pairs for name in pair["folders"]})
    kept = good.read_text().splitlines()
    flagged = {one["path"] for one in found["odd"] if one["flagged"]}
    assert flagged
    assert set(kept).isdisjoint(flagged)
    assert set(kept) < {one["path"] for one in found["odd"]}
    assert set(kept).isdisjoint(path for cluster in found["clusters"] for path in cluster["leave_out"])


def test_folders_named_from_here_are_listed_whole(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[1].parent)
    good = tmp_path / "elsewhere" / "good.txt"
    assert styl("inspect", "zebras", "--quick", "-o", str(tmp_path / "page.html"), "--write-list", str(good)) == 0
    named = {Path(line) for line in good.read_text().splitlines()}
    assert named
    assert named <= set(folders[1].iterdir())


def test_the_list_is_what_a_training_learns_from(folders: tuple[Path, Path], tmp_path: Path) -> None:
    names = [folder / f"{i:05d}.png" for folder in folders for i in (1, 7, 30)]
    (tmp_path / "good.txt").write_text("".join(f"{name}\n" for name in names))
    data = tiny.experiment(folders, f"data.only={tmp_path / 'good.txt'}").data
    assert [path for album in scan(data).albums for path in album.usable] == names


@pytest.mark.parametrize(("name", "code"), [("good.json", 0), ("good.txt", 2)])
def test_odd_names_go_from_list_to_training_or_are_refused_at_once(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders[1], "zebras")
    Path("zebras/00001.png").rename("zebras/line\nbreak.png")
    words = ("inspect", "zebras", "--quick", "-o", "page.html", "--write-list", name)
    if code:
        with pytest.raises(UsageError, match="no line of a list can hold this name"):
            styl(*words)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["zebras"]
        return
    assert styl(*words) == 0
    data = Experiment.load("tiny").replace(data__folders=("zebras", "zebras"), data__only=name).data
    assert "line\nbreak.png" in [path.name for path in scan(data).albums[0].usable]


def test_one_folder_quickly_for_a_program(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert styl("inspect", str(folders[1]), "--quick", "--json", "-o", str(tmp_path / "a.html")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["stage"] == "descriptor"
    assert found["separable"] is None
    assert found["misfiled"] == []
    assert {"path", "score"} <= found["odd"][0].keys()


def test_the_same_seed_finds_the_same(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclegan.training.acquaintance.LEAST", 320)
    monkeypatch.setattr("cyclegan.training.acquaintance.MOST", 320)
    twice = [list(inspect(folders, names=("a", "b"), device="cpu", seed=5)) for _ in range(2)]
    for one, other in zip(*twice, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_three_folders_or_none_are_too_many_or_too_few(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from cyclegan.errors import InputError, UsageError

    with pytest.raises(UsageError, match="two folders are needed, 3 given"):
        styl("inspect", *map(str, folders), str(tmp_path))
    with pytest.raises(InputError, match="no pictures in it"):
        styl("inspect", str(tmp_path))
    with pytest.raises(InputError, match="is no page"):
        styl("inspect", str(folders[0]), "-o", str(tmp_path / "a.txt"))
