"""Verifies signed requests with libraries that Clawhook's makers did not write.

Usage: python verify.py VECTORS.json
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from http_message_signatures.exceptions import InvalidSignature as InvalidMessageSignature
from standardwebhooks import Webhook

TOLERANCE_SECONDS = 300


def v1(request, headers, body):
    Webhook(request["secret"]).verify(body, headers, json_parse=False)
    return True


def v1a(request, headers, body):
    if not is_fresh(headers["webhook-timestamp"]):
        return False
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = ed25519_key(request["publicKey"])
    items = (item.split(",", 1) for item in headers["webhook-signature"].split(" "))
    return any(signed(key, base64.b64decode(sig), message) for version, sig in items if version == "v1a")


def github(request, headers, body):
    expected = "sha256=" + hmac.new(request["secret"].encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, headers["x-hub-signature-256"])


def stripe(request, headers, body):
    items = [item.split("=", 1) for item in headers["stripe-signature"].split(",")]
    timestamp = dict(items)["t"]
    message = timestamp.encode() + b"." + body
    expected = hmac.new(request["secret"].encode(), message, hashlib.sha256).hexdigest()
    matches = [hmac.compare_digest(expected, sig) for name, sig in items if name == "v1"]
    return is_fresh(timestamp) and any(matches)


def rfc9421(request, headers, body):
    if request["algorithm"] == "ed25519":
        algorithm, key = algorithms.ED25519, ed25519_key(request["publicKey"])
    else:
        algorithm, key = algorithms.HMAC_SHA256, shared_key(request["secret"])
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=OneKey(request["keyId"], key))
    message = SimpleNamespace(method=request["method"], url=request["url"], headers=headers)
    # While a key is being replaced there are two signatures, and a receiver has the key of one or the other.
    for tag in ("clawhook", "clawhook-retiring"):
        try:
            results = verifier.verify(
                message,
                max_age=timedelta(seconds=TOLERANCE_SECONDS),
                expect_tag=tag,
                require_components=("@method", "@target-uri", "content-digest"),
                body=body,
            )
        except InvalidMessageSignature:
            continue
        return bool(results)
    return False


class OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key_id, key):
        self.key_id, self.key = key_id, key

    def resolve_public_key(self, key_id):
        return self.key if key_id == self.key_id else None


def is_fresh(timestamp):
    return abs(time.time() - int(timestamp)) <= TOLERANCE_SECONDS


def ed25519_key(text):
    """A public key as Standard Webhooks write it: `whpk_` and the base64 of its 32 bytes."""
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix("whpk_")))


def shared_key(secret):
    """The bytes after `whsec_`, or the whole of a text that does not begin so."""
    if secret.startswith("whsec_"):
        return base64.b64decode(secret.removeprefix("whsec_"))
    return secret.encode()


def signed(key, signature, message):
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


RECEIVERS = {"v1": v1, "v1a": v1a, "github": github, "stripe": stripe, "rfc9421": rfc9421}


def accepts(request):
    try:
        return RECEIVERS[request["scheme"]](request, request["headers"], base64.b64decode(request["body"]))
    except Exception:  # Each library refuses in its own way.
        return False


def main(path):
    with open(path, encoding="utf-8") as file:
        requests = json.load(file)["requests"]
    counts, wrong = Counter(), []
    for request in requests:
        accepted = accepts(request)
        counts[request["scheme"], accepted] += 1
        if accepted != request["genuine"]:
            wrong.append(f"{request['scheme']}: {request['name']}")
    for scheme in RECEIVERS:
        print(f"{scheme:<8} {counts[scheme, True]} accepted, {counts[scheme, False]} refused")
    if wrong:
        sys.exit("not judged as they should be:\n  " + "\n  ".join(wrong))


if __name__ == "__main__":
    main(sys.argv[1])
