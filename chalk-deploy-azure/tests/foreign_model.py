"""Checks recorded cases against Microsoft's own clients: that the operation has this method, path and query, that its
version is a stable one that the client knows or an older one, and that its model knows every field of the answer.

Called with the folder of the cases. Says what is wrong, one line each, and ends with 1 then.
"""

import importlib
import inspect
import json
import pathlib
import re
import sys
import urllib.parse


def operation(module, builder):
    for name in ("operations._operations", "_generated.operations._operations", "_generated.operations._patch"):
        try:
            found = getattr(importlib.import_module(f"{module}.{name}"), builder, None)
        except ImportError:
            continue
        if found is not None:
            return found
    raise LookupError(f"{module} has no {builder}")


def model(module, name):
    for place in ("models", "_generated.models", "_generated.models._models"):
        try:
            found = getattr(importlib.import_module(f"{module}.{place}"), name, None)
        except ImportError:
            continue
        if found is not None:
            return found
    raise LookupError(f"{module} has no model {name}")


def check_request(case, build):
    source = inspect.getsource(build)
    request = case["request"]
    template = re.search(r'_url = (?:kwargs\.pop\("template_url", )?"([^"]*)"', source).group(1)
    method = re.search(r'HttpRequest\(\s*method="([A-Z]+)"', source).group(1)
    if method != request["method"]:
        yield f"the operation is a {method}"
    pattern = re.sub(r"\\\{[^}]*\\\}", "(.+)", re.escape(template))
    if not re.fullmatch(pattern, urllib.parse.unquote(request["path"])):
        yield f"the path is {template}"
    known = set(re.findall(r'_params\["([^"]*)"\]', source))
    for name in set(request.get("query", {})) - known:
        yield f"the query has no {name}, but {sorted(known)}"
    version = request.get("query", {}).get("api-version")
    if version is not None:
        newest = re.search(r'"api-version", "([^"]*)"', source).group(1)
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version) or version > newest:
            yield f"{version} is no stable version up to {newest}"


def unknown(value, cls, models, path):
    """The fields of a value that its model does not have."""
    if hasattr(cls, "_attribute_map"):
        fields = {spec["key"].split(".")[0]: spec["type"] for spec in cls._attribute_map.values()}
        for name, inner in value.items():
            if name not in fields:
                yield f"{path}.{name}"
                continue
            kind = fields[name].strip("[]")
            inner_class = getattr(models, kind, None)
            for item in inner if isinstance(inner, list) else [inner]:
                if inner_class is not None and isinstance(item, dict):
                    yield from unknown(item, inner_class, models, f"{path}.{name}")
        return
    instance = value if isinstance(value, cls) else cls(value)
    fields = {field._rest_name: name for name, field in type(instance)._attr_to_rest_field.items()}
    for name in instance:
        if name not in fields:
            yield f"{path}.{name}"
            continue
        typed = getattr(instance, fields[name])
        for item in typed if isinstance(typed, list) else [typed]:
            if hasattr(item, "_attr_to_rest_field"):
                yield from unknown(item, type(item), models, f"{path}.{name}")


def main():
    wrong, checked = [], 0
    for file in sorted(pathlib.Path(sys.argv[1]).glob("*/*.json")):
        case = json.loads(file.read_text(encoding="utf-8"))
        if "model" not in case:
            continue
        module, name, builder = case["model"].split(" ")
        label = f"{file.parent.name}/{file.stem}"
        cls = model(module, name)
        models = sys.modules[cls.__module__]
        build = operation(module, builder) if builder != "-" else None
        if build is not None:
            wrong += [f"{label}: {what}" for what in check_request(case, build)]
        answer = case["response"].get("json")
        if answer is not None:
            wrong += [f"{label}: {name} has no field {field}" for field in unknown(answer, cls, models, "$")]
        checked += 1
    print(f"{checked} cases checked")
    print("\n".join(wrong))
    sys.exit(1 if wrong or not checked else 0)


main()
