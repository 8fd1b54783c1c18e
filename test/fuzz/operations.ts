import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { RollcallError } from '../../src/errors.js';
import { dispatch } from '../../src/operations/dispatch.js';
import type { Caller } from '../../src/operations/types.js';
import { openAccess } from '../../src/server/access/access.js';
import { parseJson } from '../../src/server/request/strict-json.js';
import { bodies } from '../support/operations/fuzz-bodies.js';
import {
	admin,
	authorizationOf,
	bob,
	namesOf,
	startTestServer,
	type TestServer,
} from '../support/operations/operations-server.js';
import { type FuzzKind, mutate, seeded, shown } from './kind.js';

const at = { transport: 'http', address: '127.0.0.1' } as const;
const generation = 'as it was';
const callers: readonly Caller[] = [
	{ ...at, by: 'nothing', user: null, role: null },
	{ ...at, by: 'basic', user: 'bob', role: 'viewer', generation },
	{ ...at, by: 'refresh_token', user: 'bob', role: 'viewer', generation },
	{ ...at, by: 'operation_token', user: 'admin', role: 'super_user', generation },
];

/** Everything that an operation can change. */
const stateOf = ({ node, fleet }: TestServer): string =>
	JSON.stringify([
		node.statuses.list(),
		node.users.list(),
		fleet.requests.length,
		fleet.admitted.length,
		[...fleet.views.values()].map(({ state }) => state),
	]);

/** The status that a body would be answered with. */
async function statusOf(server: TestServer, caller: Caller, bytes: Buffer): Promise<number> {
	const parsed = parseJson(bytes);
	if (!parsed.ok) return 400;
	try {
		const outcome = dispatch(server.node, { caller, body: parsed.value, follow: false });
		if (outcome.kind === 'answer') JSON.stringify(await outcome.body);
		return 200;
	} catch (thrown) {
		assert.ok(thrown instanceof RollcallError, `${String(thrown)} for ${shown(bytes)}`);
		return thrown.httpStatus;
	}
}

/** Made-up bodies of a nearly right shape, and the bytes of such ones changed; from every kind of caller. */
export const operationBodies: FuzzKind = {
	name: 'bodies of operations',
	perMille: 380,
	async run(inputs, seed) {
		const server = await startTestServer();
		// Hashing would be all that is tested; who may cause it is shown by the matrix of roles.
		server.node.users = {
			list: () => server.access.users.list(),
			add: async () => undefined,
			alter: async () => undefined,
			drop: async () => undefined,
		};
		server.node.logins = { login: async () => Promise.reject(new RollcallError('unauthenticated', 'Login failed')) };
		const random = seeded(seed);
		const made = fc.sample(bodies, { numRuns: Math.ceil(inputs / 4), seed }).map((text) => Buffer.from(text));
		try {
			for (let input = 0; input < inputs; input++) {
				const bytes = made[input] ?? mutate(random, made);
				const caller = random.pick(callers);
				const mayChange = caller.by === 'operation_token';
				const before = mayChange ? '' : stateOf(server);
				const status = await statusOf(server, caller, bytes);
				assert.ok(status < 500, `${status} for ${shown(bytes)}`);
				if (!mayChange) assert.equal(stateOf(server), before, `changed by ${caller.by}: ${shown(bytes)}`);
				// What super_users start must not grow the fuzzing itself.
				if (server.fleet.views.size > 20) server.fleet.views.clear();
				if (server.fleet.requests.length > 20) server.fleet.requests.length = 0;
				if (server.fleet.admitted.length > 20) server.fleet.admitted.length = 0;
			}
		} finally {
			await server.close();
		}
	},
};

/** Bytes on real connections, from callers that may change nothing. */
export const requestBytes: FuzzKind = {
	name: 'bytes of HTTP requests',
	perMille: 150,
	async run(inputs, seed) {
		const server = await startTestServer({ limits: { headersMs: 2_000, requestMs: 2_000, checkMs: 100 } });
		const random = seeded(seed);
		const samples = requestSamples(server, fc.sample(bodies, { numRuns: 200, seed }));
		const before = stateOf(server);
		const batch = 25;
		const parallel = 8;
		const give = async (share: number): Promise<void> => {
			for (let given = 0; given < share; given += batch) {
				// Failed logins are told apart from whatever else is wrong only while they are not too many.
				server.clock.now += 61_000;
				const requests = Array.from({ length: Math.min(batch, share - given) }, () => mutate(random, samples));
				const answers = await exchange(server, Buffer.concat(requests));
				for (const [, status] of answers.matchAll(/^HTTP\/1\.1 (\d{3})/gm)) {
					assert.ok(Number(status) < 500, `${status} for ${shown(Buffer.concat(requests))}`);
				}
				assert.equal(stateOf(server), before, `changed by ${shown(Buffer.concat(requests))}`);
			}
		};
		try {
			await Promise.all(Array.from({ length: parallel }, () => give(Math.ceil(inputs / parallel))));
			const alive = await server.ask('http', { login: admin, json: { operation: 'get_status' } });
			assert.equal(alive.status, 200, alive.body);
		} finally {
			await server.close();
		}
	},
};

function requestSamples(server: TestServer, texts: readonly string[]): Buffer[] {
	const logins = [null, bob, { basic: ['admin', 'wrong'] } as const, { bearer: 'a.b.c' }];
	const port = server.server.addresses.http?.port;
	const heads = [
		'POST /',
		'GET /readyz',
		'GET /readyz/web',
		'GET /openapi.json',
		'GET /metrics',
		'PUT /x',
		'GET /livez',
	];
	return texts.map((text, index) => {
		const login = logins[index % logins.length] ?? null;
		const authorization = authorizationOf(login);
		const head = index % 3 === 0 ? (heads[index % heads.length] ?? '') : 'POST /';
		return Buffer.from(
			`${head} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
				`${authorization === null ? '' : `Authorization: ${authorization}\r\n`}` +
				`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
		);
	});
}

/** Writes everything, then nothing more; answers all that came until the connection ended. */
function exchange(server: TestServer, bytes: Buffer): Promise<string> {
	return new Promise((resolve) => {
		let received = '';
		const socket = connect(server.server.addresses.http?.port ?? 0, '127.0.0.1', () => socket.end(bytes));
		socket.setEncoding('latin1');
		socket.on('data', (text: string) => {
			received += text;
		});
		// A server that has heard enough may cut the connection.
		socket.on('error', () => undefined);
		socket.once('close', () => resolve(received));
	});
}

/** Authorization headers: made-up ones, and good ones changed. */
export const credentials: FuzzKind = {
	name: 'credentials',
	perMille: 60,
	async run(inputs, seed) {
		const folder = await mkdtemp(join(tmpdir(), 'rc-fuzz-'));
		const clock = { now: Date.now() };
		try {
			const access = await openAccess({
				stateDir: folder,
				admin: namesOf(admin),
				now: () => clock.now,
				cost: { log2n: 1, r: 1, p: 1 },
			});
			await access.users.add({ ...namesOf(bob), role: 'viewer', active: true });
			const good = [admin, bob].map((login) => authorizationOf(login) ?? '');
			const owner = access.users.find('bob');
			assert.ok(owner);
			const tokens = [await access.tokens.operation(owner), await access.tokens.refresh(owner)].map(
				(one) => `Bearer ${one}`,
			);
			const made = fc.sample(headers, { numRuns: Math.ceil(inputs / 4), seed });
			const samples = [...good, ...tokens].map((text) => Buffer.from(text, 'latin1'));
			const random = seeded(seed);
			for (let input = 0; input < inputs; input++) {
				clock.now += 61_000;
				// Half of a header's characters are beyond ASCII, as node:http hands them on.
				const header = made[input] ?? mutate(random, samples).toString('latin1');
				await assertRefused(header, [...good, ...tokens], async () =>
					access.logins.identify(header, 'http', '127.0.0.1'),
				);
			}
		} finally {
			await rm(folder, { recursive: true, force: true });
		}
	},
};

const headers = fc.oneof(
	fc.string({ maxLength: 200 }),
	fc
		.tuple(fc.constantFrom('Basic', 'Bearer', 'basic', 'BEARER', 'Digest'), fc.base64String({ maxLength: 60 }))
		.map((pair) => pair.join(' ')),
);

async function assertRefused(header: string, good: readonly string[], identify: () => Promise<Caller>): Promise<void> {
	try {
		const caller = await identify();
		const isSame = good.some((text) => decoded(text) === decoded(header));
		assert.ok(caller.by === 'nothing' || isSame, `${JSON.stringify(header)} came in as ${caller.user}`);
	} catch (thrown) {
		assert.ok(
			thrown instanceof RollcallError && thrown.code === 'unauthenticated',
			`${String(thrown)} for ${JSON.stringify(header)}`,
		);
	}
}

/** Base64 has several spellings of the same bytes, in each part of a token, too. */
const decoded = (header: string): string => {
	const value = header.replace(/^(basic|bearer) +/i, '');
	return value
		.split('.')
		.map((part) => Buffer.from(part, 'base64').toString('latin1'))
		.join('\n');
};
