const assert = require("node:assert/strict");
const { createHmac } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");

const workflow = JSON.parse(readFileSync(join(__dirname, "../workflow.json"), "utf8"));
const nodeOf = (type) => workflow.nodes.find((node) => node.type === `n8n-nodes-base.${type}`);
const AsyncFunction = (async () => {}).constructor;

// The vector that the standard publishes.
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW = 1_614_265_330;
const VECTOR = {
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestamp: String(NOW),
  signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  body: '{"test": 2432232314}',
};

function signed(body, { id = "evt_1", at = NOW, secret = SECRET } = {}) {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${at}.${body}`).digest("base64");
  return { id, timestamp: String(at), signature: `v1,${signature}`, body };
}

/** Runs the code node as n8n does: the webhook's item goes in, and items come out. */
async function verify({ id, timestamp, signature, body }, memory = {}, env = { CLAWHOOK_WEBHOOK_SECRET: SECRET }) {
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
  const item = { json: { headers }, binary: { data: { data: Buffer.from(body).toString("base64") } } };
  const helpers = {
    getBinaryDataBuffer: async (index, name) => Buffer.from([item][index].binary[name].data, "base64"),
  };
  const code = new AsyncFunction("$input", "$env", "$getWorkflowStaticData", "require", nodeOf("code").parameters.jsCode);
  const given = [{ first: () => item }, env, (kind) => (kind === "global" ? memory : undefined), require];
  const [out, ...more] = await code.apply({ helpers }, given);
  assert.deepEqual(more, []);
  return out.json;
}

test.beforeEach((t) => t.mock.timers.enable({ apis: ["Date"], now: NOW * 1000 }));

test("the workflow holds verify.js as it is", () => {
  assert.equal(nodeOf("code").parameters.jsCode, readFileSync(join(__dirname, "../verify.js"), "utf8"));
});

test("every connection leads from a node to a node, and every node is reached from the webhook", () => {
  const names = workflow.nodes.map((node) => node.name);
  assert.equal(new Set(names).size, names.length);
  assert.equal(new Set(workflow.nodes.map((node) => node.id)).size, names.length);
  const reached = new Set([nodeOf("webhook").name]);
  for (const name of reached) {
    assert.ok(names.includes(name), name);
    for (const { node, type, index } of workflow.connections[name]?.main.flat() ?? []) {
      assert.deepEqual([type, index], ["main", 0]);
      reached.add(node);
    }
  }
  assert.deepEqual([...reached].sort(), [...names].sort());
});

test("the nodes are of the types and versions that n8n 2 knows", () => {
  const versions = Object.fromEntries(workflow.nodes.map((node) => [node.type, node.typeVersion]));
  assert.deepEqual(versions, {
    "n8n-nodes-base.webhook": 2.1,
    "n8n-nodes-base.code": 2,
    "n8n-nodes-base.respondToWebhook": 1.5,
    "n8n-nodes-base.if": 2.3,
    "n8n-nodes-base.noOp": 1,
  });
});

test("the raw body is kept, and the answer is the code's status and comes before the work", () => {
  const { parameters } = nodeOf("webhook");
  assert.deepEqual([parameters.httpMethod, parameters.responseMode], ["POST", "responseNode"]);
  assert.equal(parameters.options.rawBody, true);
  assert.equal(nodeOf("respondToWebhook").parameters.options.responseCode, "={{ $json.status }}");
  assert.equal(workflow.connections[nodeOf("code").name].main[0][0].node, nodeOf("respondToWebhook").name);
  assert.equal(nodeOf("if").parameters.conditions.conditions[0].leftValue, "={{ $json.isNew }}");
});

test("the workflow holds no secret", () => {
  assert.ok(!/whsec_[A-Za-z0-9+/]/.test(JSON.stringify(workflow)));
});

test("the standard's own vector is accepted", async () => {
  assert.deepEqual(await verify(VECTOR), { status: 200, isNew: true, event: { test: 2432232314 } });
});

test("a repeat is accepted and not new", async () => {
  const memory = {};
  const answers = [];
  for (const id of ["evt_1", "evt_1", "evt_2"]) {
    const { status, isNew } = await verify(signed("{}", { id }), memory);
    answers.push([status, isNew]);
  }
  assert.deepEqual(answers, [[200, true], [200, false], [200, true]]);
});

test("what is not genuine is refused, and not remembered", async () => {
  const good = signed('{"runId":"run_1"}');
  const bad = {
    "another secret": signed(good.body, { secret: "whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }),
    "too old": signed(good.body, { at: NOW - 301 }),
    "from the future": signed(good.body, { at: NOW + 301 }),
    "a changed byte": { ...good, body: '{"runId":"run_2"}' },
    "another id": { ...good, id: "evt_2" },
    "no signature": { ...good, signature: undefined },
    "no base64": { ...good, signature: "v1,%%%" },
    "no comma": { ...good, signature: "v1" },
    "no timestamp": { ...good, timestamp: undefined },
    "another version": { ...good, signature: good.signature.replace("v1", "v9") },
  };
  const memory = {};
  for (const [what, request] of Object.entries(bad)) {
    assert.deepEqual(await verify(request, memory), { status: 401, isNew: false }, what);
  }
  assert.deepEqual(memory, {});
});

test("one right signature among others is enough", async () => {
  const signature = `v9,AAAA v1,AAAA ${VECTOR.signature}`;
  assert.equal((await verify({ ...VECTOR, signature })).status, 200);
});

test("a mebibyte is accepted, and what is no JSON is refused with 400", async () => {
  const large = JSON.stringify({ summary: "整".repeat(2 ** 20 / 3) });
  assert.equal((await verify(signed(large))).status, 200);
  assert.equal((await verify(signed("{"))).status, 400);
});

test("the memory is bounded and forgets the oldest first", async () => {
  const memory = { ids: Array.from({ length: 1000 }, (_, index) => `evt_${index}`) };
  await verify(signed("{}", { id: "new" }), memory);
  assert.deepEqual([memory.ids.length, memory.ids[0], memory.ids.at(-1)], [1000, "evt_1", "new"]);
});

test("without a secret the execution fails, so that nothing is believed", async () => {
  await assert.rejects(verify(VECTOR, {}, {}), /CLAWHOOK_WEBHOOK_SECRET/);
});
