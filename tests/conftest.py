"""Loads the servers and packages that tests may ask for as fixtures; no test is told how fast the machine must be."""

from hypothesis import HealthCheck, settings

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
pytest_plugins = ["tests.servers", "tests.clients.packages"]
