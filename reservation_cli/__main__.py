"""`python -m reservation_cli` is `reservation`."""

from reservation_cli.main import cli

cli(prog_name="reservation")
