"""Keeps read models up to date: each projection has one owner, and its position goes with its rows."""
