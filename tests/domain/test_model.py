"""Models: kind, prices and references."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.model import DefaultModel, Model
from domain.references import identify
from tests.scenario import given

PROVIDER = str(identify("provider", "openai"))


def a_model(**definition: Any) -> Model:
    return Model.create(name="m", definition={"provider": PROVIDER, "model": "gpt", "kind": "chat", **definition})


def test_the_kind_of_a_model_never_changes():
    refusal = (
        given(a_model()).when(lambda m: m.change(m.definition | {"kind": "embedding"})).then_refused(Invalid, "fixed")
    )
    assert isinstance(refusal, Invalid) and refusal.errors[0].pointer == "/kind"


@pytest.mark.parametrize(
    "price",
    [
        {"input": 2.5},
        {"input": "2,5"},
        {"input": "-1"},
        {"input": "1e5"},
        {"input": "NaN"},
        {"valid_from": "2026-13-01"},
        {"currency": "usd"},
    ],
)
def test_a_price_is_a_decimal_text_from_a_date_on(price: dict[str, Any]):
    with pytest.raises(Invalid) as refusal:
        a_model(prices=[price])
    assert refusal.value.errors[0].pointer.startswith("/prices/0/")


def test_two_prices_of_one_day_are_refused():
    with pytest.raises(Invalid):
        a_model(prices=[{"input": "1"}, {"input": "2"}])


def test_a_model_refers_to_its_provider_and_its_fallbacks():
    other = str(identify("model", "other"))
    model = a_model(routing={"fallbacks": [other]})
    assert {(pointer, kind, str(id)) for pointer, kind, id in model.references()} == {
        ("/provider", "provider", PROVIDER),
        ("/routing/fallbacks/0", "model", other),
    }


def test_choosing_the_default_that_is_one_already_is_no_event():
    default = DefaultModel(kind="chat", model_id="a")
    given(default).when(lambda d: d.choose("a")).then_nothing()
    given(default).when(lambda d: d.choose("b")).then((DefaultModel.Chosen, {"model_id": "b"}))
