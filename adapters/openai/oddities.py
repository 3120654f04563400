"""What providers were found not to know: optional fields that they refuse are left out from then on."""

from collections import OrderedDict
from uuid import UUID

from adapters.model_catalogue import CalledModel
from adapters.openai.failures import Failure, Kind

OPTIONAL = frozenset({"stream_options", "max_completion_tokens", "dimensions", "encoding_format"})
"""Fields that a call can do without."""

KEPT = 2000


class Oddities:
    """Learns from refusals; a changed model or provider is asked anew."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[UUID, int, int], frozenset[str]] = OrderedDict()

    def of(self, model: CalledModel) -> frozenset[str]:
        """Return the fields to leave out, and the names that it has for others."""
        return self._known.get(_key(model), frozenset())

    def learn(self, model: CalledModel, failure: Failure, sent: frozenset[str]) -> None:
        """Where a request was refused for such a field, leave it out and let the request be sent again."""
        self._note(model, failure, OPTIONAL & sent)

    def learn_name(self, model: CalledModel, failure: Failure, name: str) -> None:
        """Where a request was refused for want of a field of this name, note it and let the request be sent again."""
        self._note(model, failure, frozenset({name}))

    def _note(self, model: CalledModel, failure: Failure, names: frozenset[str]) -> None:
        known = self.of(model)
        blamed = failure.mentioned & names - known
        if failure.kind is Kind.REFUSED and blamed:
            self._known[_key(model)] = known | blamed
            failure.again = True
            if len(self._known) > KEPT:
                self._known.popitem(last=False)


def _key(model: CalledModel) -> tuple[UUID, int, int]:
    return model.id, model.version, model.provider.version
