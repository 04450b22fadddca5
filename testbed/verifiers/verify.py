"""Reads the evidence of an image as strangers do: with libraries that know nothing of chalk-deploy.

verify.py REGISTRY REPOSITORY DIGEST KEY

From the registry at http://REGISTRY come the manifests that point at the image (by the referrers API, or by the tag that
stands for it). Each bundle is read by sigstore's models, its signature is verified with the public key in the file KEY by
securesystemslib, its statement and its predicate are read by in-toto's protocol buffers, which refuse fields that the
specifications do not have, and each bill of materials is validated by CycloneDX's strict validator. Prints one JSON object
about what was verified; ends with 1 and one line on stderr if anything is refused or missing.

What was verified is then changed, a byte at a time, and must be refused: payloads and signatures by securesystemslib, bills
by the validator.
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
from securesystemslib.exceptions import VerificationError
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


def verify_envelope(document, key):
    keyid = document["signatures"][0]["keyid"]
    # The library changes what it is given.
    envelope = Envelope.from_dict(json.loads(json.dumps(document)))
    envelope.verify([SSlibKey(keyid, key.keytype, key.scheme, key.keyval)], 1)
    return envelope


def changed_envelopes(document):
    """The envelope with one bit of the payload or of the signature flipped, at places spread over both."""
    for name in ("payload", "sig"):
        holder = document if name == "payload" else document["signatures"][0]
        original = base64.b64decode(holder[name])
        for at in sorted({*range(0, len(original), max(1, len(original) // 40)), len(original) - 1}):
            changed = bytearray(original)
            changed[at] ^= 1
            copy = json.loads(json.dumps(document))
            (copy if name == "payload" else copy["signatures"][0])[name] = base64.b64encode(changed).decode()
            yield f"byte {at} of the {name}", copy


def changed_bills(text):
    """The bill with one byte changed where the schema says what must stand there."""
    for what, by in (
        ('"CycloneDX"', '"CycloneDY"'),
        ('"library"', '"librarx"'),
        ('"SHA-256"', '"SHA-255"'),
        ('"urn:uuid:', '"urn:uujd:'),
        ('"bomFormat"', '"bomFormas"'),
        ('"aggregate"', '"aggregatf"'),
    ):
        if what not in text:
            raise Refused(f"there is no {what} in the bill")
        yield what, text.replace(what, by, 1)


def must_refuse(what, verify):
    try:
        verify()
    except (VerificationError, Refused):
        return 1
    raise Refused(f"{what} was changed, and nobody minded")


def verify_bundle(raw, key, digest):
    Bundle.from_json(raw)
    envelope_document = json.loads(raw)["dsseEnvelope"]
    envelope = verify_envelope(envelope_document, key)
    refused = sum(
        must_refuse(what, lambda: verify_envelope(changed, key)) for what, changed in changed_envelopes(envelope_document)
    )
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
        validate_bill(text)
        refused += sum(must_refuse(what, lambda: validate_bill(bill)) for what, bill in changed_bills(text))
    else:
        raise Refused(f"nobody asked for {statement.predicate_type}")
    return statement.predicate_type, predicate, refused


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("registry")
    parser.add_argument("repository")
    parser.add_argument("digest")
    parser.add_argument("key")
    arguments = parser.parse_args()
    repository = Repository(arguments.registry, arguments.repository)
    with open(arguments.key) as file:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        key = SSlibKey.from_crypto(load_pem_public_key(file.read().encode()))
    found = {}
    plain = 0
    refused = 0
    for entry in repository.referrers(arguments.digest):
        manifest = json.loads(repository.content("manifests", entry["digest"], MANIFEST))
        if manifest["subject"]["digest"] != arguments.digest:
            raise Refused("a manifest that is listed points elsewhere")
        if manifest["artifactType"] != entry["artifactType"]:
            raise Refused("the list and the manifest contradict each other")
        content = repository.content("blobs", manifest["layers"][0]["digest"])
        if manifest["artifactType"] == BUNDLE:
            kind, predicate, changes = verify_bundle(content, key, arguments.digest)
            refused += changes
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
        "refused_changes": refused,
    }))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # Whatever a library refuses, and however it says so.
        print(f"refused: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
