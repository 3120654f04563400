"""Connections over a network that notice when it swallows all that is sent: they fail, and what waits is tried again."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

PROBED: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
"""In seconds, the last in milliseconds (https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-PARAMKEYWORDS).

Without, Linux sends what nobody confirms for a quarter of an hour, and asks a silent server for a sign of life after two hours.
"""


def probed(dsn: str) -> str:
    """Return a connection string whose connections notice within 20 s that the server is out of reach.

    What it says itself holds. The time that a query takes does not count: the server's system answers probes meanwhile.
    It does where more is sent than the system there keeps (megabytes) and the server reads none of it for 20 s, as a COPY
    that waits for a lock: with TCP_USER_TIMEOUT, Linux gives up on a window that stays closed although probes are answered.
    """
    return make_conninfo(**{**PROBED, **conninfo_to_dict(dsn)})
