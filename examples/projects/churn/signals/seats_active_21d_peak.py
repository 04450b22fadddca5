"""The highest `seats_active` of the last 21 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "seats_active"
WEIGHT = 0.0476


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-21:], dtype=float)
    return float(np.max(window)) / 12.0 if window.size else 0.0
