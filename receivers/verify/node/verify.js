// Verifies signed requests with libraries that Clawhook's makers did not write.
//
// Usage: node verify.js VECTORS.json

import { createHash, createPublicKey, timingSafeEqual, verify as verifyEd25519 } from "node:crypto";
import { readFileSync } from "node:fs";

import { verify as verifyGithub } from "@octokit/webhooks-methods";
import { createVerifier, httpbis } from "http-message-signatures";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";

const TOLERANCE_SECONDS = 300;

/** How a receiver of each scheme tells a genuine request: by an answer of true. Throwing is refusing, too. */
const RECEIVERS = {
  v1: ({ secret, headers, body }) => {
    new Webhook(secret).verify(body.toString("utf8"), headers, { jsonParse: false });
    return true;
  },

  v1a: ({ publicKey, headers, body }) => {
    const age = Math.abs(Date.now() / 1000 - Number(headers["webhook-timestamp"]));
    if (!(age <= TOLERANCE_SECONDS)) return false;
    const message = Buffer.concat([
      Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`),
      body,
    ]);
    const key = ed25519Key(publicKey);
    return headers["webhook-signature"]
      .split(" ")
      .map((item) => item.split(","))
      .some(([version, signature]) =>
        version === "v1a" && verifyEd25519(null, message, key, Buffer.from(signature, "base64")));
  },

  github: ({ secret, headers, body }) =>
    verifyGithub(secret, body.toString("utf8"), headers["x-hub-signature-256"]),

  stripe: ({ secret, headers, body }) => {
    Stripe.webhooks.constructEvent(body, headers["stripe-signature"], secret, TOLERANCE_SECONDS);
    return true;
  },

  rfc9421: async ({ algorithm, secret, publicKey, keyId, method, url, headers, body }) => {
    // The library checks the signature over the digest; that the digest is the body's is for its caller to check.
    const digest = createHash("sha256").update(body).digest();
    const sent = /^sha-256=:([^:]+):$/.exec(headers["content-digest"])?.[1];
    if (!sent || !timingSafeEqual(digest, Buffer.from(sent, "base64"))) return false;
    const key = algorithm === "ed25519" ? ed25519Key(publicKey) : sharedKey(secret);
    const keys = new Map([[keyId, { id: keyId, algs: [algorithm], verify: createVerifier(key, algorithm) }]]);
    const accepted = await httpbis.verifyMessage(
      {
        keyLookup: async ({ keyid }) => keys.get(keyid) ?? null,
        maxAge: TOLERANCE_SECONDS,
        requiredParams: ["created", "keyid", "alg"],
        requiredFields: ["@method", "@target-uri", "content-digest"],
      },
      { method, url, headers },
    );
    return accepted === true;
  },
};

/** A public key as Standard Webhooks write it: `whpk_` and the base64 of its 32 bytes. */
function ed25519Key(text) {
  const x = Buffer.from(text.replace(/^whpk_/, ""), "base64").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/** The `keyid` of an ed25519 key: its thumbprint as a JSON Web Key (RFC 7638). */
function thumbprint(publicKey) {
  const { crv, kty, x } = ed25519Key(publicKey).export({ format: "jwk" });
  return createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
}

/** The bytes after `whsec_`, or the whole of a text that does not begin so. */
function sharedKey(secret) {
  return secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);
}

async function accepts(request) {
  try {
    return await RECEIVERS[request.scheme]({ ...request, body: Buffer.from(request.body, "base64") });
  } catch {
    return false;
  }
}

async function main() {
  const { requests } = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const counts = {};
  const wrong = [];
  for (const request of requests) {
    const count = (counts[request.scheme] ??= { accepted: 0, refused: 0 });
    const accepted = await accepts(request);
    count[accepted ? "accepted" : "refused"] += 1;
    if (accepted !== request.genuine) wrong.push(`${request.scheme}: ${request.name}`);
    if (accepted && request.publicKey && request.keyId && request.keyId !== thumbprint(request.publicKey)) {
      wrong.push(`${request.scheme}: the key id is not the thumbprint of ${request.publicKey}`);
    }
  }
  for (const [scheme, { accepted, refused }] of Object.entries(counts)) {
    console.log(`${scheme.padEnd(8)} ${accepted} accepted, ${refused} refused`);
  }
  if (wrong.length > 0) {
    console.error(`not judged as they should be:\n  ${wrong.join("\n  ")}`);
    process.exitCode = 1;
  }
}

await main();
