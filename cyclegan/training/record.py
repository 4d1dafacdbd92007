"""The lowest KID so far, and whether a later checkpoint can be told apart from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from cyclegan.metrics.distances import KernelDistance


class Comparison(NamedTuple):
    """How much higher a KID is than the lowest before, measured at so many `images`; and its paired standard error."""

    images: int
    difference: float
    error: float

    @property
    def as_good(self) -> bool:
        """Whether it is lower, or cannot be told apart: by no more than one standard error (Breiman et al. 1984)."""
        return self.difference <= self.error


@dataclass(frozen=True)
class Record:
    """The checkpoint whose mean KID over the domains is the lowest so far, as far as comparisons need it.

    Only what was measured by the same `protocol` can be compared. Of each domain it keeps the distance without each
    picture in turn, which is what the error of a difference is made of.
    """

    images: int
    protocol: str
    distances: Mapping[str, KernelDistance]

    def compared(self, before: "Record | None") -> Comparison | None:
        """Return how much higher this one's mean KID is; None where nothing before was measured by the same protocol.

        The error takes the domains as independent: each has sources and real pictures of its own.
        """
        if before is None or before.protocol != self.protocol:
            return None
        differences = [own - before.distances[domain] for domain, own in self.distances.items()]
        count = len(differences)
        error = sum(difference.error**2 for difference in differences) ** 0.5
        return Comparison(before.images, sum(d.value for d in differences) / count, error / count)

    def about(self) -> dict[str, Any]:
        """Return plain values that, with `tensors`, `decode` makes the same record of."""
        values = [[domain, distance.value] for domain, distance in self.distances.items()]  # in the tensors' order
        return {"images": self.images, "protocol": self.protocol, "kid": values}

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a record, by name."""
        found = {}
        for number, distance in enumerate(self.distances.values()):
            found[f"record.{number}.without_fake"] = distance.without_fake
            found[f"record.{number}.without_real"] = distance.without_real
        return found

    @classmethod
    def decode(cls, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Record":
        """Return the record that was taken apart; raises KeyError, TypeError or ValueError where that was none."""
        distances = {
            domain: KernelDistance(
                float(value), tensors[f"record.{number}.without_fake"], tensors[f"record.{number}.without_real"]
            )
            for number, (domain, value) in enumerate(about["kid"])
        }
        return cls(int(about["images"]), str(about["protocol"]), distances)
