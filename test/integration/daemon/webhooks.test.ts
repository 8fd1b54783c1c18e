/** What addresses are told of a rollout: signed, once, in order, by the node that coordinates, and never in the rollout's way. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { rolloutEvents } from '../../../src/config/schema.js';
import { Webhooks, type WebhooksOptions } from '../../../src/daemon/telling/webhooks.js';
import type { RolloutView } from '../../../src/rollout/types.js';

const secret = 'a secret of more than thirty-two bytes';
let server: Server;
let url = '';
let got: { headers: IncomingHttpHeaders; body: string }[] = [];
/** What the server answers, the last one for ever; 0 breaks the connection off. */
let answers: number[] = [];
const arrived = new EventEmitter();

before(async () => {
	server = createServer(async (request, response) => {
		let body = '';
		for await (const part of request) body += String(part);
		got.push({ headers: request.headers, body });
		const status = answers.length > 1 ? answers.shift() : answers[0];
		if (status === 0) request.socket.destroy();
		else response.writeHead(status ?? 204, { location: 'http://127.0.0.1:1/elsewhere' }).end('x'.repeat(10));
		arrived.emit('one');
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/TOKEN`;
});
after(() => server.close());
beforeEach(() => {
	got = [];
	answers = [204];
});

const view = (change: Partial<RolloutView>): RolloutView =>
	({
		id: '12345678-aaaa',
		type: 'restart_service',
		service: 'http_workers',
		app: null,
		user: 'ci',
		state: 'running',
		reason: null,
		coordinator: 'alpha',
		nodes: ['alpha', 'beta'].map((node) => ({ node, state: 'pending', attempt: 1 })),
		held: false,
		...change,
	}) as RolloutView;

function hooked(options: Partial<WebhooksOptions> = {}, known: RolloutView[] = []) {
	const fleet = Object.assign(new EventEmitter(), { list: () => known, complaint: () => null });
	const lines: Record<string, unknown>[] = [];
	const given = new EventEmitter();
	const logger = {
		warn: (line: Record<string, unknown>) => {
			lines.push(line);
			given.emit('up');
		},
	};
	const webhook = { url, events: rolloutEvents, secret: () => secret };
	const webhooks = new Webhooks({
		fleet: fleet as never,
		node: 'alpha',
		webhooks: [webhook],
		logger: logger as never,
		pausesMs: [1, 1],
		...options,
	});
	return { fleet, lines, given, webhooks, webhook };
}

const events = (): string[] => got.map(({ body }) => (JSON.parse(body) as { event: string }).event);

async function until(count: number): Promise<void> {
	while (got.length < count) await once(arrived, 'one');
}

test('start, hold, halt and end are told once each, in order, with the signature of the body', async () => {
	const { fleet, webhooks } = hooked();
	const held = view({ state: 'paused', held: true, reason: 'held after 1 of 2 nodes' });
	for (const one of [view({}), view({ waiting_for: 'beta' }), held, held, view({}), view({ state: 'halted' })])
		fleet.emit('rollout', one);
	fleet.emit('rollout', view({ state: 'running' }));
	fleet.emit('rollout', view({ state: 'completed' }));
	await until(4);
	assert.deepEqual(events(), ['started', 'held', 'halted', 'completed']);
	const ids = got.map(({ headers }) => headers['webhook-id']);
	assert.equal(new Set(ids).size, 4);
	for (const { headers, body } of got) {
		const mac = createHmac('sha256', secret)
			.update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
			.digest('base64');
		assert.equal(headers['webhook-signature'], `v1,${mac}`);
		assert.equal(headers['content-type'], 'application/json');
	}
	const { text, node, rollout } = JSON.parse(got[1]?.body ?? '') as {
		text: string;
		node: string;
		rollout: RolloutView;
	};
	assert.equal(
		text,
		'Rollcall: rollout 12345678 (http_workers) held, 0 of 2 nodes back, asked for by ci: held after 1 of 2 nodes',
	);
	assert.deepEqual([node, rollout.state], ['alpha', 'paused']);
	webhooks.close();
});

test('a follower tells nothing, and tells only what comes after it has taken over', async () => {
	const { fleet, webhooks } = hooked();
	fleet.emit('rollout', view({ coordinator: 'beta' }));
	fleet.emit('rollout', view({ coordinator: 'beta', state: 'paused', held: true }));
	fleet.emit('rollout', view({ state: 'paused', held: true }));
	fleet.emit('rollout', view({ state: 'aborted' }));
	await until(1);
	assert.deepEqual(events(), ['aborted']);
	webhooks.close();
});

test('what had happened before the daemon started is not told again', async () => {
	const { fleet, webhooks } = hooked({}, [view({})]);
	fleet.emit('rollout', view({ waiting_for: 'beta' }));
	fleet.emit('rollout', view({ state: 'completed' }));
	await until(1);
	assert.deepEqual(events(), ['completed']);
	webhooks.close();
});

test('an address has the events that it asks for', async () => {
	const { webhook } = hooked();
	const { fleet, webhooks } = hooked({ webhooks: [{ ...webhook, events: ['halted'] }] });
	fleet.emit('rollout', view({}));
	fleet.emit('rollout', view({ state: 'halted' }));
	await until(1);
	assert.deepEqual(events(), ['halted']);
	webhooks.close();
});

const refusals: [what: string, answers: number[], tries: number, reason: RegExp][] = [
	['answers 500 and then 204', [500, 204], 2, /^$/],
	['breaks off and then answers', [0, 204], 2, /^$/],
	['answers 503 always', [503], 3, /it answered 503/],
	['answers 401: it is not tried again', [401], 1, /it answered 401/],
	['answers 429 and then 204', [429, 204], 2, /^$/],
	['redirects: it is not followed', [302], 1, /it answered 302/],
];

for (const [what, status, tries, reason] of refusals)
	test(`an address that ${what}: ${tries} ${tries === 1 ? 'try' : 'tries'}, and the next event comes after it`, async () => {
		answers = [...status];
		const { fleet, lines, given, webhooks } = hooked();
		fleet.emit('rollout', view({}));
		await until(tries);
		if (reason.source !== '^$') {
			while (lines.length === 0) await once(given, 'up');
			assert.match(String(lines[0]?.['reason']), reason);
			assert.equal(JSON.stringify(lines).includes('TOKEN'), false, 'a URL is often a secret of its own');
		} else assert.deepEqual(lines, []);
		answers = [204];
		fleet.emit('rollout', view({ state: 'completed' }));
		await until(tries + 1);
		assert.deepEqual(events().slice(-2), ['started', 'completed']);
		webhooks.close();
	});

test('a reason that a release wrote starts no mention, link or line of its own, and is bounded', async () => {
	const { fleet, webhooks } = hooked();
	const reason = `beta refused: <!channel> @everyone\n\u001b[31m<https://evil.example|click>${'x'.repeat(5_000)}`;
	fleet.emit('rollout', view({ state: 'halted', reason }));
	await until(1);
	const { text } = JSON.parse(got[0]?.body ?? '') as { text: string };
	assert.doesNotMatch(text, /[<>\p{Cc}]|@everyone/u);
	assert.ok(text.length < 1_300, String(text.length));
	webhooks.close();
});

test('an address that never answers is left when the daemon closes', async () => {
	const silent = createServer(() => undefined).listen(0, '127.0.0.1');
	await once(silent, 'listening');
	const { port } = silent.address() as AddressInfo;
	const { webhook } = hooked();
	const { fleet, webhooks } = hooked({ webhooks: [{ ...webhook, url: `http://127.0.0.1:${port}/` }] });
	const asked = once(silent, 'request');
	fleet.emit('rollout', view({}));
	await asked;
	webhooks.close();
	await new Promise((resolve) => silent.close(resolve));
});
