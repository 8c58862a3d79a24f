"""Loads the servers that tests may ask for as fixtures."""

pytest_plugins = ["tests.servers"]
