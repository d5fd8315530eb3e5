"""What the tests share: model servers that live as long as the run, and a Faregate for each test."""

import pytest

from processes import Faregate, Model, table


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    server = Model(tmp_path_factory.mktemp("model"))
    yield server
    server.end()


@pytest.fixture(scope="session")
def embedder(tmp_path_factory):
    server = Model(tmp_path_factory.mktemp("embedder"), "--embeddings")
    yield server
    server.end()


@pytest.fixture
def start(tmp_path):
    """Starts a Faregate: `start(config, env)`; without a configuration, as a newcomer does."""
    running = []

    def start(config=None, env=None):
        folder = tmp_path / f"faregate-{len(running)}"
        folder.mkdir()
        faregate = Faregate(folder, config, env)
        running.append(faregate)
        return faregate

    yield start
    for faregate in running:
        faregate.end()


@pytest.fixture
def gateway(start, model):
    """A Faregate with one route to the model."""
    return start(table(model=model.url))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows Faregate's log where a test fails."""
    report = (yield).get_result()
    folder = item.funcargs.get("tmp_path")
    if report.when == "call" and report.failed and folder:
        for log in sorted(folder.glob("*/faregate.log")):
            report.sections.append((str(log.parent.name), log.read_text()[-6000:]))
