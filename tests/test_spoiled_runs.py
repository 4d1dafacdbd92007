"""Run folders whose files were spoiled: one clear line, or passed over with a note; never an error of ours."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_reporting import look, make, step
from tiny import STEPS, Folders, draw_folders, experiment, one_thread, play, result, stop_after

from cyclegan.cli.runs import runs as runs_verb
from cyclegan.errors import CheckpointError, StylError
from cyclegan.reading import read_file
from cyclegan.reporting.report import report
from cyclegan.reporting.runs import list_runs, read_run
from cyclegan.reporting.words import duration, printable
from cyclegan.training.album import Album, Facts, Scan, differences
from cyclegan.training.balance import Balance
from cyclegan.training.run import train

WILD = [
    *("NaN", "Infinity", "-Infinity", "1e999", "1e308", "-1e308", "9.9e14", "5e-324", "1e-14", "-1", "0", "0.1"),
    *("true", "null", '"x"', "[]", "{}", "[1, 2]", '{"a": {"kid": NaN}}', '{"\\ud800": 1}', '["\\ud800"]'),
    *("1" + "0" * 400, "-1" + "0" * 400, "1" + "0" * 5000, "9007199254740993", '"' + "x" * 3000 + '"'),
    *('"\\udcff\\u0000\\u001b[31m\\u202e"', "[" * 400 + "]" * 400, '{"a":' * 900 + "1" + "}" * 900, "[" * 10**5),
]
KEYS = ["\ud800", "", "line\nbreak", "\u202e", "losses", "images", "digest"]
TOML = ["nan", "-inf", "1e308", "-5", '"x"', "[]", "1979-05-27", "9" * 30, "{a = 1}", "[[1], [2]]", '"\\u202e"']


def spoiled(value: Any, chance: random.Random, share: float) -> str:
    """Return JSON in which so large a share of the values and keys is not what was written."""
    if chance.random() < share:
        return chance.choice(WILD)
    if isinstance(value, dict):
        keys = [name if chance.random() > share else chance.choice(KEYS) for name in value]
        parts = (f"{json.dumps(k)}: {spoiled(v, chance, share)}" for k, v in zip(keys, value.values(), strict=True))
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, list):
        return f"[{', '.join(spoiled(item, chance, share) for item in value)}]"
    return json.dumps(value)


def found_in_folders() -> Scan:
    seen = {"1.png": Facts("d1", 4, 5, 60.0, 7.0), "2.png": Facts("", problem="rot")}
    heard = {"1.wav": Facts("d2", 40, 50, seconds=6.0, rate=16_000)}
    pictures = Album("a", Path("/x"), {"1.png": (3, 4), "2.png": (5, 6)}, seen)
    return Scan((pictures, Album("b", Path("/y"), {"1.wav": (3, 4)}, heard)))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.002, 0.01, 0.05, 0.3]))
def test_whatever_a_run_folder_holds_it_can_be_listed_and_reported(tmp_path: Path, seed: int, share: float) -> None:
    chance = random.Random(seed)
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    run, scan = make(tmp_path / "runs" / "run", [], saved=30), found_in_folders()
    lines = [
        look(0, 0.07, untranslated=0.07),
        *(f(k) for k in range(10, 100, 10) for f in (step, lambda k: look(k, 0.05))),
    ]
    (run / "log.jsonl").write_text("\n".join(spoiled(line, chance, share) for line in lines))
    about = {"command": ["styl", "train", "--preset", "tiny"], "device": "cpu", "threads": 4}
    (run / "environment.json").write_text(spoiled(about, chance, share))
    (run / "data.json").write_text(spoiled(json.loads(scan.encode()), chance, share))
    toml = (run / "experiment.toml").read_text().splitlines()
    place = chance.randrange(len(toml))
    toml[place] = f"{toml[place].partition(' = ')[0]} = {chance.choice(TOML)}"
    (run / "experiment.toml").write_text("\n".join(toml))
    assert len(list_runs(run.parent)) == 1
    runs_verb(run.parent, as_json=chance.random() < 0.5)
    assert report(read_run(run)).startswith(b"<!doctype html>")
    read = Scan.load(run / "data.json")
    assert read is None or len(read.albums) != 2 or differences(read, scan) is not None
    (run / "balance.json").write_text(spoiled({"about": {}, "line": "x", "weights": {"a": 1.0}}, chance, share))
    balance = Balance.load(run / "balance.json", about={})
    assert balance is None or all(0 <= weight < 1e300 for weight in balance.weights.values())


def test_facts_that_are_none_spoil_a_scan_and_nothing_else() -> None:
    whole = found_in_folders()
    assert Scan.decode(whole.encode()) == whole
    for old, new in [
        (b'"height": 4', b'"height": 4.5'),
        (b'"spread": 60.0', b'"spread": Infinity'),
        (b'"seconds": 6.0', b'"seconds": -6.0'),
        (b'"rate": 16000', b'"rate": true'),
        (b'"problem": "rot"', b'"problem": 7'),
        (b'"1.png"', b'"\\ud800.png"'),
        (b"[3, 4, ", b'["3", 4, '),
        (b'"unstored": []', b'"unstored": [7]'),
        (b'"folder": "/x"', b'"folder": null'),
    ]:
        assert old in whole.encode()
        assert Scan.decode(whole.encode().replace(old, new)) is None, new


def test_words_for_what_is_no_time_and_no_name() -> None:
    assert [duration(seconds) for seconds in (float("inf"), float("nan"), -5.0)] == ["…", "…", "0 s"]
    assert printable("a\udcff\ud800\x1b\u202e é") == "a\\xff\\ud800\\x1b\\u202e é"


ODD: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "far too large": lambda path: (path.touch(), os.truncate(path, 5 << 30)),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("odd", ODD)
def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path, odd: str) -> None:
    for name in ("log.jsonl", "data.json", "environment.json", "experiment.toml", ".lock"):
        run = make(tmp_path / name.lstrip(".") / "run", [step(10), look(10, 0.05)], saved=10)
        (run / name).unlink(missing_ok=True)
        ODD[odd](run / name)
        if name == "log.jsonl":
            with pytest.raises(OSError):
                read_file(run / name)
        for folder in (run, *run.parent.iterdir()):
            assert [found.state for found in list_runs(folder)] in (["stopped"], ["damaged"])
            report(read_run(folder))
    for number, suffix in enumerate(("jpg", "wav")):
        run = make(tmp_path / f"run-{number}", [step(10), look(10, 0.05)], saved=10)
        (run / "sheets" / "000000010.jpg").unlink()
        ODD[odd](run / "sheets" / f"000000010.{suffix}")
        report(read_run(run))


# --- training


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return draw_folders(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def stopped(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run with states at 12 and 14 of 16 images."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        stop_after(patch, STEPS - 1)
        play(folders, run)
    with one_thread():
        yield run


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def go_on(folders: Folders, run: Path) -> tuple[str, ...]:
    """Go on with a run and return what a person is told."""
    told = list[str]()
    said = train(
        experiment(folders), run, device="cpu", workers=0, features="own", tell=lambda x: told.append(x.get("note", ""))
    )
    return (*filter(None, told), *said.notes)


def test_lines_of_a_log_that_are_none_are_left_out_with_a_note(folders: Folders, run: Path, tmp_path: Path) -> None:
    straight = Path(shutil.copytree(run, tmp_path / "straight"))
    before = go_on(folders, straight)
    log = run / "log.jsonl"
    kept = log.read_text()
    more = ['{"images": "4"}', "7", '{"images": 4, "kid": -Infinity}', '{"images": true}', "[" * 9999, '{"images": -4}']
    log.write_text("\n".join([*more, kept, '{"images": 4, "los']))
    assert go_on(folders, run) == (*before, f"{log}: 6 of its lines cannot be read and are left out")
    assert log.read_text().startswith(kept)
    assert result(run) == result(straight)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("odd", ODD)
def test_a_log_that_is_no_file_to_read_is_told_in_one_line(folders: Folders, run: Path, odd: str) -> None:
    (run / "log.jsonl").unlink()
    ODD[odd](run / "log.jsonl")
    with pytest.raises(CheckpointError, match=r"log\.jsonl: cannot be read: ") as told:
        go_on(folders, run)
    assert "move it away" in told.value.hint


@pytest.mark.parametrize("spoil", ["[" * 9999, "{}", '{"format": 1, "albums": [], "unstored": []}', "pipe"])
def test_a_scan_that_is_none_is_made_again_and_told(folders: Folders, run: Path, spoil: str) -> None:
    (run / "data.json").unlink()
    os.mkfifo(run / "data.json") if spoil == "pipe" else (run / "data.json").write_text(spoil)
    note = f"{run / 'data.json'}: cannot be read, so that changes of the folders go unnoticed"
    assert note in go_on(folders, run)
    assert Scan.load(run / "data.json")


def test_an_experiment_that_is_none_is_refused(folders: Folders, run: Path) -> None:
    for text in ("[" * 9999, "seed = 1e999", "data = 5", "training.images = [1]"):
        (run / "experiment.toml").write_text(text)
        with pytest.raises(StylError):
            go_on(folders, run)
