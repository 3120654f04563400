"""What a command says when it fails: one clear sentence, and exit status 1."""


class CommandFailed(Exception):
    """The command could not do what it was asked; the message says why, and what to do."""
