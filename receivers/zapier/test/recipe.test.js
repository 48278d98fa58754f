const assert = require("node:assert/strict");
const { createHmac } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");

const AsyncFunction = (async () => {}).constructor;
const recipe = readFileSync(join(__dirname, "../README.md"), "utf8");
const [storeCode, verifyCode] = [...recipe.matchAll(/^ *```js\n([^]*?)^ *```$/gm)].map(([, code]) => code);

// The vector that the standard publishes.
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW = 1_614_265_330;
const VECTOR = {
  id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
  timestamp: String(NOW),
  signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  rawBody: '{"test": 2432232314}',
};

/** Zapier's store, as far as the recipe uses it. */
function storage(content = { clawhook_signing_secret: SECRET }) {
  const StoreClient = (secret) => {
    assert.equal(secret, "YOUR-STORE-SECRET");
    return { get: async (name) => content[name] ?? null, set: async (name, value) => void (content[name] = value) };
  };
  return { content, StoreClient };
}

/** Runs a code step as Zapier does: inside an async function, with its input data. */
function run(code, inputData, { StoreClient } = storage()) {
  return new AsyncFunction("inputData", "StoreClient", "require", code)(inputData, StoreClient, require);
}

function signed(rawBody, { id = "evt_1", at = NOW, secret = SECRET } = {}) {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${at}.${rawBody}`).digest("base64");
  return { id, timestamp: String(at), signature: `v1,${signature}`, rawBody };
}

test.beforeEach((t) => t.mock.timers.enable({ apis: ["Date"], now: NOW * 1000 }));

test("the first step of code stores what the second one reads", async () => {
  const store = storage({});
  await run(storeCode.replace("whsec_…", SECRET), {}, store);
  assert.equal((await run(verifyCode, VECTOR, store)).isNew, true);
});

test("an event is handed on with what the next steps show", async () => {
  const event = { jobName: "daily", status: "ok", summary: "整理今日重點", runId: "run_1", more: 1 };
  assert.deepEqual(await run(verifyCode, signed(JSON.stringify(event))), {
    isNew: true,
    jobName: "daily",
    status: "ok",
    text: "整理今日重點",
    runId: "run_1",
  });
  const failed = { jobName: "daily", status: "error", error: "it broke", runId: "run_2" };
  assert.equal((await run(verifyCode, signed(JSON.stringify(failed)))).text, "it broke");
});

test("a repeat is not new", async () => {
  const store = storage();
  const news = [];
  for (const id of ["evt_1", "evt_1", "evt_2"]) {
    news.push((await run(verifyCode, signed("{}", { id }), store)).isNew);
  }
  assert.deepEqual(news, [true, false, true]);
});

test("what is not genuine is stopped, without an error and without being remembered", async () => {
  const good = signed('{"runId":"run_1"}');
  const bad = {
    "another secret": signed(good.rawBody, { secret: "whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }),
    "too old": signed(good.rawBody, { at: NOW - 86_401 }),
    "from the future": signed(good.rawBody, { at: NOW + 86_401 }),
    "a changed byte": { ...good, rawBody: '{"runId":"run_2"}' },
    "another id": { ...good, id: "evt_2" },
    "no base64": { ...good, signature: "v1,%%%" },
    "no comma": { ...good, signature: "v1" },
    "nothing at all": {},
  };
  const store = storage();
  for (const [what, inputData] of Object.entries(bad)) {
    assert.deepEqual(await run(verifyCode, inputData, store), { isNew: false, why: "not genuine" }, what);
  }
  assert.deepEqual(Object.keys(store.content), ["clawhook_signing_secret"]);
});

test("one right signature among others is enough", async () => {
  const signature = `v9,AAAA v1,AAAA ${VECTOR.signature}`;
  assert.equal((await run(verifyCode, { ...VECTOR, signature })).isNew, true);
});

test("a mebibyte is handed on", async () => {
  const { text } = await run(verifyCode, signed(JSON.stringify({ summary: "x".repeat(2 ** 20) })));
  assert.equal(text.length, 2 ** 20);
});

test("the memory is bounded and forgets the oldest first", async () => {
  const ids = Array.from({ length: 300 }, (_, index) => `evt_${index}`);
  const store = storage({ clawhook_signing_secret: SECRET, clawhook_ids: ids });
  await run(verifyCode, signed("{}", { id: "new" }), store);
  const known = store.content.clawhook_ids;
  assert.deepEqual([known.length, known[0], known.at(-1)], [300, "evt_1", "new"]);
});

test("without a secret in the store the step fails, so that nothing is believed", async () => {
  await assert.rejects(run(verifyCode, VECTOR, storage({})), /not in the store/);
});
