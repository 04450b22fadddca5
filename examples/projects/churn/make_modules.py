"""Makes the modules of the folder `signals`: one for each metric, window and statistic.

Run it in this directory after a change of the tables below: `python3 make_modules.py`. It removes what it does not make.
"""

from pathlib import Path

METRICS = {"logins": 12.0, "minutes": 180.0, "api_calls": 700.0, "seats_active": 12.0}
WINDOWS = [1, 2, 3, 5, 7, 10, 14, 21, 28, 30]
STATISTICS = {
    "mean": ("The mean of `{metric}` over {days}", "float(np.mean(window))"),
    "median": ("The median of `{metric}` over {days}", "float(np.median(window))"),
    "peak": ("The highest `{metric}` of {days}", "float(np.max(window))"),
    "low": ("The lowest `{metric}` of {days}", "float(np.min(window))"),
    "spread": ("How much `{metric}` varied over {days}", "float(np.std(window))"),
    "trend": ("Where `{metric}` went over {days}", "float(window[-1] - window[0])"),
}

MODULE = '''"""{title}."""

# Made by make_modules.py.
import numpy as np

METRIC = "{metric}"
WEIGHT = {weight}


def value(series: list[float]) -> float:
    """The signal, as a share of what a busy customer has."""
    window = np.asarray(series[-{length}:], dtype=float)
    return {formula} / {scale} if window.size else 0.0
'''

INIT = '''"""The signals of how much a subscription is used. Made by make_modules.py."""

from types import ModuleType

import numpy as np

{imports}

METRICS = {metrics}
SIGNALS: list[ModuleType] = [
{names}
]


def engagement(series: dict[str, list[float]]) -> float:
    """The weighted mean of all signals, each cut off at 0 and 1."""
    values = [min(max(signal.value(series[signal.METRIC]), 0.0), 1.0) for signal in SIGNALS]
    return float(np.average(values, weights=[signal.WEIGHT for signal in SIGNALS]))
'''


def modules() -> dict[str, str]:
    """The text of each module by its name."""
    made = {}
    for metric, scale in METRICS.items():
        for length in WINDOWS:
            days = "the last day" if length == 1 else f"the last {length} days"
            for statistic, (title, formula) in STATISTICS.items():
                made[f"{metric}_{length}d_{statistic}"] = MODULE.format(
                    title=title.format(metric=metric, days=days),
                    metric=metric,
                    weight=round(1.0 / length, 4),
                    length=length,
                    formula=formula,
                    scale=scale,
                )
    return made


def main() -> None:
    """Writes the folder."""
    folder = Path(__file__).parent / "signals"
    folder.mkdir(exist_ok=True)
    made = modules()
    names = sorted(made)
    made["__init__"] = INIT.format(
        imports="from . import (\n" + "".join(f"    {name},\n" for name in names) + ")",
        metrics=repr(sorted(METRICS)).replace("'", '"'),
        names="\n".join(f"    {name}," for name in names),
    )
    for path in folder.glob("*.py"):
        if path.stem not in made:
            path.unlink()
    for name, text in made.items():
        (folder / f"{name}.py").write_text(text)


if __name__ == "__main__":
    main()
