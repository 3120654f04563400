"""What other people's code says went wrong, without the secrets that it may repeat."""

import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

LONGEST = 500
SHORTEST_SECRET = 4
"""A shorter one would be found in ordinary words."""

HIDDEN = "***"
LOGIN = re.compile(r"(?<=://)[^\s/@]+(?=@)")
PASSWORD = re.compile(r"://[^\s/:@]*:([^\s/@]+)@")
SECRET_NAME = re.compile(r"(key|token|secret|password|passwd|credential|dsn)s?(_|$)", re.IGNORECASE)


def reason(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """Return an error on one line: its kind and message, with neither these secrets nor those of the environment."""
    try:
        message = str(error)
    except Exception as another:
        message = f"its message can't be read ({type(another).__name__})"
    said = " ".join(without_secrets(message, secrets).replace("\x00", " ").split()).encode(errors="replace").decode()
    if len(said) > LONGEST:
        said = f"{said[:LONGEST]}…"
    return f"{type(error).__name__}: {said}" if said else f"{type(error).__name__}."


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which secrets, and logins in addresses, are hidden."""
    forms = {
        form
        for secret in {*secrets, *secrets_of_environment()}
        for form in (secret, quote(secret, safe=""), repr(secret)[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= SHORTEST_SECRET:
            text = text.replace(form, HIDDEN)
    return LOGIN.sub(HIDDEN, text)


def secrets_of_environment() -> Iterator[str]:
    """Yield the values of variables whose name says that they are secret, and the passwords in addresses."""
    for name, value in os.environ.items():
        if SECRET_NAME.search(name):
            yield value
        yield from PASSWORD.findall(value)
