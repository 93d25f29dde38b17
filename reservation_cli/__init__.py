"""The `reservation` command: what starts and watches the parts, and the demo."""
