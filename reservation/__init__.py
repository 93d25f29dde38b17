"""Numbered seats for events: held for a limited time, reserved, never sold twice.

This package is the domain: settings, ids, models, the Lua scripts and what calls them. It knows
neither HTTP nor Dramatiq; those are `reservation_http` and `actors`, which import it.
"""

from importlib.metadata import version

__version__ = version("seat-reservation")
