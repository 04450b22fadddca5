"""Checks recorded cases of AWS against botocore's models of the services.

Usage: foreign_model.py FOLDER. Prints a line for each complaint, and `checked N cases` at the end. What is not looked
at: signatures, and the documents of the sources of credentials (`local`), which no model describes.
"""

import base64
import json
import pathlib
import sys
import urllib.parse

import botocore.awsrequest
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.validate

LOADER = botocore.loaders.Loader()
MODELS = {}
# What the SDKs' rules of endpoints say of the host of each service in an ordinary region.
HOSTS = {"ecr": "api.ecr.{r}.amazonaws.com", "eks": "eks.{r}.amazonaws.com", "sqs": "sqs.{r}.amazonaws.com",
         "sts": "sts.{r}.amazonaws.com"}


def model_of(service):
    if service not in MODELS:
        MODELS[service] = botocore.model.ServiceModel(LOADER.load_service_model(service, "service-2"), service)
    return MODELS[service]


def enums(shape, value, where, complain):
    """Values of an enumeration that the model does not know, which botocore itself lets pass."""
    if value is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if isinstance(value, dict) and name in value:
                enums(member, value[name], f"{where}.{name}", complain)
    elif shape.type_name == "list":
        for item in value:
            enums(shape.member, item, f"{where}[]", complain)
    elif shape.type_name == "map":
        for name, item in value.items():
            enums(shape.key, name, f"{where}{{}}", complain)
            enums(shape.value, item, f"{where}{{}}", complain)
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        complain(f"{where}: `{value}` is none of {shape.enum}")


def types(shape, value, where, complain):
    """JSON against a shape: members that the model does not know, and values of another type."""
    expected = {"structure": dict, "map": dict, "list": list, "string": str, "boolean": bool,
                "integer": int, "long": int, "timestamp": (int, float), "blob": str, "double": (int, float),
                "float": (int, float)}[shape.type_name]
    if not isinstance(value, expected) or isinstance(value, bool) != (shape.type_name == "boolean"):
        complain(f"{where}: {value!r} is no {shape.type_name}")
        return
    if shape.type_name == "structure":
        known = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, item in value.items():
            if name not in known:
                complain(f"{where}.{name}: no member of {shape.name}")
            else:
                types(known[name], item, f"{where}.{name}", complain)
    elif shape.type_name == "list":
        for item in value:
            types(shape.member, item, f"{where}[]", complain)
    elif shape.type_name == "map":
        for item in value.values():
            types(shape.value, item, f"{where}{{}}", complain)


def elements(node, shape, where, complain):
    """An XML element against a shape, by the names that the model gives its members."""
    if shape.type_name == "structure":
        known = {}
        for name, member in shape.members.items():
            if member.serialization.get("location") in ("header", "headers", "uri", "querystring"):
                continue
            flat = member.type_name == "list" and member.serialization.get("flattened")
            item = member.member.serialization.get("name") if flat else None
            known[member.serialization.get("name", item or name)] = (member, flat)
        for child in node:
            tag = child.tag.split("}")[-1]
            if tag not in known:
                complain(f"{where}/{tag}: no member of {shape.name}")
                continue
            member, flat = known[tag]
            elements(child, member.member if flat else member, f"{where}/{tag}", complain)
        present = {child.tag.split("}")[-1] for child in node}
        for name in shape.required_members:
            wire = shape.members[name].serialization.get("name", name)
            if shape.members[name].serialization.get("location") is None and wire not in present:
                complain(f"{where}/{wire}: is required")
    elif shape.type_name == "list":
        for child in node:
            elements(child, shape.member, f"{where}/{child.tag.split('}')[-1]}", complain)
    else:
        text = node.text or ""
        if shape.type_name in ("integer", "long") and not text.strip().isdigit():
            complain(f"{where}: `{text}` is no number")
        if shape.type_name == "boolean" and text not in ("true", "false"):
            complain(f"{where}: `{text}` is no boolean")
        if shape.type_name == "string" and getattr(shape, "enum", None) and text not in shape.enum:
            complain(f"{where}: `{text}` is none of {shape.enum}")


def parsed_request(service, operation, case, complain):
    """The parameters that a request says, in the names of the model."""
    import xml.etree.ElementTree as tree
    request, parameters = case["request"], {}
    protocol = service.metadata["protocol"]
    if protocol == "json":
        target = f"{service.metadata['targetPrefix']}.{operation.name}"
        if request["headers"].get("x-amz-target") != target:
            complain(f"the target is not {target}")
        kind = f"application/x-amz-json-{service.metadata['jsonVersion']}"
        if request["headers"].get("content-type") != kind:
            complain(f"the content type is not {kind}")
        types(operation.input_shape, request["json"], "request", complain)
        parameters = request["json"]
    elif protocol == "query":
        form = request["form"]
        if form.get("Version") != service.metadata["apiVersion"] or form.get("Action") != operation.name:
            complain("the action or its version is another one")
        for name, value in form.items():
            if name in ("Action", "Version"):
                continue
            member = operation.input_shape.members.get(name)
            if member is None:
                complain(f"request.{name}: no member")
                continue
            parameters[name] = int(value) if member.type_name == "integer" else value
    else:
        uri = operation.http["requestUri"]
        path, _, query = uri.partition("?")
        if protocol == "rest-xml":
            # The bucket stands in the host.
            path = path.replace("/{Bucket}", "") or "/"
            parameters["Bucket"] = request["host"].split(".")[0]
        else:
            name = path.split("{")[1].split("}")[0]
            parts = path.split("{" + name + "}")
            if not request["path"].startswith(parts[0]):
                complain(f"the path is not {path}")
            location = {m.serialization.get("name", n): n for n, m in operation.input_shape.members.items()}
            parameters[location[name]] = urllib.parse.unquote(request["path"][len(parts[0]):])
            path = request["path"]
        fixed = dict(part.partition("=")[::2] for part in query.split("&") if part)
        asked = request.get("query", {})
        open_ones = {m.serialization["name"]: (n, m) for n, m in operation.input_shape.members.items()
                     if m.serialization.get("location") == "querystring"}
        for name in set(asked) - set(fixed):
            if name not in open_ones:
                complain(f"the query has `{name}`, which {operation.name} does not")
            else:
                member = open_ones[name][1]
                parameters[open_ones[name][0]] = int(asked[name]) if member.type_name == "integer" else asked[name]
        if request["path"] != path or any(asked.get(name) != value for name, value in fixed.items()):
            complain(f"the path and the query are not {uri}")
        known = {m.serialization.get("name", "").lower(): n for n, m in operation.input_shape.members.items()
                 if m.serialization.get("location") == "header"}
        for header, value in request["headers"].items():
            if header in known:
                member = operation.input_shape.members[known[header]]
                parameters[known[header]] = value == "true" if member.type_name == "boolean" else value
            elif header.startswith("x-amz-checksum-") and operation.http_checksum:
                pass  # The trait of checksums names the header by its algorithm.
            elif header.startswith("x-amz-") and header not in ("x-amz-date", "x-amz-content-sha256"):
                complain(f"the header {header} is none of {operation.name}")
        payload = operation.input_shape.serialization.get("payload")
        text = request.get("text")
        if text is not None and payload:
            shape = operation.input_shape.members[payload]
            if shape.type_name == "structure":
                root = tree.fromstring(text)
                named = shape.serialization.get("name", payload)
                if root.tag.split("}")[-1] != named:
                    complain(f"the document is not a {named}")
                elements(root, shape, named, complain)
                parameters[payload] = ...
            else:
                parameters[payload] = text
    if request["method"] != operation.http.get("method", "POST"):
        complain(f"the method is not {operation.http.get('method')}")
    return parameters


def check(case, complain):
    service_name, operation_name = case["model"].split(" ")
    service = model_of(service_name)
    operation = service.operation_model(operation_name)
    if service_name in HOSTS and case["request"]["host"] != HOSTS[service_name].format(r="us-east-1"):
        complain(f"the host is not that of {service_name}")
    parameters = parsed_request(service, operation, case, complain)
    for name in operation.input_shape.required_members if operation.input_shape else []:
        if name not in parameters:
            complain(f"request.{name}: is required")
    whole = {name: value for name, value in parameters.items() if value is not ...}
    if (operation.http_checksum or {}).get("requestChecksumRequired") and not any(
            name.startswith(("x-amz-checksum-", "content-md5")) for name in case["request"]["headers"]):
        complain("a checksum of the document is required")
    report = botocore.validate.ParamValidator().validate(whole, operation.input_shape)
    for message in [] if not report.has_errors() else report.generate_report().splitlines():
        if "Missing required parameter" not in message:
            complain(message)
    enums(operation.input_shape, whole, "request", complain)

    response = case["response"]
    status, headers = response["status"], {k.lower(): v for k, v in response.get("headers", {}).items()}
    body = json.dumps(response["json"]) if "json" in response else response.get("text", "")
    if status < 300:
        if operation.output_shape is None:
            return
        if "json" in response:
            types(operation.output_shape, response["json"], "response", complain)
        parser = botocore.parsers.create_parser(service.metadata["protocol"])
        answer = parser.parse({"status_code": status, "headers": headers, "body": body.encode()}, operation.output_shape)
        answer.pop("ResponseMetadata", None)
        if body.strip() not in ("", "{}") and not answer and "/>" not in body:
            complain("botocore reads nothing of the response")
        enums(operation.output_shape, answer, "response", complain)
        return
    # A refusal: one that the operation is declared to give, or one that all operations share.
    shared = {"ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidSignatureException",
              "Throttling", "ThrottlingException", "TooManyRequestsException", "AccessDeniedException", "AccessDenied",
              "ValidationError"}
    code = (headers.get("x-amzn-errortype") or response.get("json", {}).get("__type", "")).split("#")[-1]
    if not code and "<Code>" in body:
        code = body.split("<Code>")[1].split("</Code>")[0]
    if not code or service_name == "s3":
        return  # HEAD has no words, and the model of S3 lists few of its codes.
    declared = {shape.metadata.get("error", {}).get("code", shape.name) for shape in operation.error_shapes}
    declared |= {shape.name for shape in operation.error_shapes}
    if code not in declared | shared:
        complain(f"{operation_name} is not known to refuse with {code}")


def main():
    folder, count, wrong = pathlib.Path(sys.argv[1]), 0, False
    for path in sorted(folder.glob("*/*.json")):
        case = json.loads(path.read_text())
        if case.get("model") is None:
            continue
        complaints = []
        try:
            check(case, complaints.append)
        except Exception as error:  # What the model cannot even name is a complaint, too.
            complaints.append(f"{type(error).__name__}: {error}")
        for complaint in complaints:
            wrong = True
            print(f"{path.parent.name}/{path.stem}: {complaint}")
        count += 1
    print(f"checked {count} cases")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
