"""Model providers that speak OpenAI's API."""

from adapters.openai.models import OpenAIModels
from adapters.openai.policy import Timing

__all__ = ["OpenAIModels", "Timing"]
