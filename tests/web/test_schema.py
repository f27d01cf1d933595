"""What the service's own description promises, tried with made-up requests by schemathesis over real connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings

from web.made_up_backend import MadeUpBackend
from web.running import running


@pytest.fixture(scope="module")
def operations() -> Iterator[dict[str, Any]]:
    with running(MadeUpBackend()) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        yield {f"{one.method.upper()} {one.path}": one for one in (result.ok() for result in schema.get_all_operations())}


@pytest.mark.parametrize(
    "name",
    [
        "POST /api/values",
        "POST /api/values/batch",
        "POST /api/values/compare",
        "POST /api/profiles/predict",
        "GET /health",
        "GET /metrics",
    ],
)
def test_answers_are_as_described(operations: dict[str, Any], name: str) -> None:
    @given(case=operations[name].as_strategy())
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def tried(case: Any) -> None:
        case.call_and_validate()

    tried()


def test_all_operations_are_tried(operations: dict[str, Any]) -> None:
    assert len(operations) == 6
