"""What can be told while files are translated. This one says nothing; the command line has one that does."""


class Progress:
    """Takes in how things go."""

    def note(self, text: str) -> None:
        """Take in a line that a person should read."""

    def count(self, done: int, total: int) -> None:
        """Take in that `done` of `total` files are dealt with."""

    def sound(self, seconds: float, *, of: float | None) -> None:
        """Take in that so many seconds of a recording are read, `of` how many (None: unknown)."""

    def film(self, frames: int, *, of: int | None, seconds: float | None) -> None:
        """Take in that so many frames are written, `of` how many, and how long the film is shown (None: unknown)."""
