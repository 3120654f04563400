"""Documents: fetched, read, cut, embedded, indexed, and changed by hand."""
