"""The service keeps what its own OpenAPI document promises: schemathesis draws the requests."""

import pytest
from helpers import needs
from hypothesis import given, settings

needs("fastapi", "websockets", "prometheus_client", reason="needs the serve extra")
needs("schemathesis", reason="needs schemathesis (dev extra)")

PATHS = ("/recognize", "/healthz", "/metrics")


@pytest.fixture(scope="module")
def operations(service) -> dict:
    import schemathesis

    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    return {operation.path: operation for operation in (found.ok() for found in schema.get_all_operations())}


def test_every_route_is_documented(operations):
    assert {*operations} == {*PATHS}


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_one_that_is_documented(operations, path):
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    no_such = [positive_data_acceptance]  # random bytes are a valid body, but no recording

    @settings(max_examples=15)
    @given(operations[path].as_strategy())
    def keeps_its_promise(case):
        case.call_and_validate(excluded_checks=no_such)

    keeps_its_promise()
