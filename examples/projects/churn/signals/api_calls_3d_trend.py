"""Where `api_calls` went over the last 3 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "api_calls"
WEIGHT = 0.3333


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-3:], dtype=float)
    return float(window[-1] - window[0]) / 700.0 if window.size else 0.0
