"""JSON that a model was asked for, read out of its answer."""

from typing import Any

from commands.models.model_calls import ChatAnswer
from domain.errors import DomainError
from domain.outside_json import NotJson, read


class WrongOutput(DomainError):
    """The model's answer is not what it was asked for."""

    code = "invalid_output"


def text_in(answer: ChatAnswer) -> str:
    """Return the text of an answer, or raise WrongOutput where there is none or it was cut off."""
    if answer.finish_reason == "length":
        raise WrongOutput("The model's answer was cut off: it had no tokens left.")
    text = answer.text.strip()
    if not text:
        raise WrongOutput("The model answered without any text.")
    return text


def json_in(answer: ChatAnswer) -> Any:
    """Return the JSON of an answer, also where words or a code fence stand around an object; or raise WrongOutput."""
    text = text_in(answer)
    for candidate in (text, text[text.find("{") : text.rfind("}") + 1]):
        try:
            return read(candidate)
        except NotJson:
            continue
    raise WrongOutput("The model's answer is no JSON.")
