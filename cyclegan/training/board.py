"""TensorBoard beside a training: an onlooker, whose failure ends nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyclegan.errors import UsageError


class Board:
    """Shows the log's figures in TensorBoard; one that fails is given up, and `notes` says so once.

    Figures of an earlier attempt after `images` are taken off. Raises UsageError where TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, images: int, notes: list[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError("--tensorboard: it is not installed", hint="pip install 'styl[tensorboard]'") from None
        self.notes = notes
        self.writer: Any = None
        with self._may_fail(images):
            self.writer = SummaryWriter(str(folder), purge_step=images)

    def show(self, line: dict[str, Any]) -> None:
        """Show a line's losses and measurements."""
        groups = {"losses": line.get("losses", {}), **line.get("measure", {})}
        with self._may_fail(line["images"]):
            for group, figures in groups.items():
                for name, value in figures.items():
                    if self.writer:
                        self.writer.add_scalar(f"{group}/{name}", value, line["images"])

    def close(self) -> None:
        """Write what is still to be written."""
        with self._may_fail(None):
            if self.writer:
                self.writer.close()

    @contextlib.contextmanager
    def _may_fail(self, images: int | None) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever the library lets through: a full disk, a folder that is gone
            when = "at the end" if images is None else f"at {images:,} images"
            self.notes.append(f"TensorBoard is given up {when}: {error}")
            self.writer = None
