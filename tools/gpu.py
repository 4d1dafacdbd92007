"""Measures everything that wants a GPU in one call, and brings it back in one folder.

    python tools/gpu.py A B --minutes 8 --output brought
    python tools/gpu.py --device cpu --quick --output /tmp/tried

Parts: training at 256 with batch 1, 4, 8 and 16, and the step of 2017; translating 256, 512 and 1080p; a film of 1080p
from file to file; a real training on two folders, with its sheets and its best weights. `results.jsonl` in the output
folder has a line for every row, written as soon as it is known. A part that fails, or for which no time is left, says
so there, and the next one goes on. Defaults take under ten minutes on a large GPU, besides --minutes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmark import FilmCase, compared, pixels

from cyclegan.bench.cases import Case
from cyclegan.bench.floor import Floor
from cyclegan.bench.timing import floors
from cyclegan.checkpoint import Checkpoint
from cyclegan.devices import choose_device

ROOT = Path(__file__).resolve().parents[1]
TINY = ("translator.width=8", "critic.width=8")
LATE = 300  # seconds that a training may take besides its minutes


class Session:
    """One call: what was asked for, where results go, and how much time is left."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.start = asked, time.monotonic()
        self.device = choose_device(asked.device)
        self.settings = tuple(asked.set) + (TINY if asked.quick else ())
        self.repeats, self.seconds = (1, 0.1) if asked.quick else (asked.repeats, asked.seconds)
        asked.output.mkdir(parents=True, exist_ok=True)
        self.results = asked.output / "results.jsonl"
        self.floor: Floor | None = None

    def emit(self, part: str, found: dict[str, Any]) -> None:
        """Write a line at once."""
        line = json.dumps({"part": part, "at": round(time.monotonic() - self.start, 1), **found})
        with self.results.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
        print(line, flush=True)

    def attempt(self, part: str, work: Any) -> None:
        """Do a piece of a part; record why it could not be done."""
        if part != "learn" and time.monotonic() - self.start > self.asked.budget:
            self.emit(part, {"error": "no time was left"})
            return
        try:
            work()
        except Exception as error:
            where = traceback.format_exc().strip().splitlines()[-6:]
            self.emit(part, {"error": f"{type(error).__name__}: {error}", "where": where})

    def ground(self) -> Floor:
        """Return what the device reaches, measured once."""
        if self.floor is None:
            self.floor = dict(floors([self.device], seconds=min(self.seconds, 0.5)))[self.device]
        return self.floor

    def case(self, verb: str, size: str, batch: int, **more: Any) -> Case:
        """Return a case of this session."""
        side = "32x32" if verb == "train" else "64x48"
        chosen = pixels(side if self.asked.quick else size)
        return Case(verb, chosen, batch, device=self.device, settings=self.settings, **{"preset": "default"} | more)

    def timed(self, part: str, ours: list[Any], *, peer: bool) -> None:
        """Time cases of ours, in turns with the reference where it is wanted."""
        emit = partial(self.emit, part)
        compared(ours, self.ground(), emit, repeats=self.repeats, seconds=self.seconds, peer=peer)


def main() -> None:
    """Do every part that is asked for."""
    asked = parser().parse_args()
    if asked.quick:  # beside other work, two threads wait for each other longer than one computes
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    session = Session(asked)
    for part in session.asked.part or PARTS:
        for piece in PARTS[part](session):
            session.attempt(part, piece)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("folders", type=Path, nargs="*", help="two folders of pictures for the real training")
    found.add_argument("--output", type=Path, default=Path("runs/gpu"))
    found.add_argument("--device", default="auto")
    found.add_argument("--part", action="append", choices=list(PARTS), help="repeatable  (default: all)")
    found.add_argument("--batch", type=int, nargs="+", default=[1, 4, 8, 16], help="of training")
    found.add_argument("--set", action="append", default=[], help="key=value of every preset, repeatable")
    found.add_argument("--repeats", type=int, default=3)
    found.add_argument("--seconds", type=float, default=1.5, help="of a round")
    found.add_argument("--budget", type=float, default=540, help="seconds after which no row is begun")
    found.add_argument("--minutes", type=float, default=8.0, help="of the real training")
    found.add_argument("--preset", default="default", help="of the real training")
    found.add_argument("--to", help="bring only the translator to this domain")
    found.add_argument("--part-mib", type=int, default=0, help="cut larger files into pieces; cat joins them")
    found.add_argument("--quick", action="store_true", help="all of it small: does it work?")
    return found


def floor(session: Session) -> Iterator[Any]:
    """What the device reaches."""

    def measure() -> None:
        known = session.ground()
        found = {"flops_per_second": known.rates, "bytes_per_second": known.bandwidth}
        session.emit("floor", found | {"machine": known.machine})

    yield measure


def training(session: Session) -> Iterator[Any]:
    """Pairs a second; a picture of a row is a pair. The reference's step takes turns with batch 1."""
    for batch in session.asked.batch[: 2 if session.asked.quick else None]:
        case = session.case("train", "256", batch, preset="cyclegan-2017")
        yield partial(session.timed, "train", [case], peer=batch == 1)
    yield partial(session.timed, "train", [session.case("train", "256", 1)], peer=False)


def translating(session: Session) -> Iterator[Any]:
    """Pictures a second."""
    rows = (("256", 1), ("256", 16), ("512", 1), ("1920x1080", 1))
    for size, batch in rows[: 2 if session.asked.quick else None]:
        case = session.case("translate", size, batch, preset="cyclegan-2017")
        both = [replace(case, precision=precision) for precision in ("fp32", "bf16")]
        yield partial(session.timed, "translate", both, peer=True)


def film(session: Session) -> Iterator[Any]:
    """Frames a second of a film from file to file, steadied and not, and of its frames in memory."""
    size, frames = ((64, 48), 6) if session.asked.quick else ((1920, 1080), session.asked.repeats * 12)
    one = FilmCase("frames", size, 8, "bf16", session.device, "default", session.settings, None, frames)
    for verb in ("frames", "film", "steady-film"):
        yield partial(session.timed, "film", [replace(one, verb=verb)], peer=False)


def learning(session: Session) -> Iterator[Any]:
    """Train for real; bring home sheets, log and best weights."""
    yield partial(learn, session)


def learn(session: Session) -> None:
    """Train on the two folders in a process of its own, and copy what is to be kept."""
    asked = session.asked
    with tempfile.TemporaryDirectory(prefix="styl-gpu-") as place:
        run = Path(place) / "run"
        folders = asked.folders or drawn(Path(place))
        words = [
            sys.executable,
            "-m",
            "cyclegan",
            "train",
            *map(str, folders),
            "-o",
            str(run),
            "--preset",
            asked.preset,
        ]
        words += ["--device", session.device, "--json", *long_or_quick(session)]
        words += [word for setting in session.settings for word in ("--set", setting)]
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        minutes = 0.0 if asked.quick else asked.minutes
        done = subprocess.run(
            words, env=env, stdout=subprocess.PIPE, text=True, timeout=60 * minutes + LATE, check=False
        )
        session.emit("learn", {"code": done.returncode, "said": done.stdout.strip().splitlines()[-1:]})
        if (run / "weights").is_dir():
            bring(run, asked.output, to=asked.to, part_mib=asked.part_mib)
            session.emit("learn", {"brought": sorted(path.name for path in asked.output.iterdir())})


def long_or_quick(session: Session) -> list[str]:
    """Return how long to train, as words of styl train."""
    if not session.asked.quick:
        return ["--minutes", str(session.asked.minutes)]
    return ["--images", "4", "--size", "32", "--workers", "0", "--set", "data.held_back=2"]


def drawn(place: Path) -> list[Path]:
    """Draw two folders of pictures."""
    from cyclegan.demo.painter import paint_folders

    return list(paint_folders(place / "drawn", count=8, seed=0, size=32))


def bring(run: Path, output: Path, *, to: str | None, part_mib: int) -> None:
    """Copy the log, three sheets and the best translators."""
    sheets = sorted((run / "sheets").glob("[0-9]*.jpg"))
    chosen = [run / "log.jsonl", run / "experiment.toml", *sheets[:1], *sheets[-1:], run / "sheets" / "extremes.jpg"]
    for path in dict.fromkeys(chosen):
        if path.is_file():
            shutil.copy(path, output / path.name)
    best = Checkpoint.load(run / "weights" / "best.safetensors", kind="translator")
    target = output / "best.safetensors"
    (one_direction(best, to) if to else best).save(target)
    if part_mib and target.stat().st_size > part_mib << 20:
        cut(target, part_mib << 20)


def one_direction(both: Checkpoint, to: str) -> Checkpoint:
    """Return the translator to one domain alone."""
    route = next(route for route in both.about["routes"] if route[1] == to)
    name = route[2]
    about = both.about | {"routes": [route], "networks": {name: both.about["networks"][name]}}
    return Checkpoint(about, {key: tensor for key, tensor in both.tensors.items() if key.startswith(f"{name}.")})


def cut(path: Path, size: int) -> None:
    """Replace a file by pieces of at most so many bytes: NAME.00, NAME.01, …"""
    blob = path.read_bytes()
    for number, start in enumerate(range(0, len(blob), size)):
        path.with_name(f"{path.name}.{number:02d}").write_bytes(blob[start : start + size])
    path.unlink()


PARTS = {"floor": floor, "train": training, "translate": translating, "film": film, "learn": learning}

if __name__ == "__main__":
    main()
