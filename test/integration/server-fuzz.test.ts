import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RollcallError } from '../../src/errors.js';
import { dispatch } from '../../src/operations/dispatch.js';
import type { Caller } from '../../src/operations/types.js';
import { parseJson } from '../../src/server/json.js';
import { bodies, mutated } from '../support/fuzz-bodies.js';
import { admin, authorizationOf, bob, startTestServer, type TestServer } from '../support/operations-server.js';

/** The number of inputs to each of the tests below; more by command: FUZZ_RUNS=500000. */
const runs = Number(process.env['FUZZ_RUNS'] ?? 10_000);
const seed = process.env['FUZZ_SEED'] === undefined ? {} : { seed: Number(process.env['FUZZ_SEED']) };

const at = { transport: 'http', address: '127.0.0.1' } as const;
const callers: readonly Caller[] = [
	{ ...at, by: 'nothing', user: null, role: null },
	{ ...at, by: 'basic', user: 'bob', role: 'viewer' },
	{ ...at, by: 'refresh_token', user: 'bob', role: 'viewer' },
	{ ...at, by: 'operation_token', user: 'admin', role: 'super_user' },
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
		assert.ok(thrown instanceof RollcallError, `${String(thrown)} for ${bytes.toString()}`);
		return thrown.httpStatus;
	}
}

test('whatever body comes from whomever, there is an answer below 500, and nobody changes what their role does not let them', async (context) => {
	const server = await startTestServer();
	context.after(() => server.close());
	// Hashing would be all that is tested; who may cause it is shown by the matrix of roles.
	server.node.users = {
		list: () => server.access.users.list(),
		add: async () => undefined,
		alter: async () => undefined,
		drop: async () => undefined,
	};
	server.node.logins = { login: async () => Promise.reject(new RollcallError('unauthenticated', 'Login failed')) };
	for (const [name, arbitrary] of [
		['whole', bodies.map((text) => Buffer.from(text))],
		['mutated', mutated],
	] as const) {
		await fc.assert(
			fc.asyncProperty(fc.constantFrom(...callers), arbitrary, async (caller, bytes) => {
				const mayChange = caller.by === 'operation_token';
				const before = mayChange ? '' : stateOf(server);
				const status = await statusOf(server, caller, bytes);
				assert.ok(status < 500, `${status} for ${bytes.toString()}`);
				if (!mayChange) assert.equal(stateOf(server), before, name);
				// What super_users start must not grow the test itself.
				if (server.fleet.views.size > 20) server.fleet.views.clear();
			}),
			{ numRuns: runs, ...seed },
		);
	}
});

test('whatever stands in Authorization, the caller is refused or is nobody, and the memory of failures stays bounded', async (context) => {
	const server = await startTestServer();
	context.after(() => server.close());
	const good = [authorizationOf(admin) ?? '', authorizationOf(bob) ?? ''];
	const headers = fc.oneof(
		fc.string({ maxLength: 200 }),
		fc
			.tuple(fc.constantFrom('Basic', 'Bearer', 'basic', 'BEARER', 'Digest'), fc.base64String({ maxLength: 60 }))
			.map((pair) => pair.join(' ')),
		fc
			.tuple(fc.constantFrom(...good), fc.nat(60), fc.string({ minLength: 1, maxLength: 2 }))
			.map(([text, where, inserted]) => text.slice(0, where) + inserted + text.slice(where + 1)),
	);
	await fc.assert(
		fc.asyncProperty(headers, async (header) => {
			server.clock.now += 61_000;
			try {
				const caller = await server.access.logins.identify(header, 'http', '127.0.0.1');
				const isSame = good.some((text) => decoded(text) === decoded(header));
				assert.ok(caller.by === 'nothing' || isSame, `${header} came in as ${caller.user}`);
			} catch (thrown) {
				assert.ok(thrown instanceof RollcallError && thrown.code === 'unauthenticated', String(thrown));
			}
		}),
		{ numRuns: Math.ceil(runs / 10), ...seed },
	);
});

/** Base64 has several spellings of the same bytes. */
const decoded = (header: string): string => Buffer.from(header.replace(/^basic +/i, ''), 'base64').toString('utf8');
