import { createWriteStream, readFileSync } from "node:fs";
import { createServer } from "node:http";

import { createReceiver, WEBHOOK_PATH } from "./receiver.js";
import { WorkQueue } from "./work_queue.js";

const WAITING_EVENTS = 1_000;

function main(env) {
  const requestLog = env.REQUEST_LOG ? createWriteStream(env.REQUEST_LOG, { flags: "a" }) : process.stdout;
  const queue = new WorkQueue(WAITING_EVENTS, handleEvent);
  const app = createReceiver({
    secret: signingSecret(env),
    token: env.WEBHOOK_TOKEN || undefined,
    failFirst: wholeNumber(env, "FAIL_FIRST", 0),
    queue,
    logRequest: (entry) => requestLog.write(`${JSON.stringify(entry)}\n`),
  });

  const server = createServer(app);
  server.listen(wholeNumber(env, "PORT", 3000), "127.0.0.1", () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}${WEBHOOK_PATH}`);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => stop(server, queue));
  }
}

/** Your work goes here: it runs after the answer, once per run. The raw text is kept whole, fields may be added. */
async function handleEvent({ raw }) {
  // Line breaks in JSON stand only between its parts, so this leaves its meaning as it is.
  console.log("OpenClaw cron event:", raw.toString("utf8").replace(/[\r\n]+/g, " "));
}

/** Takes no new connection, finishes what was accepted, and lets the process end. */
function stop(server, queue) {
  server.close(() => queue.drained());
  server.closeIdleConnections();
}

function signingSecret(env) {
  if (env.CLAWHOOK_SIGNING_SECRET) {
    return env.CLAWHOOK_SIGNING_SECRET.trim();
  }
  if (env.CLAWHOOK_SIGNING_SECRET_FILE) {
    return readFileSync(env.CLAWHOOK_SIGNING_SECRET_FILE, "utf8").trim();
  }
  throw new Error("set CLAWHOOK_SIGNING_SECRET, or CLAWHOOK_SIGNING_SECRET_FILE to a file that holds it");
}

function wholeNumber(env, name, fallback) {
  const text = env[name];
  if (text === undefined || text === "") {
    return fallback;
  }
  if (!/^\d+$/.test(text)) {
    throw new Error(`${name} must be a whole number, not '${text}'`);
  }
  return Number(text);
}

try {
  main(process.env);
} catch (error) {
  console.error(`clawhook-express-receiver: ${error.message}`);
  process.exitCode = 2;
}
