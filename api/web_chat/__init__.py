"""The chat for web pages: a script of some parts, served as one."""
