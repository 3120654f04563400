"""Routes of one side: each translates, none decides."""
