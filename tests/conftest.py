"""Loads the servers and packages that tests may ask for as fixtures."""

pytest_plugins = ["tests.servers", "tests.clients.packages"]
