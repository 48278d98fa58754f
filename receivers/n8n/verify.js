// Verifies the Standard Webhooks signature of the raw body, and tells new events from repeats.
const { createHmac, timingSafeEqual } = require('crypto');

const TOLERANCE_SECONDS = 5 * 60;
const REMEMBERED_IDS = 1000;

const key = secretKey($env.CLAWHOOK_WEBHOOK_SECRET);
const { headers } = $input.first().json;
const body = await this.helpers.getBinaryDataBuffer(0, 'data');

if (!isFresh(headers['webhook-timestamp']) || !isSigned()) {
  return [{ json: { status: 401, isNew: false } }];
}
const event = parsed(body);
if (event === undefined) {
  return [{ json: { status: 400, isNew: false } }];
}

// n8n keeps this with the workflow, once the execution has ended; test executions are not remembered.
const memory = $getWorkflowStaticData('global');
const known = memory.ids ?? [];
const id = headers['webhook-id'];
const isNew = !known.includes(id);
if (isNew) {
  memory.ids = [...known, id].slice(-REMEMBERED_IDS);
}
return [{ json: { status: 200, isNew, event } }];

function secretKey(secret) {
  if (!secret?.startsWith('whsec_')) {
    throw new Error('set CLAWHOOK_WEBHOOK_SECRET to the signing secret, whsec_…');
  }
  return Buffer.from(secret.slice('whsec_'.length), 'base64');
}

function isFresh(timestamp) {
  return /^\d+$/.test(timestamp ?? '') && Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS;
}

function isSigned() {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.`;
  const expected = createHmac('sha256', key).update(signed).update(body).digest();
  // While a secret is being changed there are several signatures; one that matches is enough.
  return (headers['webhook-signature'] ?? '').split(' ').some((signature) => {
    const [version, encoded] = signature.split(',');
    const offered = Buffer.from(encoded ?? '', 'base64');
    return version === 'v1' && offered.length === expected.length && timingSafeEqual(offered, expected);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text.toString('utf8'));
  } catch {
    return undefined;
  }
}
