"""What holds for every test: nothing is kept in the home of whoever runs them, and what forks comes before threads."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: small networks are faster so, and everywhere the same

import pytest

THREADED = ("test_benchmark.py", "test_export.py")  # start autograd's threads; a child forked later cannot learn


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests come last that would spoil those of forked children."""
    items.sort(key=lambda item: item.path.name in THREADED)


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.MonkeyPatch().setenv("STYL_HOME", str(tmp_path_factory.mktemp("home")))
