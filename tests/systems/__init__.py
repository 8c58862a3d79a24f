"""Whole agents on real servers."""

from __future__ import annotations

__all__ = ["Weather"]


class Weather:
    """A tool that writes down what it was asked."""

    def __init__(self) -> None:
        self.cities: list[str] = []

    def get_weather(self, city: str) -> str:
        """Get the weather of a city."""
        self.cities.append(city)
        return f"sunny in {city}"
