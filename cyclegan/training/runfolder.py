"""A run's folder: everything a training writes down, and everything it needs to go on.

experiment.toml     the whole resolved experiment     environment.json    command, versions, device, threads
data.json           what lies in the folders            balance.json        how often each picture is shown
log.jsonl           losses and figures                sheets/*.jpg        always the same held-back pictures
weights/last, best  self-describing translators       samples/*           what the best weights make: pictures, sounds
state/*             networks, optimisers, history, average
"""

import contextlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch

from cyclegan import files
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Codec, Voice
from cyclegan.curation.familiar import Familiar
from cyclegan.devices import cores
from cyclegan.errors import CheckpointError, InputError, StoppedEarly, out_of_memory, shown
from cyclegan.experiment import Experiment
from cyclegan.locks import lock
from cyclegan.media.image import encode_picture
from cyclegan.media.sounds.wav import encode_wav
from cyclegan.training.album import Scan
from cyclegan.training.balance import MEMORY as BALANCE
from cyclegan.training.balance import Balance
from cyclegan.training.begun import changes
from cyclegan.training.board import Board
from cyclegan.training.environment import circumstances, describe
from cyclegan.training.ledger import numbers
from cyclegan.training.log import Line, read_lines
from cyclegan.training.look import Frames, Look, Measure, Sample
from cyclegan.training.record import Record
from cyclegan.training.survey import MEMORY
from cyclegan.training.trainer import Trainer
from cyclegan.training.weights import portable

KEPT = 2  # states; the older one is for the day the newer is damaged


class RunFolder:
    """The diary of one run. Opening it only reads; it is written in its ``with`` block, which one process can hold."""

    def __init__(self, directory: Path, experiment: Experiment, *, codec: Codec) -> None:
        self.directory, self.experiment, self.codec = directory, experiment, codec
        self.notes = changes(experiment, directory)
        self.damaged: list[Path] = []
        self.found = self._states()
        self.state = self._newest_state()
        self.tell: Callable[[Line], None] = lambda _: None
        self.board: Board | None = None
        self.written = 0  # images at the last line of the log
        self.record: Record | None = None  # of those that were measured, the lowest KID
        self.seen: tuple[int, Look | None] = (0, None)  # images when it was looked at, and how it looked
        self.familiar: dict[str, Familiar | None] = {}  # what is learnt from, by domain

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
            self.directory.mkdir(parents=True, exist_ok=True)
            self.lock = lock(self.directory)
            self.lock.__enter__()
            for name in ("", "sheets", "samples", "weights", "state"):
                (self.directory / name).mkdir(exist_ok=True)
                files.sweep_stale(self.directory / name)  # with the lock: the living may be on another machine
            if self._states() != self.found:  # another process held it a moment ago
                self.notes += changes(self.experiment, self.directory)
                self.state = self._newest_state()
        except OSError as error:
            what = f"{shown(self.directory)}: cannot be written: {error.strerror}"
            raise InputError(what, hint="-o chooses another folder") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoppedEarly):
            with contextlib.suppress(StoppedEarly):  # the disk may be what failed
                self.line({"images": self.written, "failed": error.what, "hint": error.hint})
        if self.board:
            self.board.close()
        self.lock.__exit__(kind, error, trace)

    def begin(
        self,
        trainer: Trainer,
        pictures: Scan,
        balance: Balance | None = None,
        *,
        tell: Callable[[Line], None],
        tensorboard: bool,
    ) -> None:
        """Take up the newest state that is whole, and write down what is about to be done, and where."""
        self.tell = tell
        self._restore(trainer)
        self._check_room(trainer)
        self._write("experiment.toml", self.experiment.toml().encode("utf-8", "surrogateescape"))
        self._write(MEMORY, pictures.encode())
        if balance:
            self._write(BALANCE, balance.encode())
        self._write("environment.json", json.dumps(describe(trainer.device), indent=2).encode())
        lines = self._log().items()
        kept = [text for text, line in lines if line["images"] <= trainer.images and "failed" not in line]
        self._write("log.jsonl", "".join(f"{text}\n" for text in kept).encode())
        if tensorboard:
            self.board = Board(self.directory / "tensorboard", images=trainer.images, notes=self.notes)

    def knows(self, protocol: str) -> bool:
        """Tell whether something was measured by this protocol already; tell people where only other things were."""
        lines = self.log_lines()
        known = any(line.get("protocol") == protocol for line in lines)
        if not known and any("kid" in line for line in lines):
            self.tell({"note": "KID is measured otherwise than before: the best is chosen anew from here on"})
        return known

    def measures(self, protocol: str) -> list[Measure]:
        """Return the figures of all looks so far that were measured by this protocol."""
        return [line["measure"] for line in self.log_lines() if "measure" in line and line.get("protocol") == protocol]

    def untranslated(self, figures: Measure, *, features: str, protocol: str, compared: Measure) -> None:
        """Write down how far the domains are apart before anything is learnt, and how good a teacher is."""
        images = self.state.about["images"] if self.state else 0
        line = {"images": images, "features": features, "protocol": protocol, "untranslated": figures}
        self.line(line | ({"teacher": compared} if compared else {}))

    def look(self, trainer: Trainer, seen: Look, *, features: str) -> None:
        """Keep a sheet and its figures; the translators too, unless they are worse than the best so far.

        A later checkpoint takes the place of an earlier one that it cannot be told apart from. Where it is measured
        otherwise than before, nothing is known to compare it with.
        """
        self.seen = trainer.images, seen
        for name, sheet in ((f"{trainer.images:09d}", seen.sheet), ("extremes", seen.extremes)):
            if sheet is not None:
                self._write(f"sheets/{name}.jpg", encode_picture(sheet, suffix=".jpg", quality=90))
        now = Record(trainer.images, seen.protocol, seen.distances)
        compared = now.compared(self.record)
        best = math.isfinite(seen.kid) and (compared is None or compared.as_good)
        if best and (compared is None or compared.difference <= 0):
            self.record = now
        line = {"images": trainer.images, "features": features, "protocol": seen.protocol, "measure": seen.measure}
        line |= {"kid": seen.kid, "best": best}
        line |= {"compared": compared._asdict()} if compared else {}
        self.line(line | ({"alarms": seen.alarms} if seen.alarms else {}))
        if best:
            self._write("weights/best.safetensors", self._weights(trainer, score=seen.kid).encode())
            for name, sample in seen.samples.items():
                self._write(*_sample(name, sample))

    def save(self, trainer: Trainer) -> None:
        """Save the translators, then everything a resume needs: a state says that all before it is written."""
        state = numbers(trainer)
        about = {"kind": "state", "images": trainer.images, "seconds": trainer.seconds, **circumstances(trainer.device)}
        self._write("weights/last.safetensors", self._weights(trainer).encode())
        with self._disk():
            files.sync(self.directory / "log.jsonl")
        if self.record:
            about, state = about | {"record": self.record.about()}, state | self.record.tensors()
        path = self.directory / f"state/{trainer.images:012d}.safetensors"
        self._write(f"state/{path.name}", Checkpoint(about, state).encode())
        self._forget(besides=path)

    def _forget(self, *, besides: Path) -> None:
        """Remove the states that are no longer needed, and those that were found damaged; one that stays is no harm."""
        damaged, self.damaged = [path for path in self.damaged if path != besides], []
        whole = [path for path in self._states() if path not in damaged]
        for old in [*damaged, *whole[KEPT:]]:
            try:
                old.unlink(missing_ok=True)
            except OSError as error:
                self._note(f"{shown(old)}: cannot be removed: {error.strerror}")

    def log_lines(self) -> list[Line]:
        """Return the log's lines, without those that are none; raises CheckpointError where it is no file to read."""
        return list(self._log().values())

    def _log(self) -> dict[str, Line]:
        """Return the lines by the texts they are."""
        path = self.directory / "log.jsonl"
        lines, spoiled = read_lines(path)
        if spoiled:
            self._note(f"{shown(path)}: {spoiled} of its lines cannot be read and are left out")
        return lines

    def _note(self, note: str) -> None:
        self.notes.extend([note] if note not in self.notes else [])

    def _weights(self, trainer: Trainer, **more: float) -> Checkpoint:
        seen = self.seen[1] if self.seen[0] == trainer.images else None
        return portable(trainer, self.experiment, self.codec, seen=seen, familiar=self.familiar, **more)

    def _states(self) -> list[Path]:
        return sorted((self.directory / "state").glob("*.safetensors"), reverse=True)

    def _newest_state(self) -> Checkpoint | None:
        for path in self._states():
            try:
                return Checkpoint.load(path, kind="state")
            except CheckpointError as error:
                self.notes.append(f"{error.what}; the state before it is used")
                self.damaged.append(path)
        if self.damaged:  # to begin anew would overwrite the translators, which may be whole
            what = f"{shown(self.directory)}: none of its states is whole"
            raise CheckpointError(what, hint="its weights may still translate; -o begins another run")
        return None

    def _restore(self, trainer: Trainer) -> None:
        if self.state is None:
            return
        about = self.state.about
        if trainer.device == "cpu":  # results depend on the number of threads; more than cores would only wait
            torch.set_num_threads(min(int(about["threads"]), cores()))
        for name, value in circumstances(trainer.device).items():
            if about.get(name) != value:
                self.notes.append(f"{name} is {value}, it was {about.get(name)}: not bit-identical from here on")
        try:
            trainer.restore(self.state.tensors, images=int(about["images"]), seconds=float(about["seconds"]))
            self.record = Record.decode(about["record"], self.state.tensors) if "record" in about else None
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            if out_of_memory(error):
                raise
            why = " ".join(str(error).splitlines()[1:2] or [str(error)]).strip()  # the first line of torch's names none
            what = f"{shown(self.directory)}: its state does not fit this experiment: {why}"
            raise CheckpointError(what, hint="-o chooses a new folder") from None
        self.state = Checkpoint(about, {})  # the tensors are the trainer's now

    def _check_room(self, trainer: Trainer) -> None:
        """Refuse to begin where the disk cannot hold two states, the weights twice, and a state being written."""
        size = self.experiment.data.size
        rows = self.codec.coefficients if isinstance(self.codec, Voice) else size
        state = trainer.state_size(fake=4 * self.codec.channels * rows * size)
        weights = sum(tensor.nbytes for tensor in self._weights(trainer).tensors.values())
        kept = [*self._states(), *(self.directory / f"weights/{name}.safetensors" for name in ("last", "best"))]
        there = sum(path.stat().st_size for path in kept if path.is_file())
        need = max(state, (KEPT + 1) * state + 2 * weights - there)  # the oldest state goes once the newest is written
        free = shutil.disk_usage(self.directory).free
        if free < need:
            what = f"{shown(self.directory)}: the disk has {free >> 20} MB free, saving needs {-(-need >> 20)} MB"
            raise InputError(what, hint="make room, or -o chooses another folder")

    def line(self, line: Line) -> None:
        """Add a line to the log, to the board if there is one, and tell whoever listens."""
        with self._disk(), (self.directory / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.written = line["images"]
        if self.board:
            self.board.show(line)
        self.tell(line)

    def _write(self, name: str, data: bytes) -> None:
        with self._disk():
            files.write_atomic(self.directory / name, data)

    def _disk(self) -> "_Disk":
        return _Disk(self.directory)


def _sample(name: str, sample: Frames | Sample) -> tuple[str, bytes]:
    """Return the file of a sample and what goes into it."""
    if isinstance(sample, Sample):
        sound = encode_wav(sample.samples, rate=sample.rate, title=sample.title, comment=sample.comment)
        return f"samples/{name}.wav", sound
    return f"samples/{name}.jpg", encode_picture(sample, suffix=".jpg")


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
