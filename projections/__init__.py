"""What can be seen: read models, and how each follows from the log."""

from projections.configurations import ConfigurationsProjection
from projections.projection import Projection

PROJECTIONS: tuple[type[Projection], ...] = (ConfigurationsProjection,)
"""Every projection that the worker keeps up to date."""
