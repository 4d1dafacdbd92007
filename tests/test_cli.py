"""The command line as people meet it: help, mistakes, closed pipes, odd names; never a traceback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from films import Recipe, Sound, facts, make
from PIL import Image

import cyclegan.cli as cli
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli.edge import Stopped, guarded
from cyclegan.errors import StoppedEarly, StylError
from cyclegan.networks import NETWORKS

ROOT = Path(__file__).parents[1]
VERBS = ["train", "distill", "translate", "inspect", "sample", "evaluate"]
VERBS += ["runs", "report", "import", "export", "demo", "bench"]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


# --- a place to make mistakes in


def picture(path: Path, *, colour: str = "brown") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shaded = Image.linear_gradient("L").resize((24, 20))  # of one colour, it could not be learnt from
    Image.blend(Image.new("RGB", (24, 20), colour), shaded.convert("RGB"), 0.2).save(path)


def model(path: Path, *, kind: str = "translator") -> None:
    """Save the smallest translator there is."""
    options: dict[str, Any] = {"width": 1, "blocks": 1}
    torch.manual_seed(0)
    about = {
        "kind": kind,
        "domains": ["horse", "zebra"],
        "routes": [["horse", "zebra", "G"]],
        "networks": {"G": {"name": "resnet", **options}},
        "codec": {"name": "pictures", "channels": 3},
        "images": 0,
    }
    state = NETWORKS["resnet"](**options).state_dict()
    Checkpoint(about, {f"G.{name}": tensor for name, tensor in state.items()}).save(path)


def furnish(here: Path) -> None:
    for name in ("horses", "zebras"):
        for i in range(3):
            picture(here / name / f"{i}.png")
    picture(here / "horses" / "inner" / "4.png")
    picture(here / "photo.png")
    (here / "empty").mkdir()
    (here / "texts").mkdir()
    (here / "texts" / "a.txt").write_text("no picture")
    (here / "notes.txt").write_text("no picture")
    (here / "fake.jpg").write_text("no picture")
    (here / "broken.toml").write_text("[training\nbatch = 4")
    (here / "binary.toml").write_bytes(b"\xff\xfe\x00\x01" * 9)
    (here / "wrong.toml").write_text("[training]\nbach = 4")
    (here / "empty.pth").write_bytes(b"")
    (here / "page.pth").write_text("<!DOCTYPE html><html>not found</html>")
    (here / "net.pth").write_bytes(b"PK\3\4" + b"\0" * 50)
    model(here / "model.safetensors")
    model(here / "state.safetensors", kind="state")
    whole = (here / "model.safetensors").read_bytes()
    (here / "cut.safetensors").write_bytes(whole[:-9])
    torch.save({"model.1.weight": torch.rand(64, 3, 7, 7)}, here / "whole.pth")
    (here / "cut.pth").write_bytes((here / "whole.pth").read_bytes()[:-300])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("template")
    furnish(here)
    return here


@pytest.fixture
def here(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures, models and rubbish, which is the current one."""
    shutil.copytree(template, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def styl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; return exit code, standard output and standard error."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["styl", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            guarded(cli.app)
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    return run


def process(*args: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    env = os.environ | {"PYTHONPATH": str(ROOT)} | more.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", "cyclegan", *args], cwd=cwd, env=env, capture_output=True, timeout=100, **more
    )


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- mistakes

AT_ONCE = {  # what can be known before anything is loaded: the words, and what the complaint must name
    "train": "two folders",
    "train horses": "two folders",
    "train horses zebras empty": "two folders",
    "train missing zebras": "missing",
    "train horses zebra": "did you mean zebras",
    "train empty zebras": "empty: no pictures",
    "train horses texts": "texts: no pictures",
    "train notes.txt zebras": "notes.txt: not a folder",
    "train horses horses": "given twice",
    "train horses ./zebras/../horses": "given twice",
    "train horses horses/inner": "one lies in the other",
    "train horses zebras --bach 4": "--bach",
    "train horses zebras --size": "--size",
    "train horses zebras --size big": "--size",
    "train horses zebras --size 8": "data.size = 8",
    "train horses zebras --size -64": "data.size = -64",
    "train horses zebras --batch 0": "training.batch = 0",
    "train horses zebras --images -1": "training.images = -1",
    "train horses zebras --images 10.5": "--images",
    "train horses zebras --minutes nan": "training.minutes",
    "train horses zebras --minutes -3": "training.minutes = -3",
    "train horses zebras --precision fp64": "fp64",
    "train horses zebras --seed x": "--seed",
    "train horses zebras --seed -1": "seed = -1",
    "train horses zebras --workers -1": "--workers",
    "train horses zebras --domains horse": "--domains",
    "train horses zebras --domains horse horse": "--domains horse horse",
    "train horses zebras --preset tinny": "did you mean 'tiny'",
    "train horses zebras --preset horses": "horses: there is no such preset",
    "train horses zebras --preset nowhere.toml": "nowhere.toml: cannot be read",
    "train horses zebras --preset broken.toml": "broken.toml: not valid TOML",
    "train horses zebras --preset binary.toml": "binary.toml: not valid TOML",
    "train horses zebras --preset wrong.toml": "did you mean 'training.batch'",
    "train horses zebras --set training.bach=4": "did you mean 'training.batch'",
    "train horses zebras --set training.batch": "--set training.batch: expected key=value",
    "train horses zebras --set training.batch=four": "training.batch = 'four'",
    "train horses zebras --set translator.name=resnett": "did you mean 'resnet'",
    "train horses zebras --set objective.cycle=nan": "objective.cycle",
    "traim horses zebras": "traim",
    "--trian": "--trian",
    "translate": "inputs",
    "translate missing.png": "missing.png: no such file",
    "translate photo.pgn": "did you mean photo.png",
    "translate empty": "empty: no pictures",
    "translate texts": "texts: no pictures",
    "translate photo.png zebras -o out.png": "out.png: one file cannot hold",
    "translate zebras -o out.png": "out.png: one file cannot hold",
    "translate photo.png -o photo.png": "photo.png: would overwrite the input",
    "translate photo.png -o .": "photo.png: would overwrite the input",
    "translate photo.png -o notes.txt": "notes.txt: a file, but a folder is needed",
    "translate photo.png --batch 0": "--batch",
    "translate photo.png --quality 101": "--quality",
    "translate photo.png --qualty 90": "--qualty",
    "translate photo.png --format pgn": "--format pgn",
    "translate photo.png --tile -1": "--tile",
    "translate photo.png --crf 64": "--crf",
    "translate photo.png --fps fast": "--fps fast",
    "translate photo.png --codec h256": "did you mean 'h26",
    "translate photo.png --codec mp3": "--codec mp3",
    "translate photo.png --fps 0": "--fps 0",
    "translate photo.png --frames": "photo.png: --frames takes folders",
    "translate horses --frames --format png": "--format png",
    "translate horses zebras --frames -o out.mp4": "out.mp4: one film cannot hold",
    "translate http://example.org/film.mp4": "network addresses",
    "translate rtsp://example.org/film": "network addresses",
    "train horses --preset default": "two folders",
    "train horses zebras --preset vae": "one folder",
    "train --preset autoencoder": "one folder",
    "train missing --preset vae": "missing",
    "train texts --preset vae": "texts: no pictures",
    "sample": "model",
    "sample model.safetensors -n 0": "--count",
    "sample model.safetensors -n many": "--count",
    "sample model.safetensors --seed -1": "--seed",
    "sample model.safetensors --between photo.png": "--between",
    "sample model.safetensors --between photo.png fake.jpg -o fake.jpg": "fake.jpg: would overwrite",
    "sample model.safetensors --walk walk.png": "walk.png: is no film",
    "sample model.safetensors --walk walk": "walk: is no film",
    "sample model.safetensors --walk walk.mp4 -o out": "--walk names its own output",
    "sample model.safetensors --walk walk.mp4 --between photo.png fake.jpg": "--walk names its own output",
    "sample model.safetensors --fps 0": "--fps",
    "import": "file",
    "import net.pth": "--domains",
    "import net.pth --domains horse": "--domains",
    "import net.pth --domains horse horse": "--domains horse horse",
    "import missing.pth --domains horse zebra": "missing.pth: no such file",
    "import horses --domains horse zebra": "horses",
    "import net.pth --domains horse zebra -o out.pth": "out.pth: weights are .safetensors files",
    "import model.safetensors --domains horse zebra -o model.safetensors": "would overwrite the input",
    "demo --set data.sise=64": "did you mean 'data.size'",
    "demo --set training.batch=x": "training.batch = 'x'",
    "demo --frames 3": "--frames",
    "demo horses": "horses",
}

AFTER_LOADING = {  # what takes torch or the weights to know
    "train horses zebras --device gpu": "--device gpu: not a device",
    "train horses zebras --device cuda:99": "--device cuda:99: this machine has none",
    "train horses zebras --dry-run --device tpu": "--device tpu: not a device",
    "train horses zebras --preset tiny --size 30": "data.size = 30",
    "train horses zebras --preset tiny --size 30 --dry-run": "data.size = 30",
    "train horses zebras --preset tiny -o notes.txt": "notes.txt",
    "translate photo.png": "no trained run",
    "translate photo.png -m nowhere": "nowhere: no weights of that name",
    "translate photo.png -m nowhere.safetensors": "nowhere.safetensors: no such file",
    "translate photo.png -m horses": "horses: no weights in it",
    "translate photo.png -m notes.txt": "notes.txt",
    "translate photo.png -m photo.png": "photo.png",
    "translate photo.png -m state.safetensors": "state.safetensors: holds a state",
    "train horses --preset vae --size 36": "data.size = 36",
    "train horses --preset vae --size 36 --dry-run": "data.size = 36",
    "train horses --preset vae --set critic.name=patchgan": "critic.name = patchgan does not fit",
    "train horses zebras --set translator.name=autoencoder": "translator.name = autoencoder does not fit",
    "sample nowhere": "nowhere: no weights of that name",
    "sample nowhere.safetensors": "nowhere.safetensors: no such file",
    "sample horses": "horses: no weights in it",
    "sample photo.png": "photo.png",
    "sample whole.pth": "whole.pth",
    "sample cut.safetensors": "cut.safetensors: damaged",
    "sample model.safetensors": "model.safetensors: holds a translator, not a sampler",
    "sample state.safetensors": "state.safetensors: holds a state",
    "translate photo.png -m cut.safetensors": "cut.safetensors: damaged",
    "translate photo.png -m model.safetensors --to zebrra": "did you mean 'zebra'",
    "translate photo.png -m model.safetensors --to horse": "--to horse",
    "translate photo.png -m model.safetensors --device gpu": "--device gpu",
    "translate photo.png -m model.safetensors --device cuda:99": "--device cuda:99",
    "translate photo.png -m model.safetensors -o notes.txt/out": "notes.txt",
    "import cut.pth --domains horse zebra": "cut.pth",
    "import empty.pth --domains horse zebra": "empty.pth",
    "import page.pth --domains horse zebra": "page.pth: is a web page",
    "import whole.pth --domains horse zebra": "whole.pth",
    "import notes.txt --domains horse zebra": "notes.txt",
    "import model.safetensors --domains horse zebra": "model.safetensors: is a safetensors file",
    "demo --device gpu": "--device gpu: not a device",
    "demo -o notes.txt": "notes.txt",
}


def complaint(stderr: str, *, named: str) -> None:
    """Hold the contract: at most three lines, what and which, then the next step."""
    lines = stderr.splitlines()
    assert "Traceback" not in stderr
    assert 2 <= len(lines) <= 3, stderr
    wrong = [line for line in lines if line.startswith("error: ")]
    assert len(wrong) == 1, stderr
    assert len(wrong[0]) > len("error: ")
    assert lines[-1].startswith("  "), f"no next step: {stderr}"
    assert lines[-1].strip()
    assert named in stderr, stderr
    assert "internal error" not in stderr


def test_the_tables_are_long_enough() -> None:
    assert len(AT_ONCE) + len(AFTER_LOADING) >= 60


@pytest.mark.parametrize("words", AT_ONCE)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_answered_in_two_lines(words: str, styl: Run) -> None:
    before = content(Path())
    code, out, err = styl(*words.split())
    assert code == 2
    assert out == ""
    complaint(err, named=AT_ONCE[words])
    assert err.startswith("error: ")
    assert content(Path()) == before


@pytest.mark.parametrize("words", AFTER_LOADING)
@pytest.mark.usefixtures("here")
def test_a_mistake_that_shows_later_is_answered_too(words: str, styl: Run) -> None:
    before = content(Path())
    code, out, err = styl(*words.split())
    assert code == 2
    assert out == ""
    complaint(err, named=AFTER_LOADING[words])
    after = content(Path())
    assert {name: after.get(name) for name in before} == before


WATCHER = """
import json, sys
from cyclegan.cli import app
from cyclegan.cli.edge import guarded
late, wrong = [], []
for words in json.loads(sys.stdin.read()):
    sys.argv = ["styl", *words.split()]
    try:
        guarded(app)
    except SystemExit as left:
        if left.code != (0 if "--help" in words else 2):
            wrong.append((words, left.code))
    costly = ("torch", "torchvision", "kornia", "albumentations", "cv2", "onnx", "onnxruntime", "openvino")
    heavy = [m for m in costly if m in sys.modules]
    if heavy:
        late.append((words, heavy))
        break
print("\\n" + json.dumps([late, wrong]))
"""


def test_mistakes_and_help_are_answered_without_torch(here: Path) -> None:
    words = [*AT_ONCE, "--help", *(f"{verb} --help" for verb in VERBS)]
    done = subprocess.run(
        [sys.executable, "-c", WATCHER],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [[], []], done.stderr[-500:]


@posix
@pytest.mark.parametrize("words", ["--help", "train horses zebras --set training.bach=4", "translate photo.pgn"])
def test_the_answer_takes_less_than_a_second_of_work(words: str, here: Path) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process(*words.split(), cwd=here)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0  # torch alone takes longer


# --- help


def command() -> Any:
    return typer.main.get_command(cli.app)


def test_the_verbs_are_these_and_every_option_is_explained() -> None:
    assert list(command().commands) == VERBS
    for verb, sub in command().commands.items():
        assert sub.help, verb
        assert "\b" not in sub.help
        for parameter in sub.params:
            assert parameter.help, f"{verb} {parameter.name} has no explanation"
            assert parameter.help[0].isupper() or parameter.name == "device", f"{verb} {parameter.name}"


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_lists_every_option(verb: str, styl: Run) -> None:
    code, out, err = styl(*verb.split(), "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: styl")
    assert "\x1b" not in out
    for parameter in command().commands[verb].params if verb else ():
        assert parameter.opts[-1] in out, parameter.opts
    for name in VERBS if not verb else ():
        assert f"  {name} " in out


def test_nothing_typed_is_answered_with_help(styl: Run) -> None:
    assert styl() == styl("--help")


# --- exit codes


@pytest.mark.usefixtures("here")
def test_what_works_says_so_on_standard_output(styl: Run) -> None:
    code, out, err = styl("translate", "photo.png", "-m", "model.safetensors", "-o", "out.png")
    assert (code, out) == (0, "1 translated to zebra: out.png\n")
    assert "horse to zebra, 1 file, on" in err
    with Image.open("out.png") as image:
        assert image.size == (24, 20)


@pytest.mark.usefixtures("here")
def test_a_picture_that_is_none_fails_alone(styl: Run) -> None:
    code, out, err = styl("translate", "fake.jpg", "photo.png", "-m", "model.safetensors", "--json")
    assert code == 1
    summary = json.loads(out)
    assert summary["done"] == ["translated/photo.png"]
    assert [f["path"] for f in summary["failed"]] == ["fake.jpg"]
    assert "fake.jpg" in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("here")
def test_films_and_folders_go_along_and_a_second_run_redoes_nothing(styl: Run) -> None:
    make(Path("horses/film.mp4"), Recipe(count=6, sounds=[Sound()]))
    Path("horses/playlist.mp4").write_text("ffconcat version 1.0\nfile film.mp4\n")
    words = ["translate", "horses", "-m", "model.safetensors", "-o", "out", "--json"]
    code, out, err = styl(*words)
    first = json.loads(out)
    assert code == 1
    assert "out/film.mp4" in first["done"]
    assert [Path(f["path"]).name for f in first["failed"]] == ["playlist.mp4"]
    assert "film.mp4: flicker" in err
    assert json.loads(Path("out/summary.json").read_text()) == first
    before = content(Path("out"))
    code, out, err = styl(*words)
    assert (code, json.loads(out)["done"]) == (1, [])
    assert len(json.loads(out)["finished"]) == len(first["done"])
    assert {k: v for k, v in content(Path("out")).items() if k != "summary.json"} == {
        k: v for k, v in before.items() if k != "summary.json"
    }
    code, out, _ = styl(*words, "--again")
    assert len(json.loads(out)["done"]) == len(first["done"])


@pytest.mark.skipif(os.name != "posix", reason="sends SIGTERM")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_stopped_film_leaves_nothing_behind(number: int, code: int, here: Path) -> None:
    make(here / "long.mp4", Recipe(count=3000))
    words = ["translate", "long.mp4", "-m", "model.safetensors", "-o", "out", "--device", "cpu"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "cyclegan", *words], cwd=here, env=env, stderr=subprocess.PIPE
    ) as work:
        deadline = time.monotonic() + 60
        while not list(here.glob("out/.styl-*.tmp")) and time.monotonic() < deadline:
            time.sleep(0.02)
        work.send_signal(number)
        _, said = work.communicate(timeout=30)
    assert work.returncode == code
    assert not (here / "out" / "long.mp4").exists()
    assert b"Traceback" not in said
    if number != signal.SIGKILL:
        assert b"error: stopped by" in said
        assert not list(here.glob("out/.styl-*.tmp"))
    else:  # the next run sweeps
        make(here / "long.mp4", Recipe(count=3))
        assert process(*words, cwd=here).returncode == 0
        assert not list(here.glob("out/.styl-*.tmp"))


@pytest.mark.usefixtures("here")
def test_formats_frames_and_sizes_are_options(styl: Run) -> None:
    weights = ("-m", "model.safetensors")
    assert styl("translate", "photo.png", *weights, "--format", "JPG", "-o", "out")[0] == 0
    assert Path("out/photo.jpg").is_file()
    assert styl("translate", "horses", *weights, "--frames", "--fps", "30000/1001", "-o", "out.mkv")[0] == 0
    assert styl("translate", "horses", *weights, "--frames", "-o", "frames", "--no-steady")[0] == 0
    pictures = [path for path in Path("horses").rglob("*") if path.suffix in (".png", ".jpg")]
    assert len(facts(Path("out.mkv")).times) == len(pictures) == len(list(Path("frames").rglob("*.*")))
    for options in (["--tile", "9"], ["--tile", "0"], ["--scale-to", "10"]):
        code, out, err = styl("translate", "photo.png", *weights, *options, "-o", "sized.png")
        assert (code, out) == (0, "1 translated to zebra: sized.png\n"), err
        with Image.open("sized.png") as image:
            assert image.size == (24, 20)


@pytest.mark.parametrize(
    "words",
    [
        "translate horses -m model.safetensors -o out",
        "train horses zebras --preset tiny --size 16 --batch 1 --images 1 --workers 0 --set critic.layers=1",
        "inspect horses --quick",
        "evaluate --source horses --target zebras --features own",
    ],
)
@pytest.mark.usefixtures("here")
def test_what_folders_pass_over_is_said_in_one_line_by_every_verb(words: str, styl: Run) -> None:
    for name in ("a.CR2", "sub/b.cr2", "c.exr", "d.wma", ".hidden.cr2", "notes.md"):
        Path("horses", name).parent.mkdir(exist_ok=True)
        Path("horses", name).write_bytes(b"raw")
    code, out, err = styl(*words.split(), "--json")
    assert code == 0, err
    assert err.count("passed over: 2 .cr2, 1 .exr, 1 .wma\n") == 1
    assert json.loads(out)["passed_over"] == {".cr2": 2, ".exr": 1, ".wma": 1}
    for summary in Path("out").glob("summary.json"):
        assert json.loads(summary.read_text()) == json.loads(out)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("train --dry-run --preset tiny --json", {"experiment", "networks"}),
        ("train horses zebras --dry-run --preset tiny --json", {"experiment", "networks"}),
        ("train horses --dry-run --preset vae --json", {"experiment", "networks"}),
        ("train --dry-run --preset autoencoder --json", {"experiment", "networks"}),
        (
            "translate horses -m model.safetensors --to zebra --json",
            {"model", "from", "to", "done", "failed", "seconds"},
        ),
    ],
)
@pytest.mark.usefixtures("here")
def test_a_summary_for_programs_is_json_and_nothing_else(words: str, keys: set[str], styl: Run) -> None:
    code, out, _ = styl(*words.split())
    assert code == 0
    assert keys <= json.loads(out).keys()


@pytest.mark.usefixtures("here")
def test_a_dry_run_prints_an_experiment_that_can_be_run(styl: Run) -> None:
    words = "train horses zebras --preset tiny --size 32 --set objective.cycle=7 --dry-run"
    code, printed, _ = styl(*words.split())
    assert code == 0
    Path("mine.toml").write_text(printed)
    again = styl("train", "--preset", "mine.toml", "--dry-run")
    assert again == (0, printed, "")
    assert not Path("runs").exists()


@pytest.mark.usefixtures("here")
def test_a_run_can_be_trained_continued_and_used(styl: Run) -> None:
    words = "train horses zebras --preset tiny --size 16 --batch 1 --device cpu --workers 0 --set critic.layers=1"
    few = "--images 2 --set translator.width=1 --set critic.width=1 --set translator.blocks=1"
    code, out, err = styl(*words.split(), *few.split())
    assert (code, "finished at 2 images" in out) == (0, True), err
    assert "\x1b" not in out + err
    code, out, _ = styl(*words.split(), *few.split(), "--json")
    assert code == 0
    assert json.loads(out)["already_finished"]
    code, out, _ = styl(*words.split(), *few.replace("--images 2", "--images 3").split(), "--json")
    assert json.loads(out) == {
        "run": "runs/horses-zebras",
        "images": 3,
        "finished": True,
        "already_finished": False,
        "skipped": [],
        "passed_over": {},
    }
    code, out, err = styl("translate", "photo.png", "--to", "horses", "--json")
    assert (code, json.loads(out)["model"]) == (0, "runs/horses-zebras")
    assert "runs/horses-zebras: zebras to horses" in err
    code, _, err = styl(*words.split(), *few.replace("--images 2", "--images 9").split(), "--set", "objective.cycle=1")
    assert code == 2
    complaint(err.split("\n", 1)[1], named="was begun with objective.cycle = 10.0, now it is 1.0")


def failing(error: BaseException) -> Callable[..., None]:
    def app(**_: Any) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (StylError("a.png: damaged", hint="look at it"), 2, "error: a.png: damaged\n  look at it\n"),
        (StoppedEarly("the disk is full", hint="make room"), 3, "error: the disk is full\n  make room\n"),
        (OSError(28, "No space left on device", "out.png"), 3, "error: out.png: No space left on device\n"),
        (OSError(28, "No space left on device"), 3, "error: output: No space left on device\n"),
        (PermissionError(13, "Permission denied", "out.png"), 2, "error: out.png: Permission denied\n"),
        (MemoryError(), 3, "error: not enough memory\n"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 3, "error: not enough memory\n"),
        (Stopped(signal.SIGINT), 130, "error: stopped by Ctrl-C\n"),
        (Stopped(signal.SIGTERM), 143, "error: stopped by SIGTERM\n"),
        (Stopped(signal.SIGHUP), 129, "error: stopped by SIGHUP\n"),
        (StylError("two\nlines \x1b[31mred\x07", hint="\tx\ny"), 2, "error: two lines \\x1b[31mred\\x07\n  x y\n"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_kind_of_end_has_its_code(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        guarded(failing(error))
    assert left.value.code == code
    assert capsys.readouterr().err.startswith(words)


def test_a_bug_of_ours_is_written_down_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        guarded(failing(KeyError("secret \udcff")))
    assert left.value.code == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: internal error: KeyError; the details are in styl.log\n  please report")
    assert "Traceback" not in err
    assert "secret" not in err
    written = Path("styl.log").read_text("utf-8")
    assert written.startswith("Traceback")
    assert "secret" in written


@posix
def test_a_bug_where_nothing_can_be_written_is_said_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("styl.log").mkdir()
    with pytest.raises(SystemExit) as left:
        guarded(failing(KeyError()))
    assert left.value.code == 70
    assert "could not be written" in capsys.readouterr().err


# --- pipes, encodings, names


@posix
@pytest.mark.parametrize("words", ["--help", "train --help"])
def test_nobody_reads_the_output_and_all_is_silent(words: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as with | true: whatever is written finds nobody
    try:
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "cyclegan", *words.split()]
        done = subprocess.run(command, cwd=tmp_path, env=env, stdout=writing, stderr=subprocess.PIPE, timeout=100)
    finally:
        os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141


def test_nobody_reads_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, for the path that ends in our own print."""
    monkeypatch.chdir(tmp_path)
    program = (
        "import sys, typer\nfrom cyclegan.cli.edge import guarded, result\napp = typer.Typer()\n"
        "@app.command()\ndef one(_: str) -> None:\n    result('x' * 100_000, summary={}, as_json=False)\nguarded(app)\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(
        [sys.executable, "-c", program, "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
    assert first.stdout
    assert first.stderr
    first.stdout.read(1)
    first.stdout.close()
    assert first.stderr.read() == b""
    first.stderr.close()
    assert first.wait(60) == 141


@posix
def test_closed_outputs_do_no_harm(tmp_path: Path) -> None:
    """As with >&- and 2>&-."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    for closed, words, code in (("1", "--help", {0, 141}), ("2", "train nowhere x", {2})):
        line = f'exec "$0" -m cyclegan {words} {closed}>&-'
        done = subprocess.run(
            ["/bin/sh", "-c", line, sys.executable], cwd=tmp_path, env=env, capture_output=True, timeout=100
        )
        assert done.returncode in code
        assert b"Traceback" not in done.stdout + done.stderr


@posix
@pytest.mark.parametrize("name", [b"horse \xf0\x9f\xa6\x93", b"horse \xff\xfe", b"-rf", b"new\nline", b"\x1b[31mred"])
@pytest.mark.parametrize("env", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}])
def test_odd_names_in_any_locale(name: bytes, env: dict[str, str], here: Path) -> None:
    folder = os.fsencode(here) + b"/odd/" + name
    os.makedirs(folder)  # noqa: PTH103 - the name is bytes
    done = process("translate", "--", os.fsdecode(b"odd/" + name), cwd=here, env=env)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: odd/")
    assert b"no pictures in it" in done.stderr
    assert b"\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 2


@posix
@pytest.mark.parametrize("name", [b"horse \xf0\x9f\xa6\x93", b"horse \xff\xfe", b"new\nline"])
def test_pictures_and_folders_of_odd_names_are_worked_on(name: bytes, here: Path, styl: Run) -> None:
    odd = os.fsdecode(name)
    Path("horses").rename(odd)
    code, out, _ = styl("translate", odd, "-m", "model.safetensors", "-o", "out", "--json")
    assert (code, len(json.loads(out)["done"])) == (0, 4)
    Path("out/0.png").rename(Path(odd) / f"{odd}.png")
    code, out, _ = styl("translate", f"{odd}/{odd}.png", "-m", "model.safetensors", "-o", odd + "-out")
    assert code == 0
    assert Path(odd + "-out", f"{odd}.png").is_file()
    code, out, err = styl("train", odd, "zebras", "--preset", "tiny", "--dry-run")
    assert code == 0, err


@pytest.mark.usefixtures("here")
def test_folders_of_one_name_are_told_apart_by_what_is_above_them(styl: Run) -> None:
    for domain in ("apples", "oranges"):
        picture(Path(domain, "train", "1.png"))
    code, out, _ = styl("train", "apples/train", "oranges/train", "--preset", "tiny", "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["experiment"]["data"]["domains"] == ["apples", "oranges"]
