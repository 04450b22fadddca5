"""Compiles the Python files of a project, and runs nothing of it.

usage: compile.py SOURCE OUTPUT PLACE    the paths, relative to SOURCE, come on stdin with a NUL after each

Each becomes OUTPUT/<directory>/__pycache__/<name>.<tag>.pyc, whose code objects name PLACE/<path>. What cannot be
compiled is one JSON object a line on stdout.
"""

import importlib.util
import json
import marshal
import os
import py_compile
import sys
import types
import warnings


class Unreproducible(Exception):
    pass


def is_unstable(constant):
    """Whether the order of a set depends on an address: before 3.11, marshal writes sets as they lie in memory (bpo-37596),
    and None and ... are hashed by where they are."""
    if isinstance(constant, (tuple, frozenset)):
        return any(item is None or item is ... or is_unstable(item) for item in constant)
    return False


def has_unstable_sets(constant):
    if isinstance(constant, types.CodeType):
        return any(map(has_unstable_sets, constant.co_consts))
    if isinstance(constant, tuple):
        return any(map(has_unstable_sets, constant))
    return isinstance(constant, frozenset) and is_unstable(constant)


def compile_file(source, output, place, path):
    compiled = importlib.util.cache_from_source(path, optimization="")
    py_compile.compile(
        os.path.join(source, path),
        cfile=os.path.join(output, compiled),
        dfile=place + "/" + path,
        doraise=True,
        optimize=0,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        quiet=0,
    )
    if sys.version_info < (3, 11):
        with open(os.path.join(output, compiled), "rb") as file:
            unstable = has_unstable_sets(marshal.loads(file.read()[16:]))
        if unstable:
            os.remove(os.path.join(output, compiled))
            raise Unreproducible
    return compiled


def main():
    source, output, place = sys.argv[1:]
    warnings.simplefilter("ignore")
    paths = [os.fsdecode(path) for path in sys.stdin.buffer.read().split(b"\0") if path]
    for path in paths:
        try:
            answer = {"compiled": compile_file(source, output, place, path)}
        except py_compile.PyCompileError as error:
            cause = error.exc_value
            if isinstance(cause, SyntaxError):
                answer = {"path": path, "line": cause.lineno, "column": cause.offset, "message": str(cause.msg)}
            else:
                answer = {"path": path, "skipped": str(cause)}
        except Unreproducible:
            answer = {"path": path, "skipped": "this version of Python compiles it to other bytes each time"}
        except (RecursionError, MemoryError, OverflowError, OSError, ValueError) as error:
            answer = {"path": path, "skipped": type(error).__name__}
        print(json.dumps(answer))


main()
