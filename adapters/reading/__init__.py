"""Documents read: bytes become text, and text is cut, in child processes that hold no secret."""
