"""The OpenAPI documents as files."""

from reservation import settings
from reservation_http.app import Services, routes
from reservation_http.dialects import to_yaml
from reservation_http.openapi import document

#: File names and the version of OpenAPI in each. 3.0 is for generators that do not read 3.1 yet.
_VERSIONS = {"openapi.yaml": "3.1.0", "openapi-3.0.yaml": "3.0.3"}


def documents() -> dict[str, str]:
    """The text of each document by file name. Needs no server: nothing is sent."""
    services = Services.connect(settings.Settings(_env_file=None, redis_url="redis://127.0.0.1:6379/0"))  # type: ignore[call-arg]  # pydantic-settings' own argument
    api = routes(services)
    return {name: to_yaml(document(api, version)) for name, version in _VERSIONS.items()}
