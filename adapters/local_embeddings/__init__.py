"""Embedding models of a directory, run on this machine in a process of their own."""
