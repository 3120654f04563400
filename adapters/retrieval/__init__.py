"""Searching: what is asked of PostgreSQL and of embedding models, and how their answers become one."""
