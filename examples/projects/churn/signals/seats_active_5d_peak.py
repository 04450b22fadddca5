"""The highest `seats_active` of the last 5 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "seats_active"
WEIGHT = 0.2


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-5:], dtype=float)
    return float(np.max(window)) / 12.0 if window.size else 0.0
