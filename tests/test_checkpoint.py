"""Checkpoints: what was saved comes back, and whatever else a file may be, it is refused with one clear line."""

import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cyclegan import catalog
from cyclegan.checkpoint import FORMAT, Checkpoint
from cyclegan.errors import CheckpointError
from cyclegan.translation.translator import Translator

DTYPES = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
]
ABOUT = {"kind": "translator", "domains": ["horse", "zebra"], "name": "🦓 'quoted' \"twice\"", "none": None, "x": 0.1}
PLAYS = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def small(kind: str = "translator", **more: Any) -> Checkpoint:
    tensors = {"G.w": torch.arange(6, dtype=torch.float32).reshape(2, 3), "G.n": torch.tensor([1, 2, 3])}
    return Checkpoint({"kind": kind, **more}, tensors)


def with_header(header: Any, data: bytes = b"") -> bytes:
    """Return a safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def equal(one: Checkpoint, other: Checkpoint) -> bool:
    same = one.tensors.keys() == other.tensors.keys() and all(
        t.dtype == other.tensors[n].dtype and t.shape == other.tensors[n].shape and torch.equal(t, other.tensors[n])
        for n, t in one.tensors.items()
    )
    return same and one.about == {k: v for k, v in other.about.items() if k != "format"}


# --- what was saved comes back


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_tensors_of_every_kind_come_back(dtype: torch.dtype, shape: tuple[int, ...], tmp_path: Path) -> None:
    tensor = (torch.rand(shape) * 100 - 50).to(dtype)
    saved = Checkpoint(ABOUT, {"a": tensor, "ä.🦓": tensor.clone()})
    saved.save(tmp_path / "new" / "folder" / "a.safetensors")
    found = Checkpoint.load(tmp_path / "new" / "folder" / "a.safetensors", kind="translator")
    assert equal(saved, found)
    assert found.about["format"] == FORMAT


def test_a_view_is_saved_as_what_it_shows() -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    views = {"t": whole.T, "row": whole[1], "step": whole[:, ::2], "same": whole, "again": whole}
    assert equal(Checkpoint(ABOUT, views), Checkpoint.decode(Checkpoint(ABOUT, views).encode()))


def test_special_numbers_come_back_bit_by_bit() -> None:
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    found = Checkpoint.decode(Checkpoint(ABOUT, {"odd": odd}).encode())
    assert torch.equal(found.tensors["odd"].view(torch.int32), odd.view(torch.int32))


def test_no_tensors_are_tensors_too() -> None:
    assert Checkpoint.decode(Checkpoint(ABOUT, {}).encode()).tensors == {}


def test_the_same_content_is_the_same_file() -> None:
    assert small(a=1, b=2).encode() == Checkpoint({"b": 2, "a": 1, "kind": "translator"}, small().tensors).encode()


def test_others_can_open_the_file(tmp_path: Path) -> None:
    small().save(tmp_path / "a.safetensors")
    found = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert {name: t.tolist() for name, t in found.items()} == {n: t.tolist() for n, t in small().tensors.items()}
    with safetensors.safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["styl"])
    assert about["kind"] == "translator"
    assert len(about["sha256"]) == 64


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_follows_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        small().save(tmp_path / "a.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    small(version=1).save(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        small(version=2).save(path)
    assert Checkpoint.load(path, kind="translator").about["version"] == 1
    assert list(tmp_path.iterdir()) == [path]


# --- damage is noticed


def test_every_flipped_bit_is_noticed() -> None:
    """Every bit of the header, and of the content."""
    blob = small().encode()
    for place in range(len(blob)):
        for bit in range(8):
            damaged = bytearray(blob)
            damaged[place] ^= 1 << bit
            try:
                found = Checkpoint.decode(bytes(damaged))
            except CheckpointError:
                continue
            # only what means nothing may differ: a space of JSON that became another space
            assert equal(small(), found), f"byte {place}, bit {bit}"
            assert bytes((blob[place], damaged[place])).isspace(), f"byte {place}, bit {bit}"


def test_every_truncation_is_noticed() -> None:
    blob = small().encode()
    for length in range(len(blob)):
        with pytest.raises(CheckpointError):
            Checkpoint.decode(blob[:length])


def test_what_is_appended_is_noticed() -> None:
    with pytest.raises(CheckpointError):
        Checkpoint.decode(small().encode() + b"\0")


def test_tensors_exchanged_behind_the_names_are_noticed() -> None:
    one, two = torch.zeros(2), torch.ones(2)
    blob = Checkpoint(ABOUT, {"a": one, "b": two}).encode()
    assert blob.count(b'"a"') == blob.count(b'"b"') == 1
    with pytest.raises(CheckpointError, match="SHA-256"):
        Checkpoint.decode(blob.replace(b'"a"', b'"c"').replace(b'"b"', b'"a"').replace(b'"c"', b'"b"'))


# --- and so is what is no checkpoint of ours


def test_a_file_of_a_newer_styl_says_so() -> None:
    blob = small().encode()
    newer = blob.replace(b'\\"format\\": 1', b'\\"format\\": 2')
    assert newer != blob
    with pytest.raises(CheckpointError, match="newer styl") as caught:
        Checkpoint.decode(newer)
    assert "pip install" in caught.value.hint


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    small("state").save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors: holds a state, not a translator"):
        Checkpoint.load(tmp_path / "a.safetensors", kind="translator")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        b"\xff" * 64,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**32) + b"{}",
        with_header([]),
        with_header(None),
        with_header("__metadata__"),
        with_header(b"{"),
        with_header(b"\xff\xfe{}"),
        with_header(b"[" * 100_000),
        with_header(b'{"a":' * 50_000),
        with_header({}),
        with_header({"__metadata__": None}),
        with_header({"__metadata__": []}),
        with_header({"__metadata__": {"styl": 1}}),
        with_header({"__metadata__": {"styl": "1"}}),
        with_header({"__metadata__": {"styl": "[]"}}),
        with_header({"__metadata__": {"styl": "{}"}}),
        with_header({"__metadata__": {"styl": '{"sha256": "", "format": "1"}'}}),
        with_header({"__metadata__": {"styl": '{"sha256": "", "format": 1}'}}),
        with_header({"__metadata__": {"styl": "[" * 100_000}}),
        with_header({"__metadata__": {"styl": "9" * 10_000}}),
        with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        b"PK\3\4" + b"\0" * 64,
        b"\x80\x02}q\0." + b"\0" * 64,
        b"<!DOCTYPE html><html></html>" * 4,
    ],
    ids=lambda b: repr(b[8:30]),
)
def test_what_is_no_checkpoint_is_refused(blob: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(blob)
    with pytest.raises(CheckpointError, match=r"odd\.safetensors: ") as caught:
        Checkpoint.load(path, kind="translator")
    assert caught.value.hint
    assert "\n" not in caught.value.what


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=6), st.floats()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.one_of(st.sampled_from(["F32", "I64", "BF16", "F8_E4M3", "X"]), VALUES),
        "shape": st.one_of(st.lists(st.integers(-1, 2**64), max_size=4), VALUES),
        "data_offsets": st.one_of(st.lists(st.integers(-1, 2**64), max_size=3), VALUES),
    },
)
SELF = st.fixed_dictionaries({}, optional={"format": VALUES | st.just(1), "sha256": VALUES, "kind": VALUES})


@PLAYS
@given(st.dictionaries(st.text(max_size=6), ENTRY | VALUES, max_size=3), VALUES | SELF, st.binary(max_size=32))
def test_any_header_is_a_checkpoint_or_refused(header: dict[str, Any], about: Any, data: bytes) -> None:
    header["__metadata__"] = {"styl": json.dumps(about)}
    with pytest.raises(CheckpointError):
        Checkpoint.decode(with_header(header, data))


@PLAYS
@given(st.dictionaries(st.text(max_size=6), ENTRY, max_size=3), st.binary(max_size=32))
def test_a_false_header_with_a_true_sum_is_refused_too(header: dict[str, Any], data: bytes) -> None:
    """Whoever writes the file can write the sum: the tensors' places are checked as well."""
    from cyclegan.checkpoint import _digest

    header.pop("__metadata__", None)
    about: dict[str, Any] = {"format": 1, "kind": "translator"}
    about["sha256"] = _digest(about, header, data)
    blob = with_header(header | {"__metadata__": {"styl": json.dumps(about)}}, data)
    try:
        tensors = Checkpoint.decode(blob).tensors
    except CheckpointError:
        return
    assert sum(t.numel() * t.element_size() for t in tensors.values()) == len(data)


@PLAYS
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(blob: bytes) -> None:
    with pytest.raises(CheckpointError):
        Checkpoint.decode(blob)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            Checkpoint.load(path, kind="translator")


# --- by name


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A shelf of two weights, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    known = {name: tmp_path / "shelf" / f"{name}.safetensors" for name in ("painted-horses", "apples")}
    for path in known.values():
        small().save(path)
    monkeypatch.setattr(catalog, "shelf", lambda: known)
    return known


def run(name: str, *, weights: tuple[str, ...] = ("last",), at: int = 1_000) -> Path:
    for weight in weights:
        path = Path(name) / "weights" / f"{weight}.safetensors"
        small(which=f"{name} {weight}").save(path)
        os.utime(path, (at, at))
    return Path(name)


def test_a_name_a_file_and_a_run_folder_are_found(shelf: dict[str, Path]) -> None:
    assert catalog.find("apples") == shelf["apples"]
    assert catalog.find(shelf["apples"]) == shelf["apples"]
    assert catalog.find(run("runs/a")) == Path("runs/a/weights/last.safetensors")
    assert catalog.find(run("runs/a", weights=("last", "best"))) == Path("runs/a/weights/best.safetensors")
    assert catalog.load("runs/a").about["which"] == "runs/a best"


def test_what_lies_here_goes_before_the_shelf(shelf: dict[str, Path]) -> None:
    run("apples")
    assert catalog.find("apples") == Path("apples/weights/last.safetensors")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("paintedhorses", "did you mean 'painted-horses'?"),
        ("qqq", "known: painted-horses, apples, runs/horses-zebras"),
        ("horses-zebras", "did you mean 'runs/horses-zebras'?"),
        ("runs/horses-zebra", "check the path"),
        ("nowhere.safetensors", "check the path"),
        ("", "name a run folder"),
    ],
)
@pytest.mark.usefixtures("shelf")
def test_an_unknown_name_is_met_with_a_way_out(name: str, hint: str) -> None:
    run("runs/horses-zebras")
    with pytest.raises(CheckpointError) as caught:
        catalog.find(name)
    assert hint in caught.value.hint


@pytest.mark.usefixtures("shelf")
def test_a_folder_without_weights_says_so() -> None:
    Path("runs/empty").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="runs/empty: no weights in it"):
        catalog.find("runs/empty")


@pytest.mark.usefixtures("shelf")
def test_the_newest_run_is_the_one_that_was_written_last() -> None:
    with pytest.raises(CheckpointError, match="no trained run"):
        catalog.newest_run()
    run("runs/b", weights=("last", "best"), at=2_000)
    run("runs/a", at=3_000)
    run("runs/c", at=1_000)
    Path("runs/empty/weights").mkdir(parents=True)
    assert catalog.newest_run() == Path("runs/a")
    os.utime("runs/b/weights/last.safetensors", (4_000, 4_000))  # its best is older than a's last
    assert catalog.newest_run() == Path("runs/b")
    assert [p.name for p in catalog.runs()] == ["b", "a", "c"]


@pytest.mark.usefixtures("shelf")
def test_other_peoples_files_are_told_by_their_suffix(tmp_path: Path) -> None:
    net: dict[str, Tensor] = {"model.1.weight": torch.zeros(1)}
    torch.save(net, tmp_path / "latest_net_G.pth")
    with pytest.raises(CheckpointError, match=r"latest_net_G\.pth"):
        catalog.load(tmp_path / "latest_net_G.pth")


# --- files of earlier versions, files of other networks, a file onto itself

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("translator", "5888c5bca7180ff7898a5cbca97737f53a4bb214b7439ace20363e43720b5914"),
        ("state", "c94b71c2df19023a05e48d4f441ddb17fb848d2601fc5d36bb9f392dc1c23237"),
    ],
)
def test_a_file_of_the_first_format_is_read_for_ever(kind: str, digest: str) -> None:
    assert tiny.fingerprint(GOLDEN / f"{kind}-1.safetensors", kind=kind) == digest


def test_a_translator_of_the_first_format_translates_as_it_did() -> None:
    picture = (torch.arange(3 * 16 * 16) % 251).to(torch.uint8).reshape(3, 16, 16)
    found = Translator.load(GOLDEN / "translator-1.safetensors", device="cpu")(picture)
    assert found.shape == picture.shape
    expected = torch.tensor([[125, 133, 119], [127, 127, 128]])
    assert (torch.stack([found[:, 5, 7], found[:, 15, 0]]).int() - expected).abs().max() <= 1
    assert (found.float().mean((1, 2)) - torch.tensor([131.871, 128.550, 120.664])).abs().max() < 0.1


def test_a_state_of_the_first_format_is_taken_up(tmp_path: Path) -> None:
    folders, run = tiny.draw_folders(tmp_path), tmp_path / "run"
    (run / "state").mkdir(parents=True)
    shutil.copy(GOLDEN / "state-1.safetensors", tiny.state(run, 2))
    with tiny.one_thread():
        options = ("translator.width=1", "critic.width=1", "objective.history=1", "training.images=4", "every.sheet=4")
        assert tiny.play(folders, run, *options).images == 4
    tiny.assert_whole(run)


def test_weights_of_another_network_name_what_differs(tmp_path: Path) -> None:
    found = Checkpoint.load(GOLDEN / "translator-1.safetensors", kind="translator")
    found.about["networks"]["G"]["width"] = 2
    found.save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"size mismatch for stem\.conv\.weight") as caught:
        Translator.load(tmp_path / "a.safetensors", device="cpu")
    assert "torch.Size([1, 3, 7, 7])" in caught.value.what
    assert "torch.Size([2, 3, 7, 7" in caught.value.what
    assert len(caught.value.what.splitlines()) == 1


def test_a_state_of_another_network_names_what_differs(tmp_path: Path) -> None:
    folders, run = tiny.draw_folders(tmp_path), tmp_path / "run"
    (run / "state").mkdir(parents=True)
    shutil.copy(GOLDEN / "state-1.safetensors", tiny.state(run, 2))
    with pytest.raises(CheckpointError, match="its state does not fit this experiment: ") as caught:
        tiny.play(folders, run)
    assert "size mismatch for G." in caught.value.what
    assert "torch.Size([4, 3, 7, 7])" in caught.value.what
    assert len(caught.value.what.splitlines()) == 1
    assert tiny.fingerprint(tiny.state(run, 2), kind="state") == tiny.fingerprint(
        GOLDEN / "state-1.safetensors", kind="state"
    )


def test_a_file_may_be_saved_onto_itself(tmp_path: Path) -> None:
    path = shutil.copy(GOLDEN / "translator-1.safetensors", tmp_path / "a.safetensors")
    before = path.read_bytes()
    Checkpoint.load(path, kind="translator").save(path)
    assert path.read_bytes() == before
