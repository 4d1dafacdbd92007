"""What holds for every test: nothing is kept in the home of whoever runs them."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.MonkeyPatch().setenv("STYL_HOME", str(tmp_path_factory.mktemp("home")))
