"""Refusals as HTTP tells them: whose turn it is to change something decides the status."""

import pytest

from api.errors import HERE, UPSTREAM, status_of
from commands.agents.tools import ToolServerUnavailable
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from commands.models.model_calls import ModelCallFailed
from domain.errors import DomainError, Invalid


@pytest.mark.parametrize("kind", [ModelCallFailed, SourceUnavailable, NotFetched, ToolServerUnavailable])
@pytest.mark.parametrize("code", HERE)
def test_what_has_to_be_set_otherwise_here_is_no_failure_of_others(kind: type[DomainError], code: str):
    assert status_of(kind(code=code)) == HERE[code] != UPSTREAM
    assert status_of(kind()) == UPSTREAM


def test_a_field_that_is_wrong_stays_a_field_that_is_wrong():
    assert status_of(Invalid(code="no_plugin", pointer="/plugin")) == 422
