"""How long tests wait for what comes by itself."""

PATIENCE = 60.0
"""Seconds: nobody waits so long unless something is wrong, however busy the machine is."""
