"""The mean of `minutes` over the last day."""

# Made by make_modules.py.
import numpy as np

METRIC = "minutes"
WEIGHT = 1.0


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-1:], dtype=float)
    return float(np.mean(window)) / 180.0 if window.size else 0.0
