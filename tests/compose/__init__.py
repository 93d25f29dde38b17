"""The drill of docker-compose.yml, on the real engine: `make test-compose`. Not collected by pytest."""
