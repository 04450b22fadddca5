"""Reads the evidence of an image as strangers do: with libraries that know nothing of chalk-deploy.

verify.py REGISTRY REPOSITORY DIGEST KEY [--change-payload AT] [--change-bill WHAT=BY]

From the registry at http://REGISTRY come the manifests that point at the image (by the referrers API, or by the tag that
stands for it). Each bundle is read by sigstore's models, its signature is verified with the public key in the file KEY by
securesystemslib, its statement and its predicate are read by in-toto's protocol buffers, which refuse fields that the
specifications do not have, and each bill of materials is validated by CycloneDX's strict validator. Prints one JSON object
about what was verified; ends with 1 and one line on stderr if anything is refused or missing.

`--change-payload` flips a bit of each payload before the signature is verified; `--change-bill` replaces a text in each
bill before it is validated.
"""

import argparse
import base64
import hashlib
import json
import sys
import urllib.error
import urllib.request

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from sigstore_models.bundle.v1 import Bundle

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BILL = "application/vnd.cyclonedx+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PROVENANCE = "https://slsa.dev/provenance/v1"
CYCLONEDX = "https://cyclonedx.org/bom"


class Refused(Exception):
    pass


class Repository:
    def __init__(self, registry, name):
        self.base = f"http://{registry}/v2/{name}"

    def get(self, tail, accept="*/*"):
        request = urllib.request.Request(f"{self.base}/{tail}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def content(self, kind, digest, accept="*/*"):
        body = self.get(f"{kind}/{digest}", accept)
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
            raise Refused(f"{digest} is not what its digest says")
        return body

    def referrers(self, digest):
        try:
            index = self.get(f"referrers/{digest}", INDEX)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            index = self.get(f"manifests/{digest.replace(':', '-')}", INDEX)
        return json.loads(index)["manifests"]


def validate_bill(text):
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise Refused(f"CycloneDX: {str(problem)[:200]}")


def verify_bundle(raw, key, digest, change_payload, change_bill):
    Bundle.from_json(raw)
    envelope_document = json.loads(raw)["dsseEnvelope"]
    keyid = envelope_document["signatures"][0]["keyid"]
    if change_payload is not None:
        payload = bytearray(base64.b64decode(envelope_document["payload"]))
        payload[change_payload % len(payload)] ^= 1
        envelope_document["payload"] = base64.b64encode(payload).decode()
    envelope = Envelope.from_dict(envelope_document)
    signer = SSlibKey(keyid, key.keytype, key.scheme, key.keyval)
    envelope.verify([signer], 1)
    if envelope.payload_type != "application/vnd.in-toto+json":
        raise Refused(f"the payload type is {envelope.payload_type}")
    statement = json_format.Parse(envelope.payload, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    if [subject.digest["sha256"] for subject in statement.subject] != [digest.removeprefix("sha256:")]:
        raise Refused("the statement is about another image")
    predicate = json.loads(envelope.payload)["predicate"]
    if statement.predicate_type == PROVENANCE:
        provenance = json_format.ParseDict(predicate, provenance_pb2.Provenance())
        if not provenance.run_details.builder.id or not provenance.build_definition.build_type:
            raise Refused("the provenance lacks what SLSA requires")
    elif statement.predicate_type == CYCLONEDX:
        text = json.dumps(predicate)
        if change_bill is not None:
            what, by = change_bill.split("=", 1)
            if what not in text:
                raise SystemExit(f"there is no `{what}` to change")
            text = text.replace(what, by)
        validate_bill(text)
    else:
        raise Refused(f"nobody asked for {statement.predicate_type}")
    return statement.predicate_type, predicate


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("registry")
    parser.add_argument("repository")
    parser.add_argument("digest")
    parser.add_argument("key")
    parser.add_argument("--change-payload", type=int)
    parser.add_argument("--change-bill")
    arguments = parser.parse_args()
    repository = Repository(arguments.registry, arguments.repository)
    with open(arguments.key) as file:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = SSlibKey.from_crypto(load_pem_public_key(file.read().encode()))
    found = {}
    plain = 0
    for entry in repository.referrers(arguments.digest):
        manifest = json.loads(repository.content("manifests", entry["digest"], MANIFEST))
        if manifest["subject"]["digest"] != arguments.digest:
            raise Refused("a manifest that is listed points elsewhere")
        if manifest["artifactType"] != entry["artifactType"]:
            raise Refused("the list and the manifest contradict each other")
        content = repository.content("blobs", manifest["layers"][0]["digest"])
        if manifest["artifactType"] == BUNDLE:
            kind, predicate = verify_bundle(
                content, key, arguments.digest, arguments.change_payload, arguments.change_bill
            )
            if manifest["annotations"]["dev.sigstore.bundle.predicateType"] != kind:
                raise Refused("the annotation and the statement contradict each other")
            found[kind] = predicate
        elif manifest["artifactType"] == BILL:
            validate_bill(content.decode())
            plain += 1
    for kind in (PROVENANCE, CYCLONEDX):
        if kind not in found:
            raise Refused(f"there is no {kind}")
    components = found[CYCLONEDX].get("components", [])
    print(json.dumps({
        "builder": found[PROVENANCE]["runDetails"]["builder"]["id"],
        "components": len(components),
        "plain_bills": plain,
    }))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # Whatever a library refuses, and however it says so.
        print(f"refused: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
