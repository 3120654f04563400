"""The passages that searches read, in PostgreSQL: rows of the projection, filters, upkeep."""
