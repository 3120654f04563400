"""What can be seen: read models, and how each follows from the log."""

from projections.configurations import ConfigurationsProjection
from projections.passages import PassagesProjection
from projections.projection import Projection
from projections.runs import RunsProjection

PROJECTIONS: tuple[type[Projection], ...] = (ConfigurationsProjection, RunsProjection, PassagesProjection)
"""Every projection that the worker keeps up to date."""
