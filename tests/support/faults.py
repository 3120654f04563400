"""What each fault of the model server must come to, whoever calls: the code that is told, or an answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.pricing import Usage
from tests.support.called_models import PATIENT

BRIEF = 1.0
"""Seconds until a call that a fault leaves waiting is given up: what answers well does so sooner on a busy machine too."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What comes of a call that meets a fault each time.

    `plain` and `stream` are the code of the failure, or None where the call answers; `again` says whether it is
    tried again in either form, `begun` whether an answer had begun, whose input is then paid for. `text` is what
    is answered, `passed_on` what a stream had passed on before it failed; `told` what the provider says a plain
    call took, which goes before an estimate.
    """

    plain: str | None
    stream: str | None
    again: tuple[bool, bool] = (False, False)
    text: str = ""
    passed_on: str = ""
    begun: tuple[bool, bool] = (False, False)
    told: Usage | None = None

    def code(self, *, stream: bool) -> str | None:
        """Return the code of the failure in one of the two forms."""
        return self.stream if stream else self.plain

    def attempts(self, retries: int, *, stream: bool) -> int:
        """Return how many requests are made."""
        return 1 + retries if self.again[stream] else 1

    def usage(self, input: int, *, stream: bool) -> Usage:
        """Return what a failed request takes, for an estimate of its input."""
        if not self.begun[stream]:
            return Usage()
        if self.told is not None and not stream:
            return self.told
        return Usage(input=input, output=-(-len(self.passed_on) // 4) if stream else 0, estimated=True)


def _refusal(code: str, *, again: bool = False) -> Outcome:
    return Outcome(plain=code, stream=code, again=(again, again))


def _nonsense() -> Outcome:
    return Outcome(plain="invalid_response", stream="invalid_response", begun=(True, True))


def _answer(text: str) -> Outcome:
    return Outcome(plain=None, stream=None, text=text)


OUTCOMES: Mapping[str, Outcome] = {
    "rate_limited": _refusal("model_limit_reached", again=True),
    "rate_limited_with_retry_after": _refusal("model_limit_reached", again=True),
    "insufficient_quota": _refusal("insufficient_quota"),
    "bad_request": _refusal("model_request_refused"),
    "unauthorized": _refusal("provider_access_denied"),
    "forbidden": _refusal("provider_access_denied"),
    "not_found": _refusal("model_not_found"),
    "unprocessable": _refusal("model_request_refused"),
    "server_error": _refusal("provider_error", again=True),
    "unavailable": _refusal("provider_error", again=True),
    "redirect": _refusal("provider_redirects"),
    "reset": _refusal("connection_failed", again=True),
    "hang_before_headers": Outcome(
        plain="model_call_timed_out", stream="model_call_timed_out", again=(False, True)
    ),  # a plain call has used up its whole time
    "hang_between_tokens": Outcome(
        plain="model_call_timed_out",
        stream="model_call_timed_out",
        again=(True, False),
        passed_on="one",
        begun=(True, True),
    ),
    "half_stream": Outcome(
        plain="connection_broken", stream="connection_broken", again=(True, False), passed_on="one", begun=(True, True)
    ),
    "half_stream_clean": Outcome(
        plain="connection_broken", stream="connection_broken", again=(True, False), passed_on="one", begun=(True, True)
    ),
    "reset_in_stream": Outcome(
        plain="connection_broken", stream="connection_broken", again=(True, False), passed_on="one", begun=(True, True)
    ),
    "cut_inside_a_character": Outcome(
        plain="invalid_response", stream="connection_broken", again=(False, True), begun=(True, True)
    ),
    "bad_json": _nonsense(),
    "nul": _answer("a\ufffdb"),
    "surrogate": _answer("a\ufffdb"),
    "long_line": Outcome(
        plain="invalid_response", stream="invalid_response", begun=(True, True), told=Usage(input=2, output=1)
    ),
    "wrong_types": _nonsense(),
    "html": _nonsense(),
    "no_choices": _nonsense(),
    "null": _nonsense(),
    "empty": _nonsense(),
    "not_utf8": Outcome(plain=None, stream="invalid_response", text="\ufffd\ufffd", begun=(False, True)),
    "deep": _nonsense(),
    "error_in_answer": Outcome(plain="provider_error", stream="provider_error", again=(True, True), begun=(True, True)),
}
"""For every fault of `tests.support.model_server.FAULTS`."""


def timeouts(fault: str, *, stream: bool) -> dict[str, float]:
    """Return a provider's time-outs, in seconds: brief for the phase in which a fault leaves a call waiting only."""
    if fault == "hang_before_headers":
        return PATIENT | {"first_token" if stream else "total": BRIEF}
    return PATIENT | ({"idle": BRIEF} if fault == "hang_between_tokens" else {})
