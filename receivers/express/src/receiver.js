import { createHash, timingSafeEqual } from "node:crypto";

import express from "express";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

import { RecentKeys } from "./recent.js";

export const WEBHOOK_PATH = "/openclaw/webhook";
export const COUNT_PATH = "/processed";
const LARGEST_BODY = "2mb";
const REMEMBERED_RUNS = 10_000;

/**
 * An Express app that takes finished-run events.
 *
 * - `secret`: the signing secret, `whsec_…`; every request must carry a valid signature of it.
 * - `token`: when given, every request must carry it too, as a bearer header or as `?token=…`.
 * - `queue`: takes `{ event, raw }` of each new run, after the answer has been given.
 * - `logRequest`: called once per request with what is worth keeping of it.
 * - `failFirst`: answers 500 to this many requests first, to show that the sender tries again.
 */
export function createReceiver({ secret, token, queue, logRequest, failFirst = 0 }) {
  const webhook = new Webhook(secret);
  const seen = new RecentKeys(REMEMBERED_RUNS);
  let failuresLeft = failFirst;

  const app = express();
  app.disable("x-powered-by");
  app.use(keepRequestLog(logRequest));

  app.post(
    WEBHOOK_PATH,
    requireToken(token),
    // The signature covers the exact bytes, so they are kept as they came and parsed only once they are trusted.
    express.raw({ type: () => true, limit: LARGEST_BODY, inflate: false }),
    (req, res) => {
      const raw = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
      res.locals.sha256 = createHash("sha256").update(raw).digest("hex");

      if (failuresLeft > 0) {
        failuresLeft -= 1;
        return refuse(res, 500, "failing as asked to by FAIL_FIRST");
      }
      const { event, problem, status } = readSigned(webhook, raw, req.headers);
      if (problem) {
        return refuse(res, status, problem);
      }
      res.locals.signature = "verified";

      const key = identityOf(event, req.headers);
      if (seen.has(key)) {
        // The sender has to hear that this one has arrived, or it would send it for ever.
        res.locals.note = "duplicate";
        return res.sendStatus(200);
      }
      if (!queue.hasRoom) {
        res.set("Retry-After", "5");
        return refuse(res, 503, "the queue is full");
      }
      seen.add(key);
      res.sendStatus(200);
      queue.push({ event, raw });
    },
  );

  // For `clawhook conformance --effects-url`, which proves with it that a repeated event is handled once.
  app.get(COUNT_PATH, (req, res) => res.json({ processed: queue.processed }));

  app.use((req, res) => refuse(res, 404, "nothing here"));
  app.use((error, req, res, next) => {
    if (res.headersSent) {
      return next(error);
    }
    refuse(res, error.status ?? 500, error.type ?? "unexpected error");
  });
  return app;
}

function readSigned(webhook, raw, headers) {
  try {
    webhook.verify(raw, headers, { jsonParse: false });
  } catch (error) {
    const problem = error instanceof WebhookVerificationError ? error.message : "the signature could not be read";
    return { status: 401, problem };
  }
  try {
    const event = JSON.parse(raw.toString("utf8"));
    if (event !== null && typeof event === "object" && !Array.isArray(event)) {
      return { event };
    }
  } catch {
    // Answered below, with the same words as JSON that is no object.
  }
  return { status: 400, problem: "the body is no JSON object" };
}

/** One run is one `(jobId, runId)`; an event of another kind is known by its `webhook-id`. */
function identityOf(event, headers) {
  const { jobId, runId } = event;
  return typeof jobId === "string" && typeof runId === "string"
    ? JSON.stringify(["run", jobId, runId])
    : JSON.stringify(["message", headers["webhook-id"]]);
}

function requireToken(token) {
  return (req, res, next) => {
    if (!token || sameText(token, bearerOf(req) ?? req.query.token)) {
      return next();
    }
    refuse(res, 401, "a token is required");
  };
}

function bearerOf(req) {
  return /^Bearer +(.+)$/i.exec(req.get("authorization") ?? "")?.[1];
}

/** Compares digests, which have one length, so that the time taken tells nothing about the text. */
function sameText(expected, offered) {
  const digest = (text) => createHash("sha256").update(text).digest();
  return typeof offered === "string" && timingSafeEqual(digest(expected), digest(offered));
}

function refuse(res, status, problem) {
  res.locals.note = problem;
  res.status(status).json({ error: problem });
}

/** The path is logged without its query, which may carry a token. */
function keepRequestLog(logRequest) {
  return (req, res, next) => {
    const started = performance.now();
    const { method, path } = req;
    res.once("close", () => {
      logRequest({
        time: new Date().toISOString(),
        method,
        path,
        status: res.writableFinished ? res.statusCode : null,
        sha256: res.locals.sha256 ?? null,
        webhookId: req.get("webhook-id") ?? null,
        attempt: req.get("clawhook-attempt") ?? null,
        signature: res.locals.signature ?? null,
        note: res.locals.note ?? null,
        ms: Math.round((performance.now() - started) * 10) / 10,
      });
    });
    next();
  };
}
