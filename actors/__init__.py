"""Dramatiq: the queue, the actors that carry jobs out, and the sweeper that sees to it that all end."""
