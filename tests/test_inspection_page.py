"""The page and the table of an inspection: what was found in folders, for people, whatever the files are called."""

import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import Page
from PIL import Image

from cyclegan.reporting.inspection import summary, write_inspection
from cyclegan.reporting.selection import worthwhile
from cyclegan.reporting.thumbnails import LARGEST, thumbnails

ROOT = Path(__file__).parents[1]
Found = dict[str, Any]


def draw(path: Path, size: tuple[int, int] = (40, 30), colour: str = "brown") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return str(path)


def folder(place: Path, count: int, *, name: str = "", **of: Any) -> Found:
    sizes = {"smallest": [64, 48], "median": [256, 256], "largest": [800, 600]}
    known = {"pictures": count, "files": count, "unreadable": [], "constant": [], "copies": 0}
    return {"name": name or place.name, "folder": str(place)} | sizes | known | of


def odd(path: str, name: str, *, nearest: str | None = None, flagged: bool = True) -> Found:
    return {"path": path, "folder": name, "score": 7.31, "flagged": flagged, "nearest": nearest}


def cluster(*paths: str, folders: str = "horses", kept: int = 1) -> Found:
    keep, leave_out = list(paths[:kept]), list(paths[kept:])
    return {"keep": keep, "leave_out": leave_out, "folders": folders.split(), "difference": 0.0412}


def group(name: str, pictures: list[str], *, counterpart: int | None) -> Found:
    return {"folder": name, "pictures": pictures, "share": 0.05, "counterpart": counterpart}


def findings(*folders: Found, **of: Any) -> Found:
    """What an inspection that finds nothing says, but for `of`."""
    nothing: Found = {"odd": [], "duplicates": [], "clusters": [], "misfiled": [], "groups": []}
    separable = 0.99 if len(folders) > 1 else None
    return {"stage": "vae", "seconds": 31.2, "folders": list(folders), "separable": separable} | nothing | of


def rich(root: Path, *, draw_them: bool = True) -> Found:
    """Two folders in which there is some of everything."""
    horses, zebras = root / "horses", root / "zebras"
    a, b = ([str(place / f"{i}.png") for i in range(40)] for place in (horses, zebras))
    if draw_them:
        for i, path in enumerate([*a, *b]):
            draw(Path(path), colour=f"rgb({3 * i},100,0)")
    unreadable = [{"path": str(horses / "cut.jpg"), "why": "cannot be decoded (truncated)"}]
    return findings(
        folder(horses, 1067, files=1070, unreadable=unreadable, constant=[str(horses / "grey.png")], copies=1),
        folder(zebras, 1334),
        odd=[
            odd(a[0], "horses", nearest=a[1]),
            odd(b[0], "zebras", nearest=b[1]),
            odd(a[2], "horses", nearest=a[1]),
            odd(a[3], "horses", nearest=a[1], flagged=False),
            *(odd(path, path.split("/")[-2], flagged=False) for path in (a[1], *a[4:], *b[1:])),
        ],
        clusters=[
            cluster(a[5], a[6], a[23], a[24], kept=2),
            cluster(a[4], b[4], folders="horses zebras"),
            cluster(a[7], a[8]) | {"difference": 0.0},
        ],
        misfiled=[{"path": a[9], "folder": "horses", "looks_like": "zebras", "score": 0.98, "nearest": b[9]}],
        groups=[group("horses", a[10:22], counterpart=0), group("zebras", b[10:18], counterpart=41)],
    )


def page_of(found: Found, target: Path) -> Page:
    write_inspection(found, target)
    page = Page(target.read_text("utf-8"))
    page.stand_alone()
    page.be_readable()
    return page


def pixels(image: dict[str, str]) -> Image.Image:
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(BytesIO(b64decode(data)))


# --- the terminal


def test_the_table_of_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = """\
closer look, 31 s      horses/    zebras/
files                    1,070      1,334
pictures                 1,067      1,334
cannot be read               1          0
of one colour                1          0
exact copies                 1          0
odd ones out                 2          1
near-duplicates              3          0
clusters of them             2          0
clusters in both             1          1
in the wrong folder          1          0
small groups                 1          1
median size          256 × 256  256 × 256
small group: 12 pictures of horses/ (5 %); no counterpart in zebras/: expect artefacts
small group: 8 pictures of zebras/ (5 %); 41 like them in horses/
folders told apart: 99 % (50 % would mean: nothing to learn)
train without the odd ones and with rare ones shown more often:
  styl train horses zebras --balance"""
    assert summary(rich(tmp_path, draw_them=False)) == wanted


def test_the_table_of_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = findings(
        folder(Path("/far/two words"), 120, name="馬"), stage="descriptor", seconds=1.4, odd=[odd("/x.png", "馬")]
    )
    wanted = """\
first look, 1 s        馬/
pictures               120
odd ones out             1
near-duplicates          0
small groups             0
median size      256 × 256
fewer than 200 pictures in a folder: what is odd among so few is a guess
list all but the odd ones, to train with:
  styl inspect '/far/two words' --write-list good.txt"""
    assert summary(found) == wanted


def test_advice_only_where_there_is_something_to_do(tmp_path: Path) -> None:
    two = (folder(tmp_path / "a", 300), folder(tmp_path / "b", 300))
    assert "styl " not in summary(findings(*two, odd=[odd("/x.png", "a", flagged=False)]))
    alone = [group("a", ["/1.png"] * 9, counterpart=0)]
    assert "styl " not in summary(findings(*two, groups=alone))  # showing these more often makes it worse
    assert "--write-list" in summary(findings(*two, groups=alone, odd=[odd("/x.png", "a")]))
    met = summary(findings(*two, groups=[group("a", ["/1.png"] * 9, counterpart=3)]))
    assert met.endswith(
        f"\ntrain with rare ones shown more often:\n  styl train {two[0]['folder']} {two[1]['folder']} --balance"
    )
    assert not re.search("(?i)bad|debias", summary(rich(tmp_path, draw_them=False)))


def test_a_terminal_gets_neither_control_characters_nor_endless_lines(tmp_path: Path) -> None:
    hostile = folder(tmp_path / "a\x1b[31m\nb", 300, name="a\x1b[31m\n" + "n" * 200)
    told = summary(findings(hostile, odd=[odd("/x.png", hostile["name"])], groups=[]))
    assert told.replace("\n", "").isprintable()
    assert all(len(line) < 60 for line in told.splitlines()[:4])
    assert "a\\x1b[31m" in told


# --- the page


def test_the_page_shows_everything_beside_what_it_is_compared_with(tmp_path: Path) -> None:
    page = page_of(rich(tmp_path), tmp_path / "inspect.html")
    parts = page.sections()
    assert list(parts) == [
        "At a glance",
        "Odd ones out",
        "In the wrong folder",
        "Near-duplicates",
        "Small groups",
        "Files",
        "What there is to learn",
    ]
    assert "Worth a look 3 odd ones out, 4 near-duplicates in 3 clusters, 1 picture in the wrong folder, " in page.text
    assert "2 small groups, 1 exact copy, 1 file that cannot be read. horses/ 1,067 pictures" in page.text
    assert f"styl train {tmp_path}/horses {tmp_path}/zebras --balance" in parts["At a glance"]
    assert "odd ones out 2 1 near-duplicates 3 0 clusters of them 2 0 clusters in both 1 1" in parts["At a glance"]
    assert "horses/ 0.png score 7.3 1.png nearest normal 2.png" in parts["Odd ones out"]
    assert "3.png" not in parts["Odd ones out"]  # suspicious, but not set aside
    assert "In horses/ 9.png score 0.98 for zebras/ 9.png nearest in zebras/" in parts["In the wrong folder"]
    within, across = parts["Near-duplicates"].split("In both folders ")
    assert "Within horses/ 4 alike, difference up to 0.041 5.png 6.png 23.png 24.png 2 alike, equal 7.png" in within
    assert across == "2 alike, difference up to 0.041 horses/4.png zebras/4.png"
    missing, met = parts["Small groups"].split("8 pictures of zebras/")
    assert "nothing to turn them into" in missing
    assert "41 pictures of horses/ are like them" in met
    assert "cut.jpg cannot be decoded (truncated) grey.png of one colour" in parts["Files"]
    assert "99 % of the pictures" in parts["What there is to learn"]
    assert len(page.all("img")) == 2 * 3 + 2 * 1 + 4 + 2 * 2 + 12 + 8
    assert not re.search("(?i)bad|debias", page.text)


def test_what_is_read_out_in_the_place_of_a_picture(tmp_path: Path) -> None:
    images = page_of(rich(tmp_path), tmp_path / "inspect.html").all("img")
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in images)
    assert [image["alt"] for image in images[:2]] == ["odd: 0.png", "nearest normal: 1.png"]
    told = {image["alt"] for image in images}
    assert {"kept: 5.png", "kept: 6.png", "much the same: 23.png", "much the same: zebras/4.png"} < told


def test_what_scores_mean_is_said_with_the_limits_that_are_used(tmp_path: Path) -> None:
    from cyclegan.curation.duplicates import ALIKE
    from cyclegan.curation.findings import UNUSUAL

    parts = page_of(rich(tmp_path), tmp_path / "inspect.html").sections()
    assert f"in robust standard deviations: most are below {UNUSUAL:g}." in parts["Odd ones out"]
    assert "how sure it is, from 0 to 1, that a picture belongs to the other folder" in parts["In the wrong folder"]
    assert f"0 is equal, from {ALIKE:g} on they count as two" in parts["Near-duplicates"]


# --- the list


def table_of(page: Page) -> tuple[list[str], list[str]]:
    """Return all paths of a page's table, as its script joins them, and those that are left out to begin with."""
    table = json.loads(page.codes["application/json"])
    paths = [f"{folder}/{name}" for folder, names in table["folders"] for name in names]
    return paths, [paths[number] for number in table["out"]]


def test_ticks_begin_with_what_the_command_would_list(tmp_path: Path) -> None:
    found = rich(tmp_path)
    page = page_of(found, tmp_path / "inspect.html")
    paths, out = table_of(page)
    assert sorted(set(paths) - set(out)) == worthwhile(found)
    assert {Path(path).relative_to(tmp_path).as_posix() for path in out} == {
        *("horses/0.png", "zebras/0.png", "horses/2.png"),  # odd
        *("horses/9.png", "horses/23.png", "horses/24.png", "horses/8.png", "zebras/4.png"),
    }
    ticks = {tick["aria-label"]: tick["data-files"] for tick in page.all("input") if "aria-label" in tick}
    for path in ("horses/5.png", "zebras/4.png", "horses/20.png"):
        name = Path(path).name if path != "zebras/4.png" else path
        assert paths[int(ticks[f"learn from {name}"])] == str(tmp_path / path)
    (together, _) = [tick["data-files"] for tick in page.all("input") if "aria-label" not in tick]
    assert [paths[int(number)] for number in together.split()] == found["groups"][0]["pictures"]
    assert "learn from 1.png" not in ticks  # what others are compared with is no choice
    assert f"styl train {tmp_path}/horses {tmp_path}/zebras --only good.txt" in page.text


def test_one_folder_is_learnt_alone_and_one_of_voices_is_not(tmp_path: Path) -> None:
    one = folder(tmp_path / "a", 300)
    assert f"styl train {tmp_path}/a --preset vae --only good.txt" in page_of(findings(one), tmp_path / "i.html").text
    voices = {
        "kind": "recordings",
        "folders": [one | {"seconds": 9.0, "rates": [8000], "median": 1.0, "shortest": 1.0}],
    }
    voices["folders"][0]["longest"] = 2.0
    assert "styl train" not in page_of(findings(one, **voices), tmp_path / "i.html").text


def test_a_list_may_lie_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(Path("horses/1.png"))
    found = findings(folder(Path("horses"), 1), odd=[odd("horses/1.png", "horses", flagged=False)])
    assert worthwhile(found) == [str(tmp_path / "horses" / "1.png")]
    assert table_of(page_of(found, tmp_path / "inspect.html"))[0] == worthwhile(found)


def test_the_folder_where_one_stands_has_ticks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [draw(Path(name)) for name in ("1.png", "more/2.png", "more/3.png")]
    every = [odd(name, "x", flagged=name == "1.png") for name in names]
    found = findings(folder(Path(), 3, name="x"), odd=every, clusters=[cluster(*names[1:], folders="x")])
    page = page_of(found, tmp_path / "inspect.html")
    assert table_of(page) == (
        [str(tmp_path / name) for name in names],
        [str(tmp_path / n) for n in (names[0], names[2])],
    )
    assert [tick["data-files"] for tick in page.all("input")] == ["0", "1", "2"]


def test_of_too_many_names_the_command_makes_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclegan.reporting.selection.LONGEST", 500)
    page = page_of(rich(tmp_path), tmp_path / "inspect.html")
    assert "application/json" not in page.codes
    assert not page.all("input")
    assert "good.txt" not in page.text
    assert len(page.all("img")) == 2 * 3 + 2 * 1 + 4 + 2 * 2 + 12 + 8


# --- what people meet


def test_one_folder_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    paths = [draw(tmp_path / "horses" / f"{i}.png") for i in range(9)]
    found = findings(
        folder(tmp_path / "horses", 100),
        odd=[odd(paths[0], "horses")],
        groups=[group("horses", paths, counterpart=None)],
    )
    page = page_of(found, tmp_path / "inspect.html")
    assert list(page.sections()) == ["At a glance", "Odd ones out", "Small groups", "Files"]
    assert "guess" in page.sections()["Odd ones out"]
    assert "seldom paint the like" in page.sections()["Small groups"]
    assert not re.search("None|counterpart|told apart", page.text)
    assert len(page.all("img")) == 1 + 9  # without a nearest one the odd one stands alone


def test_where_nothing_is_found_little_is_said(tmp_path: Path) -> None:
    two = (folder(tmp_path / "a", 300), folder(tmp_path / "b", 300))
    page = page_of(findings(*two), tmp_path / "inspect.html")
    assert list(page.sections()) == ["At a glance", "Files", "What there is to learn"]
    assert "Nothing stands out" in page.text
    assert not page.all("img")
    alike = page_of(findings(*two, separable=0.52), tmp_path / "inspect.html")  # over the old page
    assert "Hardly to be told apart" in alike.text
    assert "little to learn" in alike.text
    assert "Nothing stands out" not in alike.text


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = [
        "<script>alert(1)<",
        '"><img src=x onerror=y>.png',
        "{{ 7 * 7 }}.png",
        "\x1b[31m\n.png",
        "\u202egnp.exe",
        "caf\udce9.png",
    ]
    place = tmp_path / "<em>a & 'so'"
    paths = [draw(place / "x.png")] + [str(place / name) for name in evil]
    for path in paths[1:]:
        os.link(paths[0], path)
    name = "<u>\x07"
    found = findings(
        folder(place, 300, name=name, unreadable=[{"path": p, "why": "<s>\x1b"} for p in paths], constant=paths),
        folder(tmp_path / "b", 300),
        odd=[odd(path, name, nearest=paths[0]) for path in paths[1:]],
        clusters=[cluster(*paths) | {"folders": [name]}, cluster(*paths, kept=3) | {"folders": [name, "b"]}],
        misfiled=[{"path": p, "folder": "b", "looks_like": name, "score": 0.9, "nearest": p} for p in paths],
        groups=[group(name, paths, counterpart=0)],
    )
    page = page_of(found, tmp_path / "inspect.html")
    assert not {"u", "s", "em"} & set(page.tags)
    assert len(page.addresses) == len(page.all("img"))
    assert set(table_of(page)[0]) == set(paths[1:])
    for written in (*evil[:3], "\\x1b[31m\\n.png", "\\u202egnp.exe", "caf\\xe9.png", "<u>\\x07/", "<s>\\x1b"):
        assert written in page.text, written
    assert all(c.isprintable() or c in "\n\N{NO-BREAK SPACE}" for c in page.html)


def test_what_cannot_be_read_is_named_without_a_picture(tmp_path: Path) -> None:
    found = rich(tmp_path)
    (tmp_path / "horses" / "0.png").unlink()  # gone
    (tmp_path / "horses" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    (tmp_path / "horses" / "2.png").unlink()
    (tmp_path / "horses" / "2.png").mkdir()
    page = page_of(found, tmp_path / "inspect.html")
    shown = page.sections()["Odd ones out"]
    assert "cannot be shown 0.png score 7.3 cannot be shown 1.png nearest normal cannot be shown 2.png" in shown
    assert shown.count("cannot be shown") == 4
    assert len(page.all("img")) == 2 * 3 + 2 * 1 + 4 + 2 * 2 + 12 + 8 - 4


def test_a_page_is_bounded_and_no_folder_hides_the_other(tmp_path: Path) -> None:
    path = draw(tmp_path / "a" / "noise.png")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(path)
    found = findings(
        folder(tmp_path / "a", 50_000, unreadable=[{"path": path, "why": "cut"}] * 5000),
        folder(tmp_path / "b", 50_000),
        odd=[odd(path, "a", nearest=path)] * 900 + [odd(path, "b", nearest=path)] * 5,
        clusters=[cluster(*[path] * 20, folders="a")] * 900,
        misfiled=[{"path": path, "folder": "b", "looks_like": "a", "score": 0.9, "nearest": path}] * 900,
        groups=[group("a", [path] * 900, counterpart=0)] * 90,
    )
    page = page_of(found, tmp_path / "inspect.html")
    assert len(page.all("img")) == 3 * 60 + 40 * 8
    assert len(page.html) < 6_000_000
    parts = page.sections()
    assert "and 875 more" in parts["Odd ones out"]
    assert parts["Near-duplicates"].count("and 12 more") == 40
    assert "and 860 more" in parts["Near-duplicates"]
    assert parts["Odd ones out"].partition(" b/ ")[2].count("score") == 5
    assert "and 4,940 more" in parts["Files"]
    assert len(summary(found).splitlines()) < 25


def test_thumbnails_are_small_and_keep_their_shape(tmp_path: Path) -> None:
    sizes = {"wide": (500, 250), "tall": (100, 400), "small": (30, 20), "sliver": (4000, 3), "dot": (1, 1)}
    paths = {name: draw(tmp_path / f"{name}.png", size, "teal") for name, size in sizes.items()}
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)).save(noise)
    made = thumbnails([*paths.values(), paths["wide"], str(noise), "a\0b", ""])
    assert (made.pop("a\0b"), made.pop("")) == ("", "")
    found = {name: pixels({"src": made[path]}) for name, path in paths.items()}
    assert {name: image.size for name, image in found.items()} == {
        "wide": (128, 64),
        "tall": (32, 128),
        "small": (30, 20),
        "sliver": (128, 1),
        "dot": (1, 1),
    }
    assert np.abs(np.asarray(found["wide"], int) - [0, 128, 128]).max() < 4
    assert len(b64decode(made[str(noise)].partition(",")[2])) <= LARGEST


def test_it_needs_no_torch() -> None:
    program = "import sys, cyclegan.reporting.inspection\nassert not {'torch', 'safetensors'} & set(sys.modules)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
