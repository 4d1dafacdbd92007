"""styl inspect on folders of recordings, and what a training says of them before it begins."""

import base64
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tiny
import voices

from cyclegan.errors import InputError
from cyclegan.experiment import Experiment
from cyclegan.media.sounds.wav import encode_wav
from cyclegan.reporting.listening import samples_of, slower, spectrograms
from cyclegan.training.album import Album, Facts, Scan
from cyclegan.training.balance import balanced
from cyclegan.training.ranks import Ranks
from cyclegan.training.remarks import remarks, summary
from cyclegan.training.scan import scan

RATE = 16_000


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("heard")
    for name, speaker, seed in (("alice", "high", 0), ("bob", "low", 1)):
        voices.write_folder(root / name, speaker=speaker, count=45, seconds=1.2, seed=seed)
    (root / "bob" / "0003.wav").rename(root / "alice" / "bob.wav")
    alice, chance = root / "alice", np.random.default_rng(0)
    (alice / "noise.wav").write_bytes(encode_wav(0.1 * chance.standard_normal(2 * RATE), rate=RATE))
    (alice / "silence.wav").write_bytes(encode_wav(np.zeros(RATE), rate=RATE))
    (alice / "torn.mp3").write_bytes(b"no sound")
    (alice / "again.wav").write_bytes((alice / "0001.wav").read_bytes())
    return alice, root / "bob"


def styl(*words: str) -> int:
    from cyclegan.cli import app

    code = app(args=list(words), standalone_mode=False)
    return code if isinstance(code, int) else 0


def test_recordings_are_told_as_recordings(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [tiny.listing(folder) for folder in folders]
    page, good = tmp_path / "page.html", tmp_path / "good.txt"
    words = (*map(str, folders), "--quick", "-o", str(page), "--write-list", str(good))
    assert styl("inspect", *words) == 0
    said = capsys.readouterr().out
    assert [tiny.listing(folder) for folder in folders] == before
    found = json.loads(page.with_suffix(".json").read_text())
    assert found["kind"] == "recordings"
    alice = found["folders"][0]
    assert {Path(one["path"]).name: one["why"].split(" (")[0] for one in alice["unreadable"]} == {
        "silence.wav": "nothing but silence",
        "torn.mp3": "not a sound, or damaged beyond its header",
    }
    assert (alice["median"], alice["longest"], alice["rates"]) == (1.2, 2.0, [RATE])
    assert [Path(one["path"]).name for one in found["misfiled"]] == ["bob.wav"]
    assert Path(found["odd"][0]["path"]).name == "noise.wav"
    assert [pair["exact"] for pair in found["duplicates"]] == [True]
    for row in (r"recordings +48 +44", r"silent or damaged +2 +0", r"median length +1\.2 s +1\.2 s"):
        assert re.search(row, said), (row, said)
    assert "pictures" not in said
    assert "silence.wav" not in good.read_text()


def test_the_page_lets_people_listen(folders: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert styl("inspect", *map(str, folders), "--quick", "-o", str(page)) == 0
    html = page.read_text()
    assert len(html) < 5_000_000
    assert "picture" not in re.sub(r"<(style|script)\b.*?</\1>|data:[^\"]*", "", html, flags=re.DOTALL)
    players = re.findall(r'<audio controls preload="none" src="data:audio/wav;base64,([^"]+)"', html)
    assert len(players) >= 4  # one in the wrong folder, and a pair, each beside another
    assert html.count("data:image/jpeg") >= len(players)
    for player in players:
        samples = np.frombuffer(base64.b64decode(player)[44:], "<i2")
        assert len(samples) <= 3 * RATE
        assert 16_000 < np.abs(samples).max() <= 16_384  # as loud as any other
    assert "media-src data:" in html


def test_many_sounds_are_made_small_and_the_last_left_out(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclegan.reporting.listening.ROOM", 500_000)
    everything = sorted(map(str, folders[1].glob("00*.wav")))
    some, many = samples_of(everything[:8]), samples_of(everything)
    assert list(some) == everything[:8]
    assert list(many) == everything[: len(many)]
    assert 400_000 < sum(map(len, many.values())) <= 500_000
    rates = [int.from_bytes(base64.b64decode(next(iter(s.values()))[22:])[24:28], "little") for s in (some, many)]
    assert rates == [16_000, 8_000]
    assert samples_of([str(folders[0] / "torn.mp3")]) == {str(folders[0] / "torn.mp3"): ""}
    assert spectrograms(["gone.wav"]) == {"gone.wav": ""}


def test_fewer_samples_a_second_keep_what_is_low() -> None:
    time = np.arange(2 * RATE) / RATE
    low, high = np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 6000 * time)
    found, rate = slower(low + high, rate=RATE, to=8_000)
    assert rate == 8_000
    assert np.abs(found - np.sin(2 * np.pi * 440 * np.arange(len(found)) / rate)).max() < 1e-6
    assert slower(low, rate=RATE, to=2 * RATE) == (pytest.approx(low), RATE)


def test_pictures_among_recordings_are_refused(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "horses").mkdir()
    (tmp_path / "horses" / "a.png").touch()
    with pytest.raises(InputError, match=r"holds pictures and .* recordings"):
        styl("inspect", str(folders[0]), str(tmp_path / "horses"), "-o", str(tmp_path / "page.html"))


def test_rare_recordings_are_shown_more_often(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LEAST", "MOST"):
        monkeypatch.setattr(f"cyclegan.training.acquaintance.{name}", 320)
    start = Experiment.load("voice-tiny", overrides=["data.balance=nearest"])
    experiment = start.replace(data__folders=tuple(map(str, folders)), data__domains=("alice", "bob"))
    looked = Scan((album("alice", [Facts("x", 1, 1)]),))
    found = balanced(experiment, looked, tmp_path, device="cpu", ranks=Ranks(), tell=lambda line: None)
    assert found is not None
    assert "recordings" in found.line
    assert "pictures" not in found.line
    assert found.weights[str(folders[0] / "noise.wav")] < 0.5
    assert len(found.weights) == 48 + 44


def spoken(seconds: float, *, rate: int = RATE, digest: str = "", problem: str = "") -> Facts:
    if problem:
        return Facts(digest, problem=problem)
    return Facts(digest, height=37, width=round(200 * seconds), seconds=seconds, rate=rate)


def album(name: str, facts: list[Facts]) -> Album:
    named = {f"{i}.wav": f if f.digest else dataclasses.replace(f, digest=f"{name}{i}") for i, f in enumerate(facts)}
    return Album(name, Path(name), dict.fromkeys(named, (1, 1)), named)


def test_the_summary_says_how_much_speech_there_is() -> None:
    found = Scan((album("alice", [spoken(6.3)] * 44), album("bob", [spoken(30, rate=8_000)] * 150)))
    assert summary(found) == [
        "alice: 44 recordings, 4.6 minutes of speech, most about 6.3 s, 16,000 Hz",
        "bob: 150 recordings, 1.2 hours of speech, most about 30.0 s, 8,000 Hz",
    ]
    assert "mostly 16,000 Hz" in summary(Scan((album("a", [spoken(1), spoken(1), spoken(1, rate=8_000)]),)))[0]


def test_what_may_spoil_a_voice_is_said() -> None:
    voice = Experiment.load("voice-tiny")
    good = album("bob", [spoken(10)] * 60)
    assert remarks(Scan((album("alice", [spoken(10)] * 60), good)), voice) == []
    bad = [spoken(2)] * 5 + [spoken(2, rate=8_000), spoken(2, digest="one"), spoken(2, digest="one")]
    told = "\n".join(remarks(Scan((album("alice", [*bad, spoken(0, problem="nothing but silence")]), good)), voice))
    for words in (
        "alice: 1 of 9 files are silent or damaged and are left out (8.wav: nothing but silence)",
        "alice: 1 recordings are copies of others",
        "alice: only 8 recordings",
        "alice: 16 seconds of speech in all, the voice may become blurred; 10 minutes are good",
        "bob has 38 times the speech",
        "alice: 1 of 8 recordings have fewer than 16,000 Hz, nothing above 4,000 Hz is learnt from them",
    ):
        assert words in told, words
    assert "pixels" not in told
    assert "picture" not in told


def test_what_is_not_there_is_called_recordings(tmp_path: Path) -> None:
    from cyclegan.training.acquaintance import DATA
    from cyclegan.training.portraits import Portraits

    data = dataclasses.replace(DATA, folders=(str(tmp_path),))
    with pytest.raises(InputError, match="no recordings in it"):
        scan(data, medium=Portraits(data))
