"""The median of `api_calls` over the last 14 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "api_calls"
WEIGHT = 0.0714


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-14:], dtype=float)
    return float(np.median(window)) / 700.0 if window.size else 0.0
