import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { after, test } from "node:test";

import { Webhook } from "standardwebhooks";

import { COUNT_PATH, createReceiver, WEBHOOK_PATH } from "../src/receiver.js";
import { RecentKeys } from "../src/recent.js";
import { WorkQueue } from "../src/work_queue.js";

const SECRET = `whsec_${Buffer.from("a secret for tests, 32 bytes long").toString("base64")}`;
const servers = [];
after(() => servers.forEach((server) => server.close()));

/** An entry is written once its answer is out, which the client may know first: so tests wait for entries. */
class RequestLog extends EventEmitter {
  #entries = [];

  add(entry) {
    this.#entries.push(entry);
    this.emit("entry");
  }

  async first(count) {
    while (this.#entries.length < count) {
      await once(this, "entry");
    }
    return this.#entries.slice(0, count);
  }
}

async function startReceiver(options = {}) {
  const log = new RequestLog();
  const handled = [];
  const queue = options.queue ?? new WorkQueue(100, async (item) => handled.push(item));
  const app = createReceiver({ secret: SECRET, logRequest: (entry) => log.add(entry), ...options, queue });
  const server = createServer(app).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}${WEBHOOK_PATH}`, log, handled, queue };
}

function signed(event, { id = "evt_1", at = new Date() } = {}) {
  const body = typeof event === "string" ? event : JSON.stringify(event);
  return {
    method: "POST",
    body,
    headers: {
      connection: "close",
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(SECRET).sign(id, at, body),
    },
  };
}

async function statusOf(url, request) {
  const response = await fetch(url, request);
  await response.arrayBuffer();
  return response.status;
}

const EVENT = { jobId: "job-1", runId: "run-1", action: "finished", summary: "整理今日重點" };

test("a signed event is answered with 200 and handled once, with its bytes as they came", async () => {
  const receiver = await startReceiver();
  assert.equal(await statusOf(receiver.url, signed(EVENT)), 200);
  await receiver.queue.drained();
  assert.equal(receiver.handled.length, 1);
  assert.equal(receiver.handled[0].raw.toString("utf8"), JSON.stringify(EVENT));
});

test("a run that is sent again, under whatever message id, is answered with 200 and not handled again", async () => {
  const receiver = await startReceiver();
  for (const id of ["evt_1", "evt_1", "evt_2"]) {
    assert.equal(await statusOf(receiver.url, signed(EVENT, { id })), 200);
  }
  assert.equal(await statusOf(receiver.url, signed({ ...EVENT, runId: "run-2" }, { id: "evt_3" })), 200);
  await receiver.queue.drained();
  assert.deepEqual(receiver.handled.map(({ event }) => event.runId), ["run-1", "run-2"]);
});

test("what was handled is counted, and repeats are not", async () => {
  const receiver = await startReceiver();
  for (const id of ["evt_1", "evt_1"]) {
    await statusOf(receiver.url, signed(EVENT, { id }));
  }
  await receiver.queue.drained();
  const answer = await fetch(receiver.url.replace(WEBHOOK_PATH, COUNT_PATH), { headers: { connection: "close" } });
  assert.deepEqual(await answer.json(), { processed: 1 });
});

test("an event without a run is known by its message id", async () => {
  const receiver = await startReceiver();
  for (const id of ["evt_1", "evt_1", "evt_2"]) {
    assert.equal(await statusOf(receiver.url, signed({ type: "test" }, { id })), 200);
  }
  await receiver.queue.drained();
  assert.equal(receiver.handled.length, 2);
});

test("a body that was changed, an old timestamp and a missing signature are each refused with 401", async () => {
  const receiver = await startReceiver();
  const changed = { ...signed(EVENT), body: JSON.stringify({ ...EVENT, summary: "forged" }) };
  const old = signed(EVENT, { at: new Date(Date.now() - 10 * 60 * 1000) });
  const bare = { method: "POST", body: "{}" };
  for (const request of [changed, old, bare]) {
    assert.equal(await statusOf(receiver.url, request), 401);
  }
  assert.equal(receiver.handled.length, 0);
});

test("a signed body that is no JSON object is refused with 400", async () => {
  const receiver = await startReceiver();
  for (const body of ["{", "[]", "null", "3"]) {
    assert.equal(await statusOf(receiver.url, signed(body)), 400);
  }
});

test("a body above two megabytes is refused with 413", async () => {
  const receiver = await startReceiver();
  assert.equal(await statusOf(receiver.url, signed({ ...EVENT, summary: "x".repeat(2 ** 21) })), 413);
});

test("with a token set, a request needs it as a bearer header or in the query", async () => {
  const receiver = await startReceiver({ token: "s3cret" });
  const withHeader = signed(EVENT);
  withHeader.headers.authorization = "Bearer s3cret";
  const wrong = signed(EVENT);
  wrong.headers.authorization = "Bearer guess";
  assert.equal(await statusOf(receiver.url, signed(EVENT)), 401);
  assert.equal(await statusOf(receiver.url, wrong), 401);
  assert.equal(await statusOf(receiver.url, withHeader), 200);
  assert.equal(await statusOf(`${receiver.url}?token=s3cret`, signed(EVENT)), 200);
  assert.ok(!JSON.stringify(await receiver.log.first(4)).includes("s3cret"));
});

test("the first requests fail as often as asked, and a retry then gets through", async () => {
  const receiver = await startReceiver({ failFirst: 2 });
  const statuses = [];
  for (let attempt = 0; attempt < 3; attempt += 1) {
    statuses.push(await statusOf(receiver.url, signed(EVENT)));
  }
  assert.deepEqual(statuses, [500, 500, 200]);
  await receiver.queue.drained();
  assert.equal(receiver.handled.length, 1);
});

test("a full queue answers 503, and the run is taken when there is room again", async () => {
  const handled = [];
  const queue = { hasRoom: false, push: (item) => handled.push(item) };
  const receiver = await startReceiver({ queue });
  assert.equal(await statusOf(receiver.url, signed(EVENT)), 503);
  queue.hasRoom = true;
  assert.equal(await statusOf(receiver.url, signed(EVENT)), 200);
  assert.equal(handled.length, 1);
});

test("the answer does not wait for the work", async () => {
  let finishWork;
  const working = new Promise((resolve) => (finishWork = resolve));
  const queue = new WorkQueue(10, () => working);
  const receiver = await startReceiver({ queue });
  assert.equal(await statusOf(receiver.url, signed(EVENT)), 200);
  finishWork();
  await queue.drained();
});

test("work that fails does not stop the work after it", async (t) => {
  t.mock.method(console, "error", () => {});
  const handled = [];
  const queue = new WorkQueue(10, async (item) => {
    if (item === "bad") {
      throw new Error("broken");
    }
    handled.push(item);
  });
  queue.push("bad");
  queue.push("good");
  await queue.drained();
  assert.deepEqual(handled, ["good"]);
});

test("the request log tells time, status and the body's hash of every request", async () => {
  const receiver = await startReceiver();
  await statusOf(receiver.url, signed(EVENT));
  await statusOf(receiver.url, { method: "POST", body: "{}" });
  await statusOf(receiver.url.replace("webhook", "elsewhere"), { method: "POST", body: "{}" });
  const [accepted, forged, lost] = await receiver.log.first(3);
  assert.ok(!Number.isNaN(Date.parse(accepted.time)));
  assert.equal(accepted.sha256, createHash("sha256").update(JSON.stringify(EVENT)).digest("hex"));
  assert.deepEqual([accepted.status, forged.status, lost.status], [200, 401, 404]);
  assert.deepEqual([accepted.signature, forged.signature], ["verified", null]);
});

test("the memory of runs forgets the oldest first", () => {
  const recent = new RecentKeys(2);
  ["a", "b", "a", "c"].forEach((key) => recent.add(key));
  assert.deepEqual(["a", "b", "c"].map((key) => recent.has(key)), [true, false, true]);
});
