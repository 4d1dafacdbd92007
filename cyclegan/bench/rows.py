"""What was found, as rows: for programs, and as columns for people."""

import dataclasses
from typing import Any

from cyclegan.bench.floor import Floor
from cyclegan.bench.timing import Timing

HEAD = (
    "what",
    "with",
    "size",
    "batch",
    "precision",
    "device",
    "a step",
    "pictures/s",
    "of the floor",
    "memory",
    "warm-up",
)


def row(timing: Timing, floor: Floor) -> dict[str, Any]:
    """Return a timing as a program wants it. `share_of_floor` is 1 for what is as fast as this machine can be."""
    case, about = timing.case, timing.about
    asked = {name: value for name, value in dataclasses.asdict(case).items() if value not in (None, ())}
    if about is None or timing.error:
        return asked | {"error": timing.error}
    least, seconds = floor.seconds(about.work, precision=about.precision, rate=timing.rate), timing.seconds
    return asked | {
        "precision": about.precision,
        "device": about.device,
        "pictures_per_second": round(about.pictures / seconds, 4),
        "seconds_per_step": round(seconds, 6),
        "seconds_of_rounds": [round(value, 6) for value in timing.rounds],
        "warm_up_seconds": round(timing.warm_up, 3),
        "pictures_per_step": about.pictures,
        "floor_seconds": round(least, 6),
        "share_of_floor": round(least / seconds, 4) if least else None,
        "flops": about.work.flops,
        "bytes": about.work.bytes,
        "peak_memory_mib": timing.peak >> 20,
        "work_memory_mib": max(0, timing.peak - (0 if about.device.startswith("cuda") else about.resident)) >> 20,
        "parameters": about.parameters,
        "machine": floor.machine,
        "floor": {"flops_per_second": floor.rates, "bytes_per_second": floor.bandwidth},
        "flops_per_second_alone": round(timing.rate),
    }


def cells(found: dict[str, Any]) -> tuple[str, ...]:
    """Return a row as a person wants it, below HEAD."""
    width, height = found["size"]
    size = f"{width}" if width == height else f"{width}×{height}"
    known: tuple[str, ...] = (found["verb"], str(found.get("model", found["preset"])), size, str(found["batch"]))
    known += (found["precision"], found["device"])
    if "error" in found:
        return (*known, found["error"], "", "", "", "")
    share = found["share_of_floor"]
    return (
        *known,
        spoken(found["seconds_per_step"]),
        f"{found['pictures_per_second']:.3g}",
        f"{100 * share:.0f} %" if share else "",
        f"{found['peak_memory_mib']:,} MiB",
        spoken(found["warm_up_seconds"]),
    )


def spoken(seconds: float) -> str:
    """Return a time with three digits."""
    return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def ground(device: str, floor: Floor) -> str:
    """Return what a device was seen to reach, as a line for people."""
    rates = ", ".join(f"{name} {rate / 1e9:,.0f} GFLOP/s" for name, rate in floor.rates.items())
    return f"{device}: {rates}, memory {floor.bandwidth / 1e9:,.0f} GB/s, or what a row's own operations reach alone"
