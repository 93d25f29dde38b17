"""The version of this package: it goes with the service of the same one."""

__version__ = "0.1.0"
