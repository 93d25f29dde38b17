"""The benchmark: the service beside its yardsticks, on servers of its own. `python -m bench --help`."""
