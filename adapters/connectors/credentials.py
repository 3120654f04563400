"""How secrets of a source go along with requests."""

import base64
from collections.abc import Mapping

HTTP_SECRETS: Mapping[str, str] = {
    "token": "Sent as `Authorization: Bearer …`.",
    "basic": "`user:password`, sent as basic authentication.",
    "api_key": "Sent as `X-API-Key`.",
}


def http_credentials(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the headers for secrets as `HTTP_SECRETS` names them; a token goes before a password."""
    headers = {}
    if "basic" in secrets:
        headers["Authorization"] = f"Basic {base64.b64encode(secrets['basic'].encode()).decode()}"
    if "token" in secrets:
        headers["Authorization"] = f"Bearer {secrets['token']}"
    if "api_key" in secrets:
        headers["X-API-Key"] = secrets["api_key"]
    return headers
