import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { assertMatches } from '../support/matcher.js';
import { type Login, type Over, startTestServer, type TestServer } from '../support/operations-server.js';

interface Case {
	name: string;
	auth: Login;
	request: { method: string; path: string; headers: Record<string, string>; json?: unknown; raw?: string };
	expect: { status: number; json: unknown };
	transport?: Over;
}

// The compiled test lies below dist; the cases are data beside the source.
const file = new URL('../../../test/support/contract-cases.json', import.meta.url);
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
