"""The WSGI application under what schemathesis makes of its own document. Run by `make fuzz`, which sets what it needs:
the settings of a service that runs already, so that jobs come to an end.
"""

import json
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from reservation import settings as service_settings
from reservation_http.app import Services, create_app
from tests.fuzz import hooks

assert hooks  # they register themselves

_CASES = int(os.environ["FUZZ_CASES"])
_HEADERS: dict[str, str] = json.loads(os.environ["FUZZ_HEADERS"])
_SETTINGS = settings(
    max_examples=_CASES,
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=list(HealthCheck),
)

services = Services.connect(service_settings.load())
schema = schemathesis.openapi.from_wsgi("/openapi.json", create_app(services))
schema.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])


if _HEADERS:

    @schema.auth()
    class _Caller:
        """Who asks, where somebody has to."""

        def get(self, case: schemathesis.Case[Any], context: schemathesis.AuthContext) -> dict[str, str]:
            return _HEADERS

        def set(self, case: schemathesis.Case[Any], data: dict[str, str], context: schemathesis.AuthContext) -> None:
            case.headers.update(data)


@schema.parametrize()
@_SETTINGS
def test_operation(case: schemathesis.Case[Any]) -> None:
    """Each answer is one that the document describes, and right for what was asked."""
    case.call_and_validate()


# Requests one after the other, each made of the answers before.
test_sequences = schema.as_state_machine().TestCase
test_sequences.settings = settings(_SETTINGS, max_examples=max(_CASES // 5, 10), stateful_step_count=8)
pytestmark = pytest.mark.timeout(3_600)
