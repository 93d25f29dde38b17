"""The HTTP face of the service: Falcon resources, served by Waitress."""
