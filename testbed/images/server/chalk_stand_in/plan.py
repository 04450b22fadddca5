"""Which resolvers a query runs, and in which order; and running them. Nothing here knows chalkpy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What is told of a resolver's error.
WORDS_MOST = 300


@dataclass(frozen=True)
class Step:
    """A resolver as far as a plan needs it."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    # Takes the inputs' values in their order, and gives the outputs' by their names.
    run: Callable[[Sequence[Any]], Mapping[str, Any]]
    # What stands in for an input that cannot be had.
    defaults: Mapping[str, Any]


class Missing(Exception):
    """A wanted feature that cannot be computed."""

    def __init__(self, feature: str, wanted: str, needed_by: str | None) -> None:
        if needed_by is None:
            words = f"no Python resolver computes {feature!r}; give it as an input"
        else:
            words = (
                f"{wanted!r} needs {feature!r} (an input of {needed_by}), which no Python resolver computes; give it"
            )
        super().__init__(words)
        self.feature = feature


@dataclass(frozen=True)
class Failure:
    """Why a feature has no value."""

    code: str
    message: str
    resolver: str


def plan(steps: Sequence[Step], given: set[str], wanted: Sequence[str]) -> list[Step]:
    """The steps that compute the wanted features out of the given ones, each after those that it needs."""
    known, order, producer = set(given), [], {}
    left = sorted(steps, key=lambda step: step.name)

    def take(is_ready: Callable[[Step], bool]) -> Step | None:
        for step in left:
            if is_ready(step):
                left.remove(step)
                order.append(step)
                for output in step.outputs:
                    if output not in known:
                        producer[output] = step
                known.update(step.outputs)
                return step
        return None

    # With all its inputs if that is possible, with a default in the place of one only where nothing else goes on.
    while any(feature not in known for feature in wanted):
        if not take(lambda step: known.issuperset(step.inputs)) and not take(
            lambda step: all(name in known or name in step.defaults for name in step.inputs)
        ):
            break
    for feature in wanted:
        if feature not in known:
            raise _missing(steps, known, feature)
    needed: set[str] = set()
    chosen = []
    for step in reversed(order):
        if any(producer.get(output) is step and (output in wanted or output in needed) for output in step.outputs):
            chosen.append(step)
            needed.update(step.inputs)
    return chosen[::-1]


def run(steps: Sequence[Step], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Failure]]:
    """Runs a plan. Returns the values that there are then, and why others are not."""
    values, failures = dict(given), {}
    for step in steps:
        outputs = [output for output in step.outputs if output not in values]
        failed = next((failures[name] for name in step.inputs if name in failures), None)
        if failed is not None:
            words = f"{step.name} was not run, because {failed.resolver} failed"
            failures.update({output: Failure("UPSTREAM_FAILED", words, step.name) for output in outputs})
            continue
        try:
            made = step.run([values[name] if name in values else step.defaults[name] for name in step.inputs])
        # Somebody else's code: it may raise whatever it likes, and the process goes on.
        except Exception as error:
            words = f"{step.name} raised {type(error).__name__}: {error}"[:WORDS_MOST]
            failures.update({output: Failure("RESOLVER_FAILED", words, step.name) for output in outputs})
            continue
        for output in outputs:
            if output in made:
                values[output] = made[output]
            else:
                words = f"{step.name} returned no value of it"
                failures[output] = Failure("RESOLVER_FAILED", words, step.name)
    return values, failures


def _missing(steps: Sequence[Step], known: set[str], wanted: str) -> Missing:
    """Follows what is missing to a feature that nothing computes."""
    feature, needed_by, seen = wanted, None, {wanted}
    while True:
        step = next((step for step in sorted(steps, key=lambda step: step.name) if feature in step.outputs), None)
        lacking = [name for name in step.inputs if name not in known and name not in step.defaults] if step else []
        unseen = [name for name in lacking if name not in seen]
        if step is None or not unseen:
            return Missing(feature, wanted, needed_by)
        feature, needed_by = unseen[0], step.name
        seen.add(feature)
