"""Reports on runs: what a log says, how a run fares, what to do next, and a page that stands alone."""

import json
import math
import os
import re
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pages import Page
from PIL import Image

from cyclegan.cli.display import Display
from cyclegan.cli.runs import runs as runs_verb
from cyclegan.errors import InputError
from cyclegan.experiment import Experiment
from cyclegan.locks import lock
from cyclegan.media.sounds.wav import encode_wav
from cyclegan.reporting import previews
from cyclegan.reporting.advice import advise
from cyclegan.reporting.chart import BINS, Chart, Level, Mark, Series, tick_texts, ticks
from cyclegan.reporting.curves import charts
from cyclegan.reporting.log import read_log
from cyclegan.reporting.previews import spread
from cyclegan.reporting.report import report
from cyclegan.reporting.runs import list_runs, read_run
from cyclegan.reporting.shell import typed
from cyclegan.reporting.words import duration
from cyclegan.tables import flat
from cyclegan.training.ledger import SLOWER

ROOT = Path(__file__).parents[1]
GOOD = {"kid_std": 0.001, "fid": 90.0, "cycle": 7.0, "change": 20.0, "diversity": 0.8}
Line = dict[str, Any]


def step(images: int, **losses: float) -> Line:
    known = {"G": 0.5, "F": 0.5, "cycle_x": 0.05, "cycle_y": 0.06, "D_x": 0.2, "D_y": 0.2} | losses
    return {
        "images": images,
        "progress": images / 1000,
        "seconds": images / 10,
        "images_per_second": 10.0,
        "learning_rate": 2e-4,
        "losses": known,
    }


def look(images: int, kid: float, *, untranslated: float = 0, domains: tuple[str, str] = ("a", "b"), **of: Any) -> Line:
    measure = {name: GOOD | {"kid": kid} | of for name in domains}
    line = {"images": images, "features": "own", "measure": measure, "kid": kid, "alarms": []}
    return line | ({"untranslated": {n: {"kid": untranslated, "fid": 200.0} for n in domains}} if untranslated else {})


def make(folder: Path, lines: list[Line], *, saved: int = 0, domains: tuple[str, ...] = ("a", "b"), **of: Any) -> Path:
    """Write a run as training writes one; `of` changes its experiment, which asks for 1,000 pictures."""
    (folder / "state").mkdir(parents=True)
    (folder / "sheets").mkdir()
    settings = {"training__images": 1000, "data__domains": domains} | of
    (folder / "experiment.toml").write_bytes(
        Experiment.load("tiny").replace(**settings).toml().encode("utf-8", "surrogateescape")
    )
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "environment.json").write_text(json.dumps({"command": ["styl", "train", "--preset", "tiny"]}))
    for line in lines:
        if "measure" in line:
            Image.new("RGB", (32, 16), "brown").save(folder / "sheets" / f"{line['images']:09d}.jpg")
    if saved:
        (folder / "state" / f"{saved:012d}.safetensors").write_bytes(b"never opened")
    return folder


def drawn(images: int, kid: float, **of: Any) -> Line:
    """Return a look at what a model of one folder draws."""
    figures = {"kid": kid, "kid_std": 0.001, "fid": 90.0, "diversity": 0.8, "copies": 0.03, "error": 12.3} | of
    return {"images": images, "features": "own", "measure": {"photos": figures}, "kid": kid}


def coded(images: int) -> Line:
    return step(images) | {"losses": {"error": 20.0, "nats": -800.0, "kl": 30.0 + images / 100}}


LOOKS = [look(0, 0.07, untranslated=0.07), look(300, 0.05), look(600, 0.03), look(1000, 0.04)]
WHOLE = [LOOKS[0], step(300), LOOKS[1], step(600), LOOKS[2], step(1000), LOOKS[3]]


# --- the log


def test_a_log_is_read_whatever_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    odd = ["5", "[]", "{", '{"images": "many"}', "[" * 9999, '{"images": 3, "losses": 4}', '{"images": true}', "\x00"]
    odd += [
        '{"images": 2, "measure": [1], "alarms": 7}',
        '{"images": 2, "measure": {"a": 5}, "untranslated": {"a": []}}',
    ]
    path.write_bytes("\n".join([*odd, *map(json.dumps, WHOLE)]).encode() + b'\n\xff\n{"images": 1200, "los')
    log = read_log(path)
    assert [s.images for s in log.steps] == [300, 600, 1000]
    assert log.best
    assert (log.best.images, log.best.kid, log.images, log.seconds) == (600, 0.03, 1000, 100.0)
    assert log.untranslated == {"a": {"kid": 0.07, "fid": 200.0}, "b": {"kid": 0.07, "fid": 200.0}}
    assert read_log(tmp_path / "none").best is None


def test_looks_of_old_have_no_kid_and_the_first_look_is_never_the_best(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    old = {"images": 500, "score": {"a": 20.0, "b": 30.0}, "mean_score": 25.0}
    path.write_text("\n".join(map(json.dumps, [look(0, 0.001), old, look(900, math.nan)])))
    log = read_log(path)
    assert len(log.looks) == 3
    assert log.best is None


def test_of_equal_looks_the_last_is_the_best_as_for_the_weights(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, [look(1, 0.02), look(2, 0.02), look(3, 0.05)])))
    best = read_log(tmp_path / "log.jsonl").best
    assert best
    assert best.images == 2


def measured(images: int, kid: float, protocol: str, **of: Any) -> Line:
    return look(images, kid) | {"protocol": protocol, "best": False} | of


OTHERWISE = [  # a run that went on with larger pictures: KID is another figure from there on
    {"images": 0, "protocol": "64", "untranslated": {n: {"kid": 0.07, "fid": 200.0} for n in "ab"}},
    measured(300, 0.02, "64", best=True),
    {"images": 300, "protocol": "128", "untranslated": {n: {"kid": 0.3, "fid": 300.0} for n in "ab"}},
    measured(600, 0.25, "128", best=True),
    measured(900, 0.251, "128", best=True, compared={"images": 600, "difference": 0.001, "error": 0.0015}),
    measured(1000, 0.26, "128", compared={"images": 600, "difference": 0.01, "error": 0.0015}),
]


def test_only_what_was_measured_alike_is_compared(tmp_path: Path) -> None:
    run = read_run(make(tmp_path / "run", OTHERWISE, saved=1000))
    assert [at.images for at in run.log.comparable] == [600, 900, 1000]
    assert run.log.best
    assert (run.log.best.images, run.log.best.kid) == (900, 0.251)
    assert run.log.untranslated["a"]["kid"] == 0.3
    kid = next(chart for chart in charts(run) if isinstance(chart, Chart) and chart.title == "KID")
    assert [x for x, _ in kid.series[0].points] == [600, 900, 1000]
    assert {level.value for level in kid.levels} == {300.0}
    before = read_run(make(tmp_path / "before", OTHERWISE[:3], saved=300))
    assert before.log.best
    assert (before.log.best.images, before.log.untranslated["a"]["kid"]) == (300, 0.07)


def test_a_difference_stands_beside_its_paired_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = page(make(tmp_path / "run", OTHERWISE, saved=1000)).text
    assert "900 pictures seen, KID × 1000 251.0, 1.0 ± 1.5 above the lowest before, at 600 (as good): the best" in told
    assert "1,000 pictures seen, KID × 1000 260.0, 10.0 ± 1.5 above the lowest before, at 600" in told
    with Display() as display:
        display.show(OTHERWISE[4])
    than = "mean 1.0 ± 1.5 above the lowest before, at 600 (as good)"
    assert capsys.readouterr().err == f"900 images: sheet written; KID × 1000 to a 251.0, to b 251.0; {than}\n"


def test_skimming_finds_the_same(tmp_path: Path) -> None:
    lines = (
        [step(i) for i in range(1, 300)]
        + [look(300, 0.05, domains=("losses", "b"))]
        + [step(i) for i in range(301, 400)]
    )
    folder = make(tmp_path / "run", lines)
    whole, skimmed = (read_log(folder / "log.jsonl", skim=skim) for skim in (False, True))
    assert (skimmed.best, skimmed.images, skimmed.seconds) == (whole.best, whole.images, whole.seconds)
    assert len(skimmed.steps) < 10 < len(whole.steps)


# --- the states of runs


def state(folder: Path) -> str:
    return read_run(folder).state


def test_states_are_told_from_names_and_text(tmp_path: Path) -> None:
    assert state(make(tmp_path / "finished", WHOLE, saved=1000)) == "finished"
    assert state(make(tmp_path / "stopped", WHOLE[:4], saved=600)) == "stopped"
    assert state(make(tmp_path / "unsaved", WHOLE)) == "stopped"  # the log is ahead of what a resume finds
    assert state(make(tmp_path / "further", WHOLE, saved=1000, training__images=2000)) == "stopped"
    assert state(make(tmp_path / "timed", WHOLE, saved=9, training__minutes=1.0)) == "finished"
    assert state(make(tmp_path / "short", WHOLE, saved=9, training__minutes=9.0)) == "stopped"
    assert state(make(tmp_path / "nan", [*WHOLE, step(1001, G=math.nan)], saved=600)) == "diverged"
    assert state(make(tmp_path / "failed", [*WHOLE, {"images": 1001, "failed": "no memory"}])) == "failed"
    (make(tmp_path / "torn", WHOLE) / "experiment.toml").write_text("[training\nimages")
    assert state(tmp_path / "torn") == "damaged"
    (make(tmp_path / "odd", WHOLE) / "experiment.toml").write_text("training = 5\ndata = [1]")
    assert state(tmp_path / "odd") == "stopped"
    (make(tmp_path / "bare", WHOLE) / "experiment.toml").unlink()
    assert state(tmp_path / "bare") == "damaged"


def test_training_is_what_a_living_process_holds(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE, saved=600)
    with lock(folder):
        text = (folder / ".lock").read_text()
        assert state(folder) == "training"
        assert (folder / ".lock").read_text() == text
    assert state(folder) == "stopped"  # the text is still there, and names us
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (folder / ".lock").write_text(re.sub(r"\d+", str(gone.pid), text, count=1))
    assert state(folder) == "stopped"
    (folder / ".lock").write_bytes(b"\xff rubbish")
    assert state(folder) == "stopped"


def test_runs_are_listed_newest_first_and_what_is_none_is_passed_over(tmp_path: Path) -> None:
    now = time.time()
    for age, name in enumerate(("c", "a", "b")):
        os.utime(make(tmp_path / name, WHOLE, saved=1000) / "log.jsonl", (now - age, now - age))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "log.jsonl.d" / "log.jsonl").mkdir(parents=True)
    assert [run.directory.name for run in list_runs(tmp_path)] == ["c", "a", "b"]
    assert [run.directory.name for run in list_runs(tmp_path / "a")] == ["a"]
    told = list_runs(tmp_path)[0].encode()
    assert told | {"age": 0} == {
        "run": str(tmp_path / "c"),
        "domains": ["a", "b"],
        "state": "finished",
        "best_kid": 0.03,
        "best_at": 600,
        "images": 1000,
        "images_wanted": 1000,
        "minutes_wanted": None,
        "seconds": 100.0,
        "age": 0,
    }
    for wrong in ("nowhere", "file.txt"):
        with pytest.raises(InputError):
            list_runs(tmp_path / wrong)
        with pytest.raises(InputError):
            read_run(tmp_path / wrong)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_a_table_or_json(as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "new", WHOLE, saved=1000, domains=("昼\x1b[31m", "b"))
    make(tmp_path / "timed", [], training__minutes=90.0)
    runs_verb(tmp_path, as_json=as_json)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    if as_json:
        assert {run["state"] for run in json.loads(out)["runs"]} == {"finished", "stopped"}
    else:
        assert re.search(r"new  .*finished  30\.0 at 600 +1,000 of 1,000  1 min 40 s", out)
        assert "0 s of 1 h 30 min" in out


def test_neither_command_needs_torch_and_runs_answers_at_once(tmp_path: Path) -> None:
    for i in range(20):
        make(tmp_path / f"{i}", [*(step(k) for k in range(0, 1000, 1)), *LOOKS], saved=1000)
    program = (
        "import sys, time\nfrom pathlib import Path\nbegan = time.process_time()\nimport cyclegan.cli as cli\n"
        "cli.runs.runs(Path(sys.argv[1]), as_json=True)\nspent = time.process_time() - began\n"
        "cli.report.report(Path(sys.argv[1]) / '0')\n"
        "assert not {'torch', 'safetensors'} & set(sys.modules)\nassert spent < 1.0, spent\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program, tmp_path], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[0])["runs"]) == 20


# --- advice


def said(tmp_path: Path, lines: list[Line], *, preset: str = "tiny", progress: float = 1.0, **of: Any) -> str:
    """Return all that is said of a run, in one line; `of` changes its experiment."""
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    last = max((line["images"] for line in lines), default=0)
    names = ("photos",) if any("photos" in line.get("measure", {}) for line in lines) else ("a", "b")
    settings = {"training__images": round((last or 1000) / progress), "data__domains": names} | of
    (tmp_path / "experiment.toml").write_text(Experiment.load(preset).replace(**settings).toml())
    return " | ".join(f"{a.kind}: {a.found} {a.then}" for a in advise(read_run(tmp_path)))


def test_a_run_that_improves_to_its_end(tmp_path: Path) -> None:
    lines = [*LOOKS[:3], look(1000, 0.02)]
    assert said(tmp_path, lines).startswith(
        "good: Still improving: the lowest KID is among the last quarter of the looks. Go further"
    )
    assert "Let it go on" in said(tmp_path, lines, progress=0.5)
    assert "Still improving" in said(tmp_path, [*LOOKS[:3], look(760, 0.02), look(1000, 0.03)])
    assert "Still improving" not in said(tmp_path, [*LOOKS[:3], look(750, 0.02), look(1000, 0.03)])


def test_a_run_whose_best_is_behind_it(tmp_path: Path) -> None:
    assert said(tmp_path, WHOLE) == (
        "note: KID was lowest at 600 of 1,000 pictures, and has not improved since. "
        "Use the best weights; stop, or begin another run with --set training.learning_rate=0.00035."
    )
    assert "has not begun to fall" in said(tmp_path, WHOLE, progress=0.4)
    assert "has not begun to fall" not in said(tmp_path, WHOLE, progress=0.6)
    assert "never falls, which helps as a rule: go on with --set training.decay=0.5" in said(
        tmp_path, WHOLE, training__decay=0.0
    )


def test_a_run_that_holds_its_level_says_how_far_the_last_look_is_from_the_lowest(tmp_path: Path) -> None:
    """Checkpoints that cannot be told apart make the later one the best, which is no improvement."""
    compared = {"images": 600, "difference": 0.0004, "error": 0.0011}
    level = [*WHOLE[:-1], look(1000, 0.0304) | {"best": True, "compared": compared}]
    assert (
        "KID was lowest at 600 of 1,000 pictures, and has not improved since: "
        "the last look is 0.4 ± 1.1 above the lowest before, at 600 (as good)."
    ) in said(tmp_path, level)
    assert read_log(tmp_path / "log.jsonl").best == read_log(tmp_path / "log.jsonl").looks[-1]


def test_a_collapse_has_a_time(tmp_path: Path) -> None:
    fallen = [LOOKS[0], look(300, 0.02), look(600, 0.05, diversity=0.2), look(1000, 0.06, diversity=0.1)]
    assert said(tmp_path, fallen).startswith(
        "alarm: Collapsed at 600 pictures: diversity of what is translated to a and b fell below 0.25."
    )
    assert "The best weights are from before it" in said(tmp_path, fallen)
    assert "Collapsed" not in said(tmp_path, [*fallen, look(1100, 0.05)])  # recovered
    early = [look(0, 0.07, diversity=0.01), *WHOLE[1:]]  # a translator that was never trained paints one grey
    assert "Collapsed" not in said(tmp_path, early)
    assert "Collapsed" not in said(tmp_path, [LOOKS[0], look(300, 0.02, diversity=0.25)])


def test_nothing_learnt(tmp_path: Path) -> None:
    still = [LOOKS[0], look(300, 0.05, change=1.9)]
    assert "warning: Nothing learnt to a and b: pictures change by less than 2 levels of 255" in said(tmp_path, still)
    assert "Nothing learnt" not in said(tmp_path, [LOOKS[0], look(300, 0.05, change=2.0)])
    assert "Train longer, or begin another run with --set objective.cycle=5." in said(tmp_path, still)
    assert "Let it go on, or begin" in said(tmp_path, still, progress=0.5)
    assert "with --set objective.cycle=10 --set objective.identity=2.5." in said(
        tmp_path, still, objective__cycle=20.0, objective__identity=5.0
    )
    assert "or try another preset." in said(tmp_path, still, objective__cycle=0.0, objective__identity=0.0)
    flat = [LOOKS[0], look(300, 0.0672), look(600, 0.0728)]
    assert "Nothing learnt: KID stayed within 5 % of untranslated" in said(tmp_path, flat)
    assert "Nothing learnt" not in said(tmp_path, [*flat, look(900, 0.066)])
    assert "Nothing learnt" not in said(tmp_path, flat[:2])  # one look is no staying


def test_folders_that_are_alike(tmp_path: Path) -> None:
    lines = [look(0, 0.002, untranslated=0.0019), look(300, 0.0015)]  # 1.9 standard errors
    assert said(tmp_path, lines).startswith("alarm: The folders are alike")
    assert "alike" not in said(tmp_path, [look(0, 0.002, untranslated=0.0021), look(300, 0.0015)])
    del lines[0]["untranslated"]["a"]
    lines[0]["untranslated"]["b"]["kid_std"] = 0.0001
    assert "alike" not in said(tmp_path, lines)


def test_critics_that_have_won(tmp_path: Path) -> None:
    fair = [step(i) for i in range(1, 91)]
    lost = [step(i, G=0.97, D_y=0.01) for i in range(91, 101)]
    assert "warning: The critics have won: D_y loses 0.01 and G learns nothing from it (0.97)" in said(
        tmp_path, [*fair, *lost]
    )
    assert "won" not in said(tmp_path, [*fair, *lost], objective__adversarial="hinge")
    assert "won" not in said(tmp_path, [*fair, *(step(i, G=0.97, D_x=0.01) for i in range(91, 101))])  # not its critic
    assert "won" not in said(tmp_path, [*lost, *fair])


USUAL = dict(flat(Experiment.load("default").encode()))["objective.r1"]


@pytest.mark.parametrize(
    ("of", "ways"),
    [
        (
            {"objective__r1": 3 * USUAL},
            f"--set objective.r1={6 * USUAL:g} (it is {3 * USUAL:g}), --set critic.width=8 (it is 16), "
            "--set objective.augment=0.3, or more",
        ),
        (
            {"objective__r1": 0.0, "critic__width": 15},
            f"--set objective.r1={USUAL:g}, --set objective.augment=0.3, or more",
        ),
        ({"objective__r1": 10 * USUAL, "objective__augment": 0.3, "critic__width": 8}, "more"),
    ],
)
def test_critics_that_have_won_are_held_back_by_more_than_the_run_has(
    tmp_path: Path, of: dict[str, Any], ways: str
) -> None:
    lost = [step(i, G=0.97, D_y=0.01) for i in range(1, 11)]
    assert f"In another run try {ways} pictures." in said(tmp_path, lost, **of)


def test_steps_that_were_skipped_are_counted_and_named(tmp_path: Path) -> None:
    one = step(500) | {"skipped": [{"images": 412, "files": "a/1.png, b/2.png"}]}
    assert (
        "note: 1 step was skipped: a loss or a gradient was NaN or infinite, the first at 412 pictures, "
        "with a/1.png, b/2.png. Look at these files."
    ) in said(tmp_path, [one, *LOOKS], training__batch=1)
    many = step(500) | {"skipped": [{"images": i, "files": "a/1.png"} for i in range(100, 102)]}
    told = said(tmp_path, [many, *LOOKS], training__batch=1, training__precision="bf16")
    assert "warning: 2 steps were skipped: a loss" in told
    assert "half the learning rate, or --set training.precision=fp32." in told


def test_the_gravest_comes_first(tmp_path: Path) -> None:
    text = said(tmp_path, [*WHOLE, step(1001, G=math.inf)])
    assert text.startswith("alarm: Diverged: the losses are NaN or infinite after 1,000 pictures. Begin another run")
    assert said(tmp_path, [step(1, F=math.nan)]).startswith(
        "alarm: Diverged: the losses are NaN or infinite from the start."
    )
    failed = said(tmp_path, [*WHOLE, {"images": 1001, "failed": "a disk failed"}])
    assert failed.startswith("alarm: The training failed: a disk failed. What was saved before is whole.")
    hinted = said(tmp_path, [*WHOLE, {"images": 1001, "failed": "the disk is full", "hint": "make room; it goes on"}])
    assert hinted.startswith("alarm: The training failed: the disk is full. Make room; it goes on.")
    warned = LOOKS[3] | {"alarms": ["to a: nearly constant"]}
    assert said(tmp_path, [*LOOKS[:3], warned]).startswith("warning: The training warns: to a: nearly constant.")


def test_nothing_is_concluded_from_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, []) == (
        "note: No look at the held-back pictures yet. The first one comes at 1,000 pictures (every.sheet)."
    )
    assert "The first one comes at the end." in said(tmp_path, [], every__sheet=2000)
    assert said(tmp_path, [LOOKS[0]]).startswith("note: No look at the held-back pictures yet.")
    assert said(tmp_path, LOOKS[:2]).startswith("note: Too early to say: 1 of at least 3 looks.")
    old = {"images": 500, "score": {"a": 20.0}, "mean_score": 20.0}
    assert said(tmp_path, [step(500), old]).startswith("note: How good it is was not measured.")


# --- charts


@pytest.mark.parametrize(
    ("low", "high", "wanted", "texts"),
    [
        (0, 73, [0, 20, 40, 60, 80], ["0", "20", "40", "60", "80"]),
        (0, 200_000, [0, 50_000, 100_000, 150_000, 200_000], ["0", "50k", "100k", "150k", "200k"]),
        (-0.3, 1, [-0.5, 0, 0.5, 1], ["−0.5", "0.0", "0.5", "1.0"]),
        (0, 0.0002, [0, 0.00005, 0.0001, 0.00015, 0.0002], ["0.00000", "0.00005", "0.00010", "0.00015", "0.00020"]),
        (0, 3000, [0, 1000, 2000, 3000], ["0", "1,000", "2,000", "3,000"]),
        (0, 0, [0, 0.5], ["0.0", "0.5"]),
    ],
)
def test_ticks_are_round_and_reach_around(low: float, high: float, wanted: list[float], texts: list[str]) -> None:
    assert ticks(low, high) == wanted
    assert tick_texts(wanted) == texts


def curves(svg: str) -> list[list[tuple[float, float]]]:
    """Return every unbroken curve of a chart as places on the paper."""
    paths = re.findall(r'<path class="curve[^"]*" d="([^"]+)"', svg)
    pieces = [piece for path in paths for piece in path.split("M") if piece]
    return [[(float(x), float(y)) for x, y in (p.split() for p in piece.split("L"))] for piece in pieces]


def test_a_curve_is_where_its_numbers_are() -> None:
    svg = Chart("T", "", [Series("s", [(0, 0), (50, 5), (100, 10)])]).svg
    ((left, bottom), (middle, half), (right, top)) = curves(svg)[0]
    assert (middle, half) == pytest.approx(((left + right) / 2, (bottom + top) / 2))
    assert left < right
    assert top < bottom


def test_what_is_no_number_is_a_gap_and_thousands_of_points_are_few() -> None:
    points = [(i, math.nan if 900 <= i < 1100 else math.sin(i / 300)) for i in range(2000)]
    svg = Chart("T", "", [Series("s", points)]).svg
    pieces = curves(svg)
    assert len(pieces) == 2
    assert 100 < sum(map(len, pieces)) <= BINS
    assert "nan" not in svg.lower()
    assert not Chart("T", "", [Series("s", [(1, math.nan)])]).drawn


def test_one_wild_value_does_not_flatten_the_rest_and_is_named() -> None:
    svg = Chart("T", "", [Series("s", [(0, 412.0), (1, 40.0), (2, 30.0), (3, 25.0)], dots=True)]).svg
    assert "↑ 412" in svg
    (_, first), (_, last) = curves(svg)[0][1], curves(svg)[0][-1]
    assert last - first > 30


@pytest.mark.parametrize("values", [[], [math.nan], [0.0], [5.0], [-1.0, -2.0], [1e-9, 1e9], [math.inf, 1.0], [1e300]])
def test_any_values_make_an_image(values: list[float]) -> None:
    series = Series("<s>&", list(enumerate(values)), band=[0.1 * v for v in values], dots=True)
    svg = Chart('<T>&"', "u", [series], [Level("l", math.nan), Level("m", 3.0)], Mark(0, "<b>")).svg
    root = ElementTree.fromstring(svg)
    assert "nan" not in svg
    assert not re.search(r"\binf\b", svg)
    assert str(root.get("aria-label")).startswith('<T>&"')


def test_a_chart_is_told_by_where_its_curves_begin_and_end() -> None:
    chart = Chart(
        "KID", "", [Series("to a", [(0, 70.0), (1, math.nan), (2, 30.0)]), Series("faint", [(0, 1)], faint=True)]
    )
    assert chart.told == "KID: to a from 70 to 30"


# --- the page


def page(folder: Path) -> Page:
    found = Page(report(read_run(folder)).decode())
    found.stand_alone()
    found.be_readable()
    return found


def album(name: str, count: int) -> dict[str, object]:
    """What the scan of a folder writes down, with one picture that cannot be read and one of one colour."""
    facts = [
        {"digest": f"{i}", "width": 100 + i, "height": 64, "spread": 20 * (i != 3), "problem": ""} for i in range(count)
    ]
    facts[5]["problem"] = "cut off"
    return {"name": name, "folder": f"/data/{name}", "pictures": {f"{i}.jpg": [1, 2, f] for i, f in enumerate(facts)}}


def example(folder: Path, *names: str, side: int = 64) -> None:
    """Leave pictures among the samples of a run, each in its own colour."""
    (folder / "samples").mkdir(exist_ok=True)
    for i, name in enumerate(names):
        Image.new("RGB", (side, side), f"rgb({20 * i},90,60)").save(folder / "samples" / f"{name}.jpg")


def test_the_page_tells_the_run(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE, saved=1000)
    (folder / "weights").mkdir()
    (folder / "weights" / "best.safetensors").write_bytes(b"never opened")
    (folder / "data.json").write_text(json.dumps({"albums": [album("a", 30), album("b", 40)]}))
    Image.new("RGB", (8, 8)).save(folder / "sheets" / "extremes.jpg")
    example(folder, "a-1", "a-1-to-b", "a-2", "a-2-to-b", "a-3", "b-1", "b-1-to-a")
    found = page(folder)
    for words in (
        "a and b Finished By KID, translated pictures are 57 % nearer to a and 57 % nearer to b than untranslated",
        "to a untranslated 70.0 best 30.0 to b untranslated 70.0 best 30.0",
        "KID was lowest at 600 of 1,000 pictures, and has not improved since.",
        "600 pictures seen, KID × 1000 30.0: the best",
        "1,000 pictures seen, KID × 1000 40.0",
        "untranslated first, 0 best, 600 last, 1,000 KID × 1000 70.0 70.0 ± 1.0 30.0 ± 1.0 40.0 ± 1.0 FID 200.0 90.0",
        "training.images 1,000 4,500 pictures of each domain to see",
        "pictures 30 40 cannot be read 1 1 of one colour 1 1 copies 0 0 widths 100 to 129 100 to 139 heights 64 64",
        f"styl train --preset {folder}/experiment.toml --images 2000 -o {folder}",
        f"styl translate PICTURES -m {folder}/weights/best.safetensors --to b -o to-b",
        "G (to b)",
    ):
        assert words in found.text, words
    settings = found.text.split("Settings")[1].split("The whole experiment.toml")[0]
    assert "training.learning_rate" not in settings  # as in the preset


def test_the_result_comes_first_and_how_fast_it_was_is_folded_away(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE, saved=1000)
    example(folder, "a-1", "a-1-to-b")
    found = page(folder)
    wanted = ["The result", "What to do next", "Curves", "Sheets", "Figures", "Settings"]
    assert [title for title in found.sections() if title != "Data"] == wanted
    folded = found.html.index("<summary>Learning rate and speed</summary>")
    for title in ("Learning rate", "Speed"):
        assert found.html.index(f"<b>{title}</b>") > folded
    assert found.html.index("<b>KID</b>") < folded


def test_the_best_pairs_stand_in_order_under_a_slider_each(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE)
    both = [f"{x}-{i}{way}" for x, y in ("ab", "ba") for i in range(1, 6) for way in ("", f"-to-{y}")]
    example(folder, *both, side=128)
    found = page(folder)
    assert [e["aria-label"].split(":")[0] for e in found.all("input") if "picture" in e["aria-label"]] == [
        *("a → b, picture 1", "a → b, picture 2", "b → a, picture 1", "b → a, picture 2")
    ]
    seen = found.all("img")[:8]
    assert [image["alt"] for image in seen] == [
        *("a 1", "a 1 as b", "a 2", "a 2 as b", "b 1", "b 1 as a", "b 2", "b 2 as a")
    ]
    colours = [round(np.asarray(decoded(image).convert("RGB")).mean((0, 1))[0] / 20) for image in seen]
    assert colours == [0, 1, 2, 3, 10, 11, 12, 13]
    example(folder, *both, side=64)
    assert len([i for i in page(folder).all("input") if "picture" in i["aria-label"]]) == 8  # small: twice as many


def decoded(image: dict[str, str]) -> Image.Image:
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(BytesIO(b64decode(data)))


def test_a_run_from_before_there_were_samples_shows_its_extremes(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE)
    Image.new("RGB", (80, 40)).save(folder / "sheets" / "extremes.jpg")
    title = "Best and worst held-back pictures at the last preview"
    parts = page(folder).sections()
    assert title in parts["The result"]
    assert title not in parts["Sheets"]
    example(folder, "a-1", "a-1-to-b")
    parts = page(folder).sections()
    assert title in parts["Sheets"]
    assert title not in parts["The result"]


def test_domains_of_one_plain_name_keep_their_samples_apart(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE, domains=("馬", "斑馬"))
    example(folder, "domain-1-1", "domain-1-1-to-domain-2")
    found = page(folder)
    assert [image["alt"] for image in found.all("img")][:2] == ["馬 1", "馬 1 as 斑馬"]


def test_many_previews_are_thinned_out_and_small_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "MOST", 8)
    monkeypatch.setattr(previews, "ROOM", 400_000)
    looks = [look(10 * i, 0.05 - 0.0001 * (i == 33)) for i in range(1, 101)]
    folder = make(tmp_path / "run", looks)
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    Image.fromarray(noise).save(folder / "sheets" / "000000010.jpg", quality=90)
    for look_ in looks[1:]:
        os.link(folder / "sheets" / "000000010.jpg", new := folder / "sheets" / "new.jpg")
        new.replace(folder / "sheets" / f"{look_['images']:09d}.jpg")
    html = report(read_run(folder))
    found = Page(html.decode())
    sheets = [image for image in found.all("img") if image["alt"].startswith("Sheet of")]
    assert len(sheets) == 9
    assert 100_000 < len(html) < 600_000
    assert {
        "Sheet of held-back pictures after 10 pictures seen",
        "Sheet of held-back pictures after 330 pictures seen",
    } < {image["alt"] for image in sheets}
    assert "330 pictures seen, KID × 1000 49.9: the best" in found.text
    assert "9 of 100 sheets, 0." in found.text


def test_one_preview_has_nothing_to_step_through(tmp_path: Path) -> None:
    found = page(make(tmp_path / "run", [look(10, 0.05)]))
    assert "The only preview" in found.text
    assert not found.all("input")
    assert not found.all("button")


def test_previews_are_spread_evenly() -> None:
    assert spread(range(5), always=3, most=5) == [0, 1, 2, 3, 4]
    assert spread(range(1000), always=501, most=5) == [0, 250, 500, 501, 749, 999]
    assert spread(range(1000), always=-1, most=5) == [0, 250, 500, 749, 999]
    assert spread([], always=0, most=5) == []


def test_a_run_of_one_folder_is_told_as_one_that_draws(tmp_path: Path) -> None:
    lines = [coded(300), drawn(300, 0.05), coded(600), drawn(600, 0.03), coded(1000), drawn(1000, 0.04)]
    kind = {"translator__name": "autoencoder", "objective__name": "vae", "critic__name": "none"}
    folder = make(tmp_path / "run", lines, saved=1000, domains=("photos",), **kind)
    (folder / "weights").mkdir()
    (folder / "weights" / "best.safetensors").write_bytes(b"never opened")
    Image.new("RGB", (8, 8)).save(folder / "sheets" / "extremes.jpg")
    example(folder, *(f"photos-{i}" for i in range(1, 11)))
    found = page(folder)
    assert [image["alt"] for image in found.all("img") if "Sample" in image["alt"]] == [
        f"Sample {i}" for i in range(1, 9)
    ]
    told = found.text.split("Settings")[0]
    for words in (
        "photos Finished The best samples are at a KID × 1000 of 30.0 from photos.",
        "The result Drawn by the best weights, those most like photos first",
        "KID was lowest at 600 of 1,000 pictures",
        f"Draw with the best styl sample {folder}/weights/best.safetensors -o samples",
        "of photos: 30 at 600",
        "held back: 12.3 at 600",
        "What the latents tell KL, nats a picture",
        "Best and worst samples at the last preview",
        "Of photos first, 300 best, 600 last, 1,000 KID × 1000 50.0 ± 1.0 30.0 ± 1.0 40.0 ± 1.0 FID 90.0 90.0 90.0",
        "near-copies 0.03 0.03 0.03 decoding error 12.3 12.3 12.3",
    ):
        assert words in told, words
    for words in ("ranslat", "to photos", "To photos", "there and back", "ritic"):
        assert words not in told, words
    assert (read_run(folder).domains, read_run(folder).draws) == (("photos",), True)
    assert read_run(make(tmp_path / "early", [], domains=("photos",), **kind)).domains == ("photos",)


def spoken(images: int, kid: float, **of: Any) -> Line:
    """Return a look at voices."""
    known = {"cycle": 3.5, "change": 8.0, "modulation": 4.25} | of
    return look(images, kid, untranslated=0.0 if images else 0.9, **known) | {"features": "manner"}


def voice_run(folder: Path, **of: Any) -> Path:
    """Write a run of voices, with sounds, as voice-tiny makes one."""
    losses = {"back_x": 0.3, "D2_x": 0.25, "cycle_x": 0.4, "cycle_y": 0.5}
    lines = [spoken(0, 0.9), *(line for n in (300, 600, 1000) for line in (step(n, **losses), spoken(n, 90 / n, **of)))]
    make(folder, lines, saved=1000)
    start = Experiment.load("voice-tiny").replace(training__images=1000, data__domains=("a", "b"))
    (folder / "experiment.toml").write_text(start.toml())
    (folder / "samples").mkdir()
    sound = np.sin(np.arange(8_000) / 5)
    for name in ("a-1", "a-1-to-b", "a-2", "a-2-to-b", "a-3", "b-1-to-a"):  # of the last two a half is missing
        title = "hello.flac" if "1" in name else ""
        (folder / "samples" / f"{name}.wav").write_bytes(encode_wav(sound, rate=16_000, title=title))
    facts = [{"digest": str(i), "height": 37, "width": 9, "seconds": 2.0 + i, "rate": 8000} for i in range(30)]
    facts[5] = {"digest": "5", "problem": "nothing but silence"}
    albums = [{"name": n, "folder": n, "pictures": {str(i): [1, 2, f] for i, f in enumerate(facts)}} for n in "ab"]
    (folder / "data.json").write_text(json.dumps({"albums": albums}))
    return folder


def test_a_run_of_voices_is_told_as_one_to_listen_to(tmp_path: Path) -> None:
    folder = voice_run(tmp_path / "run")
    (folder / "weights").mkdir()
    (folder / "weights" / "best.safetensors").write_bytes(b"never opened")
    found = page(folder)
    heard = [address for address in found.addresses if address.startswith("data:audio/wav;base64,")]
    assert len(heard) == found.tags.count("audio") == 4
    assert [image["alt"] for image in found.all("img")][:4] == [
        "Spectrogram of hello.flac, a: 0.5 seconds",
        "Spectrogram of hello.flac, as b: 0.5 seconds",
        "Spectrogram of a-2, a: 0.5 seconds",
        "Spectrogram of a-2-to-b, as b: 0.5 seconds",
    ]
    told = found.text.split("Settings")[0]
    for words in (
        "1,000 pieces seen, KID × 1000 90.0",
        f"styl translate RECORDINGS -m {folder}/weights/best.safetensors --to b -o to-b",
        "a → b a hello.flac as b hello.flac a a-2 as b a-2-to-b",
        "translated recordings are 90 % nearer to a and 90 % nearer to b than untranslated ones",
        "There and back mel-cepstral distance of held-back speech, dB",
        "There and back, while training mean error, deviations of the envelope",
        "back_x (a and back)",
        "D2_x (a and back)",
        "last, 1,000 KID × 1000 900.0 900.0 ± 1.0 90.0 ± 1.0 90.0 ± 1.0 Fréchet distance 200.0 90.0 90.0 90.0",
        "there and back, dB … 3.5 3.5 3.5 change, dB … 8.0 8.0 8.0 diversity … 0.80 0.80 0.80 modulation, dB … 4.25",
        "recordings 30 30 silent or damaged 1 1 copies 0 0 speech 8 min 08 s 8 min 08 s lengths 2.0 to 31.0 s",
        "samples a second 8,000 8,000",
        "pieces seen",
    ):
        assert words in told, words
    assert "picture" not in told.lower().replace("picture_", "")
    assert "levels of 255" not in told


def test_curves_of_voices_are_in_their_own_units(tmp_path: Path) -> None:
    """A cycle loss of 0.4 is 0.4 deviations, and no 51 levels of 255."""
    drawn_of = {
        chart.title: chart for chart in charts(read_run(voice_run(tmp_path / "run"))) if isinstance(chart, Chart)
    }
    batches = drawn_of["There and back, while training"].series
    assert [[y for _, y in series.points] for series in batches] == [[0.4] * 3, [0.5] * 3]
    assert all(chart.x_name == "pieces seen" for chart in drawn_of.values())
    assert {s.name for s in drawn_of["Modulation"].series} == {"to a", "to b"}


def test_voices_that_do_not_change_are_told_in_decibels(tmp_path: Path) -> None:
    said = advise(read_run(voice_run(tmp_path / "run", change=0.4)))
    assert any("recordings change by less than 1 dB" in advice.found for advice in said)
    said = advise(read_run(voice_run(tmp_path / "other", change=1.5)))
    assert not any("change by" in advice.found for advice in said)  # of pictures, 1.5 levels would be nothing


def test_a_collapse_of_samples_is_told_as_one(tmp_path: Path) -> None:
    fallen = [drawn(300, 0.02), drawn(600, 0.05, diversity=0.2), drawn(1000, 0.06, diversity=0.1)]
    assert said(tmp_path, fallen).startswith("alarm: Collapsed at 600 pictures: diversity of samples fell below 0.25.")


def test_a_gan_has_one_critic_and_one_generator(tmp_path: Path) -> None:
    terms = {"D": 0.6, "r1": 0.1, "r2": 0.2, "G": 0.7}
    lines = [*(step(i) | {"losses": terms} for i in (300, 600, 1000)), drawn(1000, 0.04)]
    told = page(make(tmp_path / "run", lines, domains=("photos",))).text
    assert "Losses of the generator" in told
    assert "Losses of the critic" in told
    assert re.search(r"Losses of the critic .*?\bD\b.*?\br1\b.*?\br2\b", told)


@pytest.mark.parametrize(("line", "words"), [(drawn(600, 0.03), "of photos 30.0"), (LOOKS[1], "to a 50.0, to b 50.0")])
def test_progress_says_whether_pictures_are_drawn_or_translated(
    line: Line, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display() as display:
        display.show(line | {"alarms": ["photos: collapsed"]})
    assert capsys.readouterr().err == (
        f"{line['images']:,} images: sheet written; KID × 1000 {words}\n  photos: collapsed\n"
    )


def test_what_to_type_next_follows_what_was_found(tmp_path: Path) -> None:
    again = f"styl train --preset {tmp_path}/{{0}}/experiment.toml"
    stopped = page(make(tmp_path / "stopped", WHOLE[:4], saved=600)).text
    assert f"Go on {again} -o {tmp_path}/stopped".format("stopped") in stopped
    assert "Begin anew" not in stopped
    diverged = page(make(tmp_path / "it's", [*WHOLE, step(1001, G=math.nan)], training__learning_rate=4e-4)).text
    path = f"{tmp_path}/it'\"'\"'s"
    assert f"--preset '{path}/experiment.toml' --set training.learning_rate=0.0002 -o '{path}-2'" in diverged
    assert "Go on" not in diverged
    lost = {"images": 1001, "failed": "loss or gradients were NaN", "hint": SLOWER}
    assert "Begin anew, more gently" in page(make(tmp_path / "lost", [*WHOLE, lost])).text


def test_commands_hold_where_the_report_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = tuple(str(tmp_path / name) for name in ("two words", "b"))
    folder = make(tmp_path / "runs" / "x", WHOLE, saved=1000, data__folders=folders)
    (folder / "weights").mkdir()
    (folder / "weights" / "best.safetensors").touch()
    wanted = {
        tmp_path: ("runs/x", "'two words'"),
        folder.parent: ("x", f"'{tmp_path}/two words'"),
        folder: (".", f"'{tmp_path}/two words'"),
    }
    for here, (run, source) in wanted.items():
        monkeypatch.chdir(here)
        told = page(Path(os.path.relpath(folder))).text
        inside = "" if run == "." else f"{run}/"
        assert f"styl train --preset {inside}experiment.toml --images 2000 -o {run} " in told
        assert f"styl translate {source} -m {inside}weights/best.safetensors --to b -o to-b " in told
        assert Path(run, "experiment.toml").is_file()


@pytest.mark.skipif(os.name != "posix", reason="asks bash")
def test_a_shell_takes_any_name_as_it_is(tmp_path: Path) -> None:
    names = ["plain", "two words", "it's", "-x", "a\nb", "\x1b[31m\\'", "caf\udce9", "馬", "\u202egnp", "$(rm)", "~"]
    for name in names:
        word = typed(tmp_path / name, here=tmp_path)
        assert word.isprintable()
        said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
        assert tmp_path / os.fsdecode(said) == tmp_path / name
        assert not said.startswith(b"-")


def test_what_came_out_is_told_before_a_warning_and_after_an_alarm(tmp_path: Path) -> None:
    warned = [*LOOKS[:3], LOOKS[3] | {"alarms": ["to a: nearly constant"]}]
    assert (
        "By KID, translated pictures are 57 % nearer to a and 57 % nearer to b than untranslated ones. The training "
        in (page(make(tmp_path / "warned", warned)).text)
    )
    fallen = [*LOOKS[:3], look(1000, 0.05, diversity=0.1)]
    assert re.search(r"Collapsed at 1,000 .* fell below 0\.25\. By KID, ", page(make(tmp_path / "fallen", fallen)).text)


@pytest.mark.parametrize(
    ("kid", "words"), [(0.0701, "no nearer to"), (0.084, "20 % further from"), (-0.001, "100 % nearer to")]
)
def test_no_gain_is_called_none(kid: float, words: str, tmp_path: Path) -> None:
    found = page(make(tmp_path / "run", [LOOKS[0], look(500, kid), look(600, kid)])).text
    assert f"translated pictures are {words} a and {words} b than untranslated ones" in found


def test_settings_are_compared_with_the_preset_that_is_nearest(tmp_path: Path) -> None:
    folder = voice_run(tmp_path / "run")
    (folder / "environment.json").write_text(json.dumps({"command": ["styl", "train"]}))
    assert "option this run preset voice-tiny what it is" in page(folder).text
    (folder / "environment.json").write_text(json.dumps({"command": ["styl", "train", "--preset", "voice"]}))
    assert "option this run preset voice what it is" in page(folder).text


def luminance(colour: str) -> float:
    """Return how bright a colour such as #2b6cb0 is, 0 to 1, as WCAG 2 defines it."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_colour_of_text_can_be_read_on_its_ground() -> None:
    style = (ROOT / "cyclegan" / "reporting" / "style.css").read_text()
    palettes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(palettes) == 3  # light, dark, print
    for palette in palettes:
        full = {name: "#" + digits * (6 // len(digits)) for name, digits in re.findall(r"--(\w+): #(\w+);", palette)}
        for ink in ("ink", "soft", "good", "note", "warning", "alarm"):
            for ground in ("paper", "leaf"):
                dark, light = sorted(luminance(full[name]) for name in (ink, ground))
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground, full)


def faulty(root: Path) -> Iterator[Path]:
    old = {"images": 500, "score": {"a": 20.0, "b": 30.0}, "mean_score": 25.0}
    yield make(root / "nothing", [])
    yield make(root / "one look", [step(300), look(300, 0.05)])
    yield make(root / "first look", [LOOKS[0]])
    yield make(root / "old", [step(500), old])
    yield make(root / "long", [*(step(i) for i in range(2000)), *LOOKS])
    yield make(root / "no numbers", [step(1, G=math.nan), look(1, math.nan), step(2, G=math.inf), look(2, math.inf)])
    yield make(root / "others", [step(5, weird=1.0, D_new=2.0), look(5, 0.05, domains=("c", "d"))])
    (make(root / "torn", WHOLE) / "experiment.toml").write_text("[training\nimages")
    yield root / "torn"
    (make(root / "odd", WHOLE) / "experiment.toml").write_text("training = 5\nobjective = [1]\nnew.option = 1979-05-27")
    (root / "odd" / "environment.json").write_text('{"command": 5, "device": null, "threads": []}')
    (root / "odd" / "data.json").write_text('[{"a": 1}]')
    (root / "odd" / "sheets" / "000000600.jpg").write_bytes(b"no picture")
    (root / "odd" / "sheets" / "latest.jpg").write_bytes(b"no number")
    (root / "odd" / "samples").mkdir()
    for name in ("a-1.jpg", "a-1-to-b.jpg", "a-2.jpg"):
        (root / "odd" / "samples" / name).write_bytes(b"no picture")
    (root / "odd" / "samples" / "a-2-to-b.jpg").mkdir()
    yield root / "odd"
    (make(root / "bare", WHOLE) / "environment.json").unlink()
    (root / "bare" / "experiment.toml").unlink()
    yield root / "bare"


def test_any_log_makes_a_page(tmp_path: Path) -> None:
    for folder in faulty(tmp_path):
        found = page(folder)
        assert "Curves" in found.text or folder.name in ("nothing",), folder
        assert not re.search(r"\b(nan|inf|None)\b", found.text.split("The whole experiment")[0].split("Settings")[0]), (
            folder
        )


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = ("<script>alert(1)</script>", '"><img src=x onerror=y>')
    lines = [look(i, 0.05, untranslated=0.07, domains=evil, alarms=["<u>"]) for i in (0, 10, 20)]
    folder = make(tmp_path / "<em>run & 'so'", [*lines, step(20, **{"<u>": 1.0})], domains=evil)
    (folder / "environment.json").write_text(json.dumps({"device": "<s>", "device_name": "<s>", "command": ["</pre>"]}))
    (folder / "data.json").write_text(json.dumps({"albums": [{"name": "<u>", "folder": "<em>", "pictures": {}}]}))
    example(folder, *(f"{x}-1{y}" for x in ("script-alert-1-script", "img-src-x-onerror-y") for y in ("",)))
    (folder / "samples" / "script-alert-1-script-1-to-img-src-x-onerror-y.jpg").write_bytes(
        (folder / "samples" / "img-src-x-onerror-y-1.jpg").read_bytes()
    )
    found = page(folder)
    assert found.tags.count("script") == 1
    assert not {"u", "s", "em"} & set(found.tags)
    assert "to <script>alert(1)</script>" in found.text
    assert [image["alt"] for image in found.all("img")][:2] == [f"{evil[0]} 1", f"{evil[0]} 1 as {evil[1]}"]


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes")
def test_names_that_are_no_text_are_written_out(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", WHOLE, saved=1000, domains=("caf\udce9", "b"))
    assert "caf\\xe9 and b" in page(folder).text


def test_times_are_read_at_a_glance() -> None:
    assert [duration(s) for s in (0, 59.6, 3599, 7500, 90_000)] == [
        "0 s",
        "1 min 00 s",
        "59 min 59 s",
        "2 h 05 min",
        "1 d 1 h",
    ]
