"""One server with every model of `models.py`, for all tables of requests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings
from tests.serving.stock.models import save_models

# Characters that a URL reserves, in a name and in a label.
RESERVED = "!#$%&'()*+,/:;=?@[]"


@pytest.fixture(scope="session")
def stock_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Base paths of the models, by name."""
    return save_models(tmp_path_factory.mktemp("stock_models"))


@pytest.fixture(scope="session")
def stock_server(stock_models: dict[str, Path]) -> Iterator[LocalServer]:
    """REST and gRPC on free ports of the loopback address."""
    labels = {"stable": 1, "canary": 2, f"latest{RESERVED}": 1}
    published = stock_models["published"]
    settings = [
        ModelSettings(name, path) for name, path in stock_models.items() if name != "published"
    ]
    settings += [
        ModelSettings(name, published, serves_all_versions=True, version_labels=labels)
        for name in ("published", f"modelname{RESERVED}")
    ]
    settings.append(ModelSettings("absent", published.with_name("absent")))
    with LocalServer(
        settings, port=0, rest_api_port=0, file_system_poll_wait_seconds=0, metrics_path="/metrics"
    ) as server:
        yield server


@pytest.fixture(scope="session")
def cors_server(stock_models: dict[str, Path]) -> Iterator[LocalServer]:
    """As `stock_server`, with one model, for pages of other hosts."""
    settings = ModelSettings("published", stock_models["published"], serves_all_versions=True)
    with LocalServer(
        [settings],
        rest_api_port=0,
        file_system_poll_wait_seconds=0,
        rest_api_enable_cors_support=True,
    ) as server:
        yield server
