"""`python -m runner` is `animerun`."""

from runner.cli import main

main()
