"""The pages in a browser, driven by mouse and keys: pairs, previews, players, ticks; and what is left without scripts.

Run with `pytest -m browser`, where Playwright is installed (pip install playwright) and Chromium is there.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_inspection_page import cluster, findings, folder, group, odd, rich
from test_reporting import LOOKS, WHOLE, example, make, voice_run

from cyclegan.media.folder import listed
from cyclegan.reporting.inspection import write_inspection
from cyclegan.reporting.report import report
from cyclegan.reporting.runs import read_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
WIDTHS = (390, 600, 768, 1024, 1280, 1600)
Page = Any  # of Playwright, which need not be there

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return pages of every kind, by what they are of."""
    root = tmp_path_factory.mktemp("pages")
    run = make(root / "run", WHOLE, saved=1000)
    for line, colour in zip(LOOKS, ("black", "red", "green", "blue"), strict=True):
        Image.new("RGB", (320, 200), colour).save(run / "sheets" / f"{line['images']:09d}.jpg")
    Image.new("RGB", (320, 200), "white").save(run / "sheets" / "extremes.jpg")
    example(run, "b-1", "b-1-to-a", side=128)
    for name, colour in {"a-1": "red", "a-1-to-b": "blue"}.items():
        Image.new("RGB", (128, 128), colour).save(run / "samples" / f"{name}.jpg")
    runs = {"pictures": run, "voices": voice_run(root / "voices")}
    found = {name: root / f"{name}.html" for name in (*runs, "folders")}
    for name, path in runs.items():
        found[name].write_bytes(report(read_run(path)))
    write_inspection(rich(root), found["folders"])
    return found


def opened(browser: Any, path: Path, *, width: int = 1280, **of: Any) -> Page:
    """Open a page that may ask nobody for anything and has nothing to complain of."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **of)
    page = context.new_page()
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.on(
        "request", lambda r: page.heard.append(r.url) if not r.url.startswith(("data:", "blob:", "file:")) else None
    )
    page.goto(path.as_uri())
    assert page.heard == []
    return page


def until(page: Page, true: str, *, seconds: float = 10) -> None:
    """Wait for something to become true; Playwright's own way to wait is what the page's policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(true):
        assert time.monotonic() < deadline, true
        page.wait_for_timeout(20)


def colour(page: Page, selector: str, *, across: float) -> tuple[int, ...]:
    """Return the colour that is seen in an element, so far from its left edge, a quarter down."""
    shot = Image.open(BytesIO(page.locator(selector).first.screenshot())).convert("RGB")
    return tuple(np.asarray(shot)[shot.height // 4, round(across * (shot.width - 1))].tolist())


def near(one: tuple[int, ...], other: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 30


RED, GREEN, BLUE, BLACK = (254, 0, 0), (0, 128, 0), (0, 0, 254), (0, 0, 0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["pictures", "voices", "folders"])
def test_no_page_scrolls_sideways(browser: Any, pages: dict[str, Path], kind: str, scheme: str) -> None:
    for width in WIDTHS:
        for scripts in (True, False):
            page = opened(browser, pages[kind], width=width, color_scheme=scheme, java_script_enabled=scripts)
            page.locator("details").evaluate_all("every => every.forEach(one => one.open = true)")
            root = page.locator("html")
            assert root.evaluate("e => e.scrollWidth - e.clientWidth") == 0, (width, scripts)
            page.context.close()


def test_a_pair_is_divided_where_the_mouse_is_and_the_keys_go(browser: Any, pages: dict[str, Path]) -> None:
    page = opened(browser, pages["pictures"])
    frame = page.locator(".pair .frame").first
    box = frame.bounding_box()
    assert near(colour(page, ".pair .frame", across=0.2), RED)  # before
    assert near(colour(page, ".pair .frame", across=0.8), BLUE)  # after
    y = box["y"] + box["height"] / 4
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], y, steps=8)
    page.mouse.up()
    assert near(colour(page, ".pair .frame", across=0.8), RED)
    assert near(colour(page, ".pair .frame", across=0.97), BLUE)
    slider = frame.locator("input")
    assert float(slider.input_value()) == pytest.approx(90, abs=1)
    page.mouse.click(box["x"] + 0.25 * box["width"], y)
    assert float(slider.input_value()) == pytest.approx(25, abs=1)
    for key, wanted in {"ArrowLeft": 24, "ArrowRight": 25, "End": 100, "Home": 0}.items():
        page.keyboard.press(key)
        assert float(slider.input_value()) == pytest.approx(wanted, abs=1)
    assert near(colour(page, ".pair .frame", across=0.02), BLUE)
    assert slider.get_attribute("aria-valuetext") == "0 % before, 100 % after"
    assert page.heard == []


def test_previews_are_stepped_through_by_keys_mouse_and_play(browser: Any, pages: dict[str, Path]) -> None:
    page = opened(browser, pages["pictures"])
    slider, said = page.locator(".previews input"), page.locator(".steps p")
    assert near(colour(page, ".stage img", across=0.5), GREEN)  # the best
    assert said.inner_text() == "600 pictures seen, KID × 1000 30.0: the best"
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert near(colour(page, ".stage img", across=0.5), RED)
    assert said.inner_text() == "300 pictures seen, KID × 1000 50.0" == slider.get_attribute("aria-valuetext")
    page.keyboard.press("End")
    assert near(colour(page, ".stage img", across=0.5), BLUE)
    page.keyboard.press("Home")
    assert near(colour(page, ".stage img", across=0.5), BLACK)
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert near(colour(page, ".stage img", across=0.5), BLUE)
    button = page.locator(".steps button")
    button.click()
    assert button.inner_text() == "Pause"
    assert near(colour(page, ".stage img", across=0.5), BLACK)  # from the start
    until(page, "document.querySelector('.steps button').textContent === 'Play'")
    assert near(colour(page, ".stage img", across=0.5), BLUE)
    assert page.locator(".previews details").count() == 0
    assert page.heard == []


def test_one_voice_is_heard_at_a_time(browser: Any, pages: dict[str, Path]) -> None:
    page = opened(browser, pages["voices"])
    first, second = page.locator("audio").nth(0), page.locator("audio").nth(1)
    first.evaluate("sound => { sound.loop = true; return sound.play(); }")
    second.evaluate("sound => { sound.loop = true; return sound.play(); }")
    until(page, "document.querySelectorAll('audio')[0].paused")
    assert not second.evaluate("sound => sound.paused")
    until(page, "parseFloat(document.querySelectorAll('.voice div')[1].style.getPropertyValue('--at')) > 0")
    assert page.heard == []


def test_without_scripts_everything_is_there(browser: Any, pages: dict[str, Path]) -> None:
    page = opened(browser, pages["pictures"], java_script_enabled=False)
    one, other = (page.locator(".pair img").nth(i).bounding_box() for i in (0, 1))
    assert other["x"] >= one["x"] + one["width"]
    assert near(colour(page, ".pair .frame", across=0.2), RED)
    assert near(colour(page, ".pair .frame", across=0.8), BLUE)
    assert not page.locator("input").first.is_visible()
    assert near(colour(page, ".stage img", across=0.5), GREEN)
    page.locator(".previews summary").click()
    assert page.locator(".previews img:visible").count() == len(LOOKS)
    page = opened(browser, pages["folders"], java_script_enabled=False)
    assert not page.locator(".list").is_visible()
    assert page.locator(".tick:visible").count() == 0
    assert page.locator("img").first.is_visible()


def downloaded(page: Page, target: Path) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download good.txt").click()
    assert download.value.suggested_filename == "good.txt"
    download.value.save_as(target)
    return target.read_bytes()


def test_ticks_make_the_list_that_a_training_takes(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    page, root = opened(browser, pages["folders"]), pages["folders"].parent
    said = page.get_by_role("status")
    assert said.inner_text() == "72 of 80 are learnt from, 8 left out."
    everything = {root / name / f"{i}.png" for name in ("horses", "zebras") for i in range(40)}
    out = {root / name for name in ("horses/0.png", "zebras/0.png", "horses/2.png", "horses/9.png", "horses/23.png")}
    out |= {root / name for name in ("horses/24.png", "horses/8.png", "zebras/4.png")}
    downloaded(page, tmp_path / "good.txt")
    assert listed(tmp_path / "good.txt") == everything - out
    page.get_by_label("learn from 2.png").check()
    page.locator("label", has=page.get_by_label("learn from 5.png", exact=True)).locator(
        "img"
    ).click()  # the picture, too
    together = page.get_by_label("learn from all 12")
    together.focus()
    page.keyboard.press("Space")
    downloaded(page, tmp_path / "good.txt")
    out |= {root / "horses" / f"{i}.png" for i in (5, *range(10, 22))}
    out -= {root / "horses" / "2.png"}
    assert listed(tmp_path / "good.txt") == everything - out
    assert said.inner_text() == "60 of 80 are learnt from, 20 left out."
    page.get_by_label("learn from 15.png").first.check()
    assert together.evaluate("tick => tick.indeterminate")
    page.get_by_role("button", name="As suggested").click()
    assert said.inner_text() == "72 of 80 are learnt from, 8 left out."
    assert together.is_checked()
    assert page.heard == []


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_of_any_bytes_come_out_as_they_are(browser: Any, tmp_path: Path) -> None:
    place = tmp_path / "caf\udce9 </script>"
    names = ["a.png", "\u202e馬😀.png", "caf\udce9\udcff.png", "é\udcc3.png", "'\"<!--<script>.png", "\\u0041 \t.png"]
    broken = ["two\nlines.png", "\u2028.png"]
    found = findings(
        folder(place, 8), odd=[odd(str(place / name), place.name, flagged=False) for name in (*names, *broken)]
    )
    write_inspection(found, tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html")
    assert "Not listed, for the line breaks in their names: 2." in page.get_by_role("status").inner_text()
    wanted = sorted(str(place / name) for name in names)
    lines = downloaded(page, tmp_path / "good.txt").decode("utf-8", "surrogateescape").split("\n")
    assert sorted(lines[:-1]) == wanted
    assert lines[-1] == ""


def test_a_file_that_is_shown_twice_has_one_tick(browser: Any, tmp_path: Path) -> None:
    paths = [str(tmp_path / "a" / f"{i}.png") for i in range(12)]
    every = [odd(path, "a", flagged=path == paths[1]) for path in paths]
    of = {"clusters": [cluster(*paths[:3], folders="a")], "groups": [group("a", paths[1:9], counterpart=None)]}
    write_inspection(findings(folder(tmp_path / "a", 12), odd=every, **of), tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html")
    ticks = page.get_by_label("learn from 1.png", exact=True)
    assert ticks.count() == 3
    ticks.nth(2).check()
    assert all(ticks.nth(i).is_checked() for i in range(3))
    assert json.loads(page.locator("#files").inner_text())["out"] == [1, 4]  # 1.png and 2.png, sorted as texts
