"""A Chalk project, loaded as chalkpy loads it."""

import asyncio
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from .plan import Step


class NotLoaded(Exception):
    """A project that does not load."""


@dataclass(frozen=True)
class Scalar:
    """A feature with one value: how it is read from JSON and written as JSON."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


@dataclass(frozen=True)
class Project:
    """What queries need of a project."""

    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    # Features that are known, and that queries here neither take nor give: joins, times, windows.
    others: frozenset[str] = frozenset()
    steps: Sequence[Step] = ()
    # The outputs of each named query.
    queries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def chalkpy_version() -> str | None:
    """The version of chalkpy here, if there is one."""
    try:
        return metadata.version("chalkpy")
    except metadata.PackageNotFoundError:
        return None


def load(folder: Path) -> Project:
    """Imports every module of the project, and reads what it has registered with chalkpy."""
    if not folder.is_dir():
        raise NotLoaded(f"there is no project in {folder}")
    # A project's modules name each other, and its files, from the project's root.
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        from chalk.importer import import_all_files

        failed = import_all_files(project_root=folder)
    except ImportError as error:
        raise NotLoaded(f"chalkpy cannot be imported: {error}") from error
    except SystemExit as error:
        raise NotLoaded(
            f"the project in {folder} ended the process while it was imported (exit {error.code})"
        ) from error
    if failed:
        words = "\n".join(f"{one.filename}: {one.traceback.strip()}" for one in failed)
        raise NotLoaded(f"the project in {folder} does not load:\n{words}")
    return _read()


def _read() -> Project:
    from chalk.features import FeatureSetBase
    from chalk.features.resolver import RESOLVER_REGISTRY, OnlineResolver
    from chalk.queries.named_query import NAMED_QUERY_REGISTRY

    scalars, others = {}, set()
    for feature_set in FeatureSetBase.registry.values():
        for feature in feature_set.features:
            if feature.is_scalar:
                scalars[feature.fqn] = Scalar(feature.converter.from_json_to_rich, feature.converter.from_rich_to_json)
            else:
                others.add(feature.fqn)
    steps = []
    for resolver in RESOLVER_REGISTRY.get_all_resolvers():
        inputs = [getattr(one, "fqn", "") for one in resolver.inputs]
        outputs = [one.fqn for one in resolver.flattened_output]
        # A resolver whose rows come from a join, or that makes several, is none that can be run here.
        is_plain = all(name in scalars for name in inputs) and all(name in scalars for name in outputs)
        is_direct = not any(getattr(one, "path", ()) for one in resolver.inputs)
        if isinstance(resolver, OnlineResolver) and is_plain and is_direct and not resolver.is_sql_file_resolver:
            defaults = {
                name: default.default_value
                for name, default in zip(inputs, resolver.default_args, strict=True)
                if default is not None
            }
            steps.append(Step(resolver.fqn, tuple(inputs), tuple(outputs), _runner(resolver, outputs), defaults))
    queries: dict[str, tuple[str, ...]] = {}
    for query in NAMED_QUERY_REGISTRY.values():
        queries.setdefault(query.name, tuple(str(output) for output in query.output or ()))
    return Project(scalars, frozenset(others), steps, queries)


def _runner(resolver: Any, outputs: list[str]) -> Callable[[Sequence[Any]], Mapping[str, Any]]:
    from chalk.features import Features

    def run(values: Sequence[Any]) -> Mapping[str, Any]:
        result = resolver(*values)
        if inspect.isawaitable(result):
            result = asyncio.run(_whole(result))
        if isinstance(result, Features):
            return {str(name): value for name, value in result.items()}
        return {outputs[0]: result} if len(outputs) == 1 else {}

    return run


async def _whole(awaitable: Any) -> Any:
    return await awaitable
