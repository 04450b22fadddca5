"""The mean of `logins` over the last 2 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "logins"
WEIGHT = 0.5


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-2:], dtype=float)
    return float(np.mean(window)) / 12.0 if window.size else 0.0
