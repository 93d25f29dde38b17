"""Dramatiq: the queue, the actors that carry jobs out, and the sweeper that sees to it that all end."""

import os

# Dramatiq reads its options from the environment when it is imported. After an outage its consumers
# start again in half a second rather than three.
os.environ.setdefault("dramatiq_restart_delay", "500")
