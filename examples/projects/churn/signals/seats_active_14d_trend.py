"""Where `seats_active` went over the last 14 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "seats_active"
WEIGHT = 0.0714


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-14:], dtype=float)
    return float(window[-1] - window[0]) / 12.0 if window.size else 0.0
