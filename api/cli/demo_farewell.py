"""What `magnet demo` ends with: where what it made can be looked at."""

from collections.abc import Sequence

from api.cli.telling import Teller
from api.settings import load


async def farewell(teller: Teller, made: Sequence[str]) -> None:
    """Say what to do next, with the addresses of what was made."""
    port = load().port or 8080
    keys = (await teller.connection.get("/v1/api-keys", {"limit": 1, "archived": "true"}))["items"]
    credential = ' -H "Authorization: Bearer $MAGNET_API_KEY"' if keys else ""
    teller.chapter("Now you", "The data of this demo stay. Serve them with 'make run' (or 'magnet serve'), then:")
    teller.hint(f"open http://127.0.0.1:{port}/docs in a browser, or")
    for address in made:
        teller.hint(f"curl -s{credential} 'http://127.0.0.1:{port}{address}'")
