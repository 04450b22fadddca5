"""Checks recorded cases against Google's discovery documents, as google-api-python-client ships them.

    python foreign_model.py FOLDER

Prints one line for each case that the model does not bear out, and at the end how many cases were checked. Not part of
the model, and so not checked: cases without `model`, and the bodies of refusals.
"""

import json
import pathlib
import re
import sys
import urllib.parse

import googleapiclient.discovery_cache

DOCUMENTS = pathlib.Path(googleapiclient.discovery_cache.__file__).parent / "documents"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def method_of(document, name):
    *resources, method = name.split(".")
    found = document
    for resource in resources:
        found = found["resources"][resource]
    if method in found.get("methods", {}):
        return found["methods"][method]
    # The methods of the newest style lie below a resource that is named by the version.
    return document["resources"]["v1"]["methods"][method]


def is_path(document, method, path):
    template = document["servicePath"] + method.get("flatPath", method["path"])
    pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape("/" + template))
    return re.fullmatch(pattern, path) is not None


def check_value(document, schema, value, place):
    """What is wrong with a value, if it is to be of this schema."""
    if "$ref" in schema:
        schema = document["schemas"][schema["$ref"]]
    kind = schema.get("type", "any")
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if kind != "any" and (not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool))):
        return [f"{place} is no {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place} is none of {schema['enum']}"]
    if kind == "string" and schema.get("format") in ("int64", "uint64") and not re.fullmatch(r"-?\d+", value):
        return [f"{place} is no number"]
    if kind == "string" and "pattern" in schema and re.search(schema["pattern"], value) is None:
        return [f"{place} is not of the form {schema['pattern']}"]
    wrong = []
    if kind == "array":
        for number, item in enumerate(value):
            wrong += check_value(document, schema["items"], item, f"{place}[{number}]")
    if kind == "object":
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, item in value.items():
            if name in known:
                wrong += check_value(document, known[name], item, f"{place}.{name}")
            elif others is not None:
                wrong += check_value(document, others, item, f"{place}.{name}")
            else:
                wrong.append(f"{place}.{name} is not known")
    return wrong


def check_fields(document, schema, fields, place):
    """A mask of fields: `a,b/c,d(e,f)`."""
    wrong, depth, part, parts = [], 0, "", []
    for symbol in fields + ",":
        if symbol == "," and depth == 0:
            parts.append(part)
            part = ""
            continue
        depth += {"(": 1, ")": -1}.get(symbol, 0)
        part += symbol
    for part in parts:
        name, below = re.match(r"(\w+)(.*)", part).groups()
        if "$ref" in schema:
            schema = document["schemas"][schema["$ref"]]
        if name not in schema.get("properties", {}):
            wrong.append(f"{place}.{name} is no field")
            continue
        if below:
            inner = schema["properties"][name]
            inner = inner.get("items", inner)
            wrong += check_fields(document, inner, below[1:].removesuffix(")"), f"{place}.{name}")
    return wrong


def check(case):
    api, name = case["model"].split()
    document = json.loads((DOCUMENTS / f"{api}.json").read_text())
    try:
        method = method_of(document, name)
    except KeyError:
        return [f"{name} is no method of {api}"]
    asked, answered, wrong = case["request"], case["response"], []
    host = urllib.parse.urlsplit(document["rootUrl"]).netloc
    if asked["host"] != host:
        wrong.append(f"the host is {host}")
    if asked["method"] != method["httpMethod"]:
        wrong.append(f"the method is {method['httpMethod']}")
    if not is_path(document, method, asked["path"]):
        wrong.append(f"the path is {document['servicePath']}{method.get('flatPath', method['path'])}")
    query = asked.get("query", {})
    own = {name: it for name, it in method.get("parameters", {}).items() if it["location"] == "query"}
    for parameter, value in query.items():
        known = own.get(parameter) or document["parameters"].get(parameter)
        if known is None:
            wrong.append(f"the parameter {parameter} is not known")
        elif known.get("type") == "boolean" and value not in ("true", "false"):
            wrong.append(f"the parameter {parameter} is no boolean")
        elif known.get("type") == "integer" and not value.isdigit():
            wrong.append(f"the parameter {parameter} is no number")
    for parameter, known in own.items():
        if known.get("required") and parameter not in query:
            wrong.append(f"the parameter {parameter} is missing")
    if "fields" in query and "response" in method:
        wrong += check_fields(document, method["response"], query["fields"], "fields")
    if "json" in asked:
        if "request" in method:
            wrong += check_value(document, method["request"], asked["json"], "request")
        else:
            wrong.append("there is no body")
    elif "request" in method:
        wrong.append("there is a body")
    if answered["status"] < 300 and "json" in answered:
        wrong += check_value(document, method["response"], answered["json"], "response")
    # The one scope that the crate asks for.
    if method.get("scopes") and SCOPE not in method["scopes"]:
        wrong.append(f"the scopes are {method['scopes']}")
    return wrong


def main(folder):
    checked, failed = 0, False
    for file in sorted(pathlib.Path(folder).glob("*/*.json")):
        case = json.loads(file.read_text())
        if "model" not in case:
            continue
        checked += 1
        for what in check(case):
            failed = True
            print(f"{file.parent.name}/{file.stem}: {what}")
    print(f"checked {checked}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
