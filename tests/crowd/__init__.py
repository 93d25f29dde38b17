"""A crowd in a waiting room, over HTTP, and what has to be so of it: `python -m tests.crowd` for 10,000 people."""
