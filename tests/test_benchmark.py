"""The developers' benchmark runs, and its lines can be read by programs."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "tools" / "benchmark.py"


def test_one_json_line_for_each_configuration() -> None:
    options = ["--preset", "tiny", "--size", "32", "--batch", "2", "--repeats", "1", "--seconds", "0.01"]
    options += ["--precision", "fp32", "--precision", "bf16", "--device", "cpu"]
    done = subprocess.run([sys.executable, PROGRAM, *options], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    what = [(line["verb"], line["precision"]) for line in lines]
    assert what == [("train", "fp32"), ("train", "bf16"), ("translate", "fp32")]
    for line in lines:
        assert (line["preset"], line["size"], line["batch"], line["repeats"]) == ("tiny", 32, 2, 1)
        assert abs(line["images_per_second"] * line["seconds_per_step"] - line["batch"]) < 0.1
        assert 50 < line["peak_memory_mib"] < 4000
        assert line["machine"].keys() >= {"cores", "threads", "torch", "device", "device_name"}
    training, _, translating = lines
    assert training["parameters"] > 2 * translating["parameters"] > 1000
