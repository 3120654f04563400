"""Personal data in a text: by patterns, and by the check digits that some of it has."""

import ipaddress
import re
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from commands.agents.guardrails import Finding

Kind = Literal["email", "phone", "iban", "credit_card", "ip_address", "us_ssn"]

PATTERNS: Mapping[Kind, "re.Pattern[str]"] = {
    "email": re.compile(r"(?<![\w.+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b"),
    "iban": re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?!\w)"),
    "credit_card": re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"),
    "us_ssn": re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
    "phone": re.compile(
        r"(?<![\w+])(?:(?:\+|00)[1-9]\d{0,2}(?:[ ./()-]{0,2}\d){6,12}|\(?[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4})(?![\w-])"
    ),
    "ip_address": re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]{2,39}:[0-9A-Fa-f:.]{1,39})(?![\w:])"),
}
"""In the order in which they are looked for: what is one of them is none of those that follow."""


class PiiConfig(BaseModel, extra="forbid", strict=True):
    """Personal data: e-mail addresses, phone numbers, IBANs and card numbers, and others that are named."""

    kinds: list[Kind] = Field(
        default=["email", "phone", "iban", "credit_card"], min_length=1, description="Which of it is looked for."
    )


class PiiGuard:
    """Looks for personal data."""

    config: type[BaseModel] = PiiConfig

    async def check(self, text: str, config: BaseModel, provider: UUID | None) -> Sequence[Finding]:
        """Return each place where there is some."""
        assert isinstance(config, PiiConfig)
        found: list[tuple[int, int, str]] = []  # in the order in which they stand
        for kind, pattern in PATTERNS.items():
            if kind not in config.kinds:
                continue
            for match in pattern.finditer(text):
                start, end = match.span()
                place = bisect(found, (start, end, ""))
                free = not (place and found[place - 1][1] > start) and not (
                    place < len(found) and found[place][0] < end
                )
                if free and CHECKS.get(kind, bool)(match[0]):
                    found.insert(place, (start, end, kind))
        return [Finding(label=kind, start=start, end=end) for start, end, kind in found]


def luhn(text: str) -> bool:
    """Return whether a card number's check digit is right."""
    digits = [int(digit) for digit in reversed(text) if digit.isdigit()]
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def mod_97(text: str) -> bool:
    """Return whether an IBAN's check digits are right (ISO 7064)."""
    plain = text.replace(" ", "").upper()
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in turned)) % 97 == 1


def is_address(text: str) -> bool:
    """Return whether it is an address of the internet protocol."""
    try:
        ipaddress.ip_address(text.rstrip("."))
    except ValueError:
        return False
    return True


CHECKS: Mapping[Kind, Callable[[str], bool]] = {"credit_card": luhn, "iban": mod_97, "ip_address": is_address}
