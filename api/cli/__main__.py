"""`python -m api.cli` is `magnet`."""

from api.cli import main

main()
