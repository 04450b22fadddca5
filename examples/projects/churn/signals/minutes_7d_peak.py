"""The highest `minutes` of the last 7 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "minutes"
WEIGHT = 0.1429


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-7:], dtype=float)
    return float(np.max(window)) / 180.0 if window.size else 0.0
