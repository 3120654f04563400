"""Where documents come from: the connectors that are built in."""
