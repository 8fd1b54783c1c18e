import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { operations } from '../../../src/operations/table.js';
import type { Role } from '../../../src/operations/types.js';
import { accessOf, type CallerName, doors } from '../../support/operations/doors.js';
import { assertMatches } from '../../support/operations/matcher.js';
import {
	admin,
	bob,
	type Login,
	namesOf,
	type Over,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';

interface Case {
	name: string;
	auth: Login;
	request: { method: string; path: string; headers: Record<string, string>; json?: unknown; raw?: string };
	expect: { status: number; json: unknown };
	transport?: Over;
}

// The compiled test lies below dist; the cases are data beside the source.
const file = new URL('../../../../test/support/operations/contract-cases.json', import.meta.url);
const { cases } = JSON.parse(await readFile(file, 'utf8')) as { cases: Case[] };
const overs: readonly Over[] = ['http', 'socket'];

for (const over of overs) {
	describe(`the contract's cases over ${over}`, () => {
		let server: TestServer;
		before(async () => {
			server = await startTestServer();
		});
		after(() => server.close());

		for (const { name, auth, request, expect, transport } of cases) {
			if (transport !== undefined && transport !== over) continue;
			test(name, async () => {
				const reply = await server.ask(over, { ...request, login: auth });
				assert.equal(reply.status, expect.status, reply.body);
				if (expect.json !== null) assertMatches(JSON.parse(reply.body), expect.json);
			});
		}
	});
}

test('both transports answer the same bytes', async (context) => {
	const server = await startTestServer();
	context.after(() => server.close());
	for (const { name, auth, request, transport } of cases) {
		// Answers that carry a time or an id differ between two runs of one transport, too.
		if (transport !== undefined || /set_status|restart_service cl|get_status/.test(name)) continue;
		const [http, socket] = await Promise.all(overs.map((over) => server.ask(over, { ...request, login: auth })));
		assert.deepEqual(
			{ ...http, headers: { ...http?.headers, date: '' } },
			{ ...socket, headers: { ...socket?.headers, date: '' } },
			name,
		);
	}
});

const oscar: Login = { basic: ['oscar', 'oscar-password-1'] };

/** How each caller shows who it is. */
async function loginsOn(server: TestServer): Promise<Record<CallerName, Login>> {
	const bearersOf = async (login: Login): Promise<{ operation: Login; refresh: Login }> => {
		const json = { operation: 'create_authentication_tokens' };
		const { body } = await server.ask('http', { login, json });
		const tokens = JSON.parse(body) as { operation_token: string; refresh_token: string };
		return { operation: { bearer: tokens.operation_token }, refresh: { bearer: tokens.refresh_token } };
	};
	const apiToken = async (role: Role): Promise<Login> => {
		const json = { operation: 'create_token', name: `ci-${role}`, role };
		const { body } = await server.ask('http', { login: admin, json });
		return { bearer: (JSON.parse(body) as { token: string }).token };
	};
	await server.access.users.add({ ...namesOf(oscar), role: 'operator', active: true });
	const [ofAdmin, ofOscar, ofBob] = [await bearersOf(admin), await bearersOf(oscar), await bearersOf(bob)];
	return {
		nothing: null,
		socket: null,
		super_user: admin,
		super_user_token: ofAdmin.operation,
		super_user_api_token: await apiToken('super_user'),
		operator: oscar,
		operator_token: ofOscar.operation,
		operator_api_token: await apiToken('operator'),
		viewer: bob,
		viewer_token: ofBob.operation,
		viewer_api_token: await apiToken('viewer'),
		refresh_token: ofAdmin.refresh,
	};
}

/** Without credentials a caller is the socket's or nobody, by where it comes from. */
const oversOf = (who: CallerName): readonly Over[] =>
	who === 'socket' ? ['socket'] : who === 'nothing' ? ['http'] : overs;

test('over both transports every operation lets in exactly the callers that the contract names', async (context) => {
	const server = await startTestServer();
	context.after(() => server.close());
	const logins = Object.entries(await loginsOn(server)) as [CallerName, Login][];
	for (const { name } of operations) {
		const door = doors[accessOf[name] ?? 'super_user'];
		for (const [who, login] of logins) {
			for (const over of oversOf(who)) {
				// Nothing is done: a field that no operation has is found only behind the door.
				const { status, body } = await server.ask(over, { login, json: { operation: name, no_such_field: 1 } });
				assert.equal(status === 400 ? 'in' : status, door[who], `${who} asks ${name} over ${over}: ${body}`);
			}
		}
	}
});
