"""Why a provider could not be reached, in words that say what to look at."""

import errno
import socket
import ssl
from collections.abc import Iterator

NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})


def reason(error: BaseException) -> str:
    """Return a sentence that follows the provider's name."""
    for cause in causes(error):
        match cause:
            case socket.gaierror():
                return "could not be found: the host name in its base_url does not resolve"
            case ssl.SSLCertVerificationError(verify_message=why):
                return f"could not be trusted: its TLS certificate was not accepted ({why})"
            case ssl.SSLError():
                return "could not be talked to over TLS: look whether its base_url begins with https:// where http:// is spoken"
            case ConnectionRefusedError():
                return "refused the connection: nothing listens at the host and port of its base_url"
            case OSError(errno=code) if code in NO_ROUTE:
                return "could not be reached: there is no route to the host of its base_url"
    return "could not be reached"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it; where several addresses were tried, by the first of them."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        if isinstance(following, BaseExceptionGroup):
            following = following.exceptions[0]
        else:
            following = following.__cause__ or following.__context__
