"""How much `api_calls` varied over the last 10 days."""

# Made by make_modules.py.
import numpy as np

METRIC = "api_calls"
WEIGHT = 0.1


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-10:], dtype=float)
    return float(np.std(window)) / 700.0 if window.size else 0.0
