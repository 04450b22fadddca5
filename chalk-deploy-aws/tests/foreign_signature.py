"""Signs what was signed once more, with botocore, and compares.

Usage: foreign_signature.py FILE, of JSON with `keys` (id, secret, token), `region`, `request` (method, url, headers; signed in
headers, for EKS) and `presigned` (an address, signed in its query for STS, with the header `x-k8s-aws-id`).
"""

import datetime
import json
import pathlib
import sys
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials


def main():
    given = json.loads(pathlib.Path(sys.argv[1]).read_text())
    credentials = botocore.credentials.Credentials(*given["keys"])
    asked = given["request"]
    shown = {name.lower(): value for name, value in asked["headers"].items()}
    signed = shown["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: shown[name] for name in signed if name != "host"}
    request = botocore.awsrequest.AWSRequest(method=asked["method"], url=asked["url"], headers=headers)
    request.context["timestamp"] = shown["x-amz-date"]
    auth = botocore.auth.SigV4Auth(credentials, "eks", given["region"])
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert shown["authorization"].endswith(f"Signature={signature}"), "the header's signature is another one"

    address = urllib.parse.urlsplit(given["presigned"])
    query = dict(urllib.parse.parse_qsl(address.query))
    theirs = query.pop("X-Amz-Signature")
    url = urllib.parse.urlunsplit(address._replace(query=urllib.parse.urlencode(query, quote_via=urllib.parse.quote)))
    request = botocore.awsrequest.AWSRequest(method="GET", url=url, headers={"x-k8s-aws-id": given["cluster"]})
    request.context["timestamp"] = query["X-Amz-Date"]
    auth = botocore.auth.SigV4QueryAuth(credentials, "sts", given["region"], expires=60)
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert theirs == signature, "the address's signature is another one"
    moment = datetime.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
    print("the same", moment.isoformat())


main()
