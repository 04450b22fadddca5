"""Compiles the Python files of a project, and runs nothing of it.

usage: compile.py SOURCE OUTPUT PLACE    the paths, relative to SOURCE, come on stdin with a NUL after each

Each becomes OUTPUT/<directory>/__pycache__/<name>.<tag>.pyc, whose code objects name PLACE/<path>. What cannot be
compiled is one JSON object a line on stdout.
"""

import importlib.util
import json
import os
import py_compile
import sys
import warnings


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
        except (RecursionError, MemoryError, OverflowError, OSError, ValueError) as error:
            answer = {"path": path, "skipped": type(error).__name__}
        print(json.dumps(answer))


main()
