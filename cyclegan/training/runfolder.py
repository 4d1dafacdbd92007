"""A run's folder: everything a training writes down, and everything it needs to go on.

experiment.toml     the whole resolved experiment     environment.json    command, versions, device, threads
log.jsonl           losses and scores                 sheets/*.jpg        always the same held-back pictures
weights/last, best  self-describing translators       state/*             networks, optimisers, history, average
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from cyclegan import files
from cyclegan.checkpoint import Checkpoint
from cyclegan.errors import CheckpointError, InputError, StoppedEarly, UsageError, shown
from cyclegan.experiment import Experiment
from cyclegan.media.image import encode_picture
from cyclegan.objectives import network_specs
from cyclegan.training.environment import describe
from cyclegan.training.look import Look
from cyclegan.training.trainer import Report, Trainer

Line = dict[str, Any]
KEPT = 2  # states; the older one is for the day the newer is damaged
_SLOWER = "what was saved is whole; begin another run with -o and a smaller --set training.learning_rate"
FREE_TO_CHANGE = ("training.images", "training.minutes", "every.", "data.folders")


class RunFolder:
    """The diary of one run. Opening it only reads; it is written in its ``with`` block, which one process can hold."""

    def __init__(self, directory: Path, experiment: Experiment, *, codec: dict[str, Any]) -> None:
        self.directory, self.experiment, self.codec = directory, experiment, codec
        self.notes: list[str] = []
        self._check_same_experiment()
        self.state = self._newest_state()
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.logged = (0, 0.0)  # images and seconds at the last line
        self.tell: Callable[[Line], None] = lambda _: None
        self.board: Any = None

    @property
    def finished(self) -> bool:
        """Whether what is asked for has been reached already."""
        if self.state is None:
            return False
        about, training = self.state.about, self.experiment.training
        done = about["seconds"] >= 60 * training.minutes if training.minutes else about["images"] >= training.images
        return bool(done)

    def __enter__(self) -> "RunFolder":
        try:
            for name in ("sheets", "weights", "state"):
                (self.directory / name).mkdir(parents=True, exist_ok=True)
                files.sweep_stale(self.directory / name)
            files.sweep_stale(self.directory)
            self.lock = files.lock(self.directory)
            self.lock.__enter__()
        except OSError as error:
            what = f"{shown(self.directory)}: cannot be written: {error.strerror}"
            raise InputError(what, hint="-o chooses another folder") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.board:
            self.board.close()
        self.lock.__exit__(kind, error, trace)

    def begin(self, trainer: Trainer, *, tell: Callable[[Line], None], tensorboard: bool) -> None:
        """Take up the newest state that is whole, and write down what is about to be done, and where."""
        self.tell = tell
        self._restore(trainer)
        self._check_room(trainer)
        self._write("experiment.toml", self.experiment.toml().encode("utf-8", "surrogateescape"))
        self._write("environment.json", json.dumps(describe(trainer.device), indent=2).encode())
        kept = [line for line in self.log_lines() if line["images"] <= trainer.images]
        self._write("log.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())
        if tensorboard:
            self.board = _tensorboard(self.directory / "tensorboard", trainer.images)

    def note(self, report: Report) -> None:
        """Add a step's terms to the sums, without waiting for the device."""
        self.steps += 1
        for name, term in report.terms.items():
            self.sums[name] = self.sums.get(name, 0) + term

    def log(self, report: Report, *, seconds: float) -> None:
        """Write the mean of every term since the last line; stop where one is no number any more."""
        losses = {name: float(total) / self.steps for name, total in self.sums.items()}
        self.sums, self.steps = {}, 0
        if not all(map(math.isfinite, losses.values())):
            raise StoppedEarly(f"the losses are no numbers any more at {report.images} images", hint=_SLOWER)
        speed = (report.images - self.logged[0]) / max(seconds - self.logged[1], 1e-9)
        self.logged = (report.images, seconds)
        self._line(
            {
                "images": report.images,
                "progress": report.progress,
                "seconds": round(seconds, 3),
                "images_per_second": round(speed, 3),
                "learning_rate": report.rate,
                "losses": losses,
            }
        )

    def look(self, trainer: Trainer, seen: Look) -> None:
        """Keep a sheet and its scores; where they are the best so far, the translators too."""
        self._write(f"sheets/{trainer.images:09d}.jpg", encode_picture(seen.sheet, suffix=".jpg", quality=90))
        self._line({"images": trainer.images, "score": seen.scores, "mean_score": seen.mean})
        earlier = [
            line["mean_score"] for line in self.log_lines() if 0 < line["images"] < trainer.images and "score" in line
        ]
        if trainer.images and seen.mean <= min(earlier, default=math.inf):
            self._write("weights/best.safetensors", self._translators(trainer, score=seen.mean).encode())

    def save(self, trainer: Trainer) -> None:
        """Save the translators, then everything a resume needs: a state says that all before it is written."""
        state = trainer.state()
        if not all(bool(torch.isfinite(t).all()) for t in state.values()):
            what = f"the weights are no numbers any more at {trainer.images} images: not saved"
            raise StoppedEarly(what, hint=_SLOWER)
        threads = torch.get_num_threads()
        about = {"kind": "state", "images": trainer.images, "seconds": trainer.seconds, "threads": threads}
        self._write("weights/last.safetensors", self._translators(trainer).encode())
        self._write(f"state/{trainer.images:012d}.safetensors", Checkpoint(about, state).encode())
        for old in self._states()[KEPT:]:
            old.unlink(missing_ok=True)

    def log_lines(self) -> list[Line]:
        """Return the log's lines; one that was torn by a crash ends it."""
        lines: list[Line] = []
        path = self.directory / "log.jsonl"
        for text in path.read_text("utf-8", "replace").splitlines() if path.exists() else ():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def _translators(self, trainer: Trainer, **more: float) -> Checkpoint:
        """Return the translators people will use, self-described; local paths stay at home."""
        objective, domains = trainer.objective, self.experiment.data.domains
        specs = network_specs(self.experiment, channels=self.codec["channels"])
        about = {
            "kind": "translator",
            "domains": list(domains),
            "routes": [[domains[x], domains[y], name] for (x, y), name in objective.routes.items()],
            "networks": {name: specs[name] for name in objective.averaged},
            "codec": self.codec,
            "images": trainer.images,
            "experiment": self.experiment.replace(data__folders=()).toml(),
        }
        with trainer.averaged():
            tensors = {
                f"{name}.{key}": tensor.detach().cpu().clone()
                for name in objective.averaged
                for key, tensor in objective.get_submodule(name).state_dict().items()
            }
        return Checkpoint(about | more, tensors)

    def _check_same_experiment(self) -> None:
        path = self.directory / "experiment.toml"
        if not path.exists():
            return
        before = Experiment.load(str(path))
        for name, old, new in before.differences(self.experiment):
            if not name.startswith(FREE_TO_CHANGE):
                what = f"{shown(self.directory)}: was begun with {name} = {old!r}, now it is {new!r}"
                raise UsageError(what, hint="go on with the same options, or -o chooses a new folder")

    def _states(self) -> list[Path]:
        return sorted((self.directory / "state").glob("*.safetensors"), reverse=True)

    def _newest_state(self) -> Checkpoint | None:
        for path in self._states():
            try:
                return Checkpoint.load(path, kind="state")
            except CheckpointError as error:
                self.notes.append(f"{error.what}; the state before it is used")
        if self.notes:  # to begin anew would overwrite the translators, which may be whole
            what = f"{shown(self.directory)}: none of its states is whole"
            raise CheckpointError(what, hint="its weights may still translate; -o begins another run")
        return None

    def _restore(self, trainer: Trainer) -> None:
        if self.state is None:
            return
        about = self.state.about
        if trainer.device == "cpu":  # results depend on the number of threads
            torch.set_num_threads(int(about["threads"]))
        try:
            trainer.restore(self.state.tensors, images=int(about["images"]), seconds=float(about["seconds"]))
        except (RuntimeError, KeyError, ValueError) as error:
            what = f"{shown(self.directory)}: its state does not fit this experiment: {error}".splitlines()[0]
            raise CheckpointError(what, hint="-o chooses a new folder") from None
        self.logged = (trainer.images, trainer.seconds)
        self.state = Checkpoint(about, {})  # the tensors are the trainer's now

    def _check_room(self, trainer: Trainer) -> None:
        """Refuse to begin where two states and one being written would not fit."""
        need = 3 * 4 * sum(t.numel() for t in trainer.objective.parameters()) * 4
        free = shutil.disk_usage(self.directory).free
        if free < need:
            what = f"{shown(self.directory)}: the disk has {free >> 20} MB free, saving needs {need >> 20} MB"
            raise InputError(what, hint="make room, or -o chooses another folder")

    def _line(self, line: Line) -> None:
        with self._disk(), (self.directory / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self.board:
            for group in ("losses", "score"):
                for name, value in line.get(group, {}).items():
                    self.board.add_scalar(f"{group}/{name}", value, line["images"])
        self.tell(line)

    def _write(self, name: str, data: bytes) -> None:
        with self._disk():
            files.write_atomic(self.directory / name, data)

    def _disk(self) -> "_Disk":
        return _Disk(self.directory)


class _Disk:
    """Turns a disk that is full or failing into an early stop that says so."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            what = f"{shown(self.directory)}: cannot be written: {error.strerror or error}"
            raise StoppedEarly(what, hint="make room; the same command goes on from the last state") from None


def _tensorboard(folder: Path, images: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard: it is not installed", hint="pip install 'styl[tensorboard]'") from None
    return SummaryWriter(str(folder), purge_step=images)
