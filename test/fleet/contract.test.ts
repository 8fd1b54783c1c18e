import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { request } from 'node:http';
import { assertMatches } from '../support/operations/matcher.js';
import { admin, makeFleet, type RealFleet, type RealNode } from '../support/fleet/nodes.js';

interface Case {
	name: string;
	auth: { basic?: [string, string]; bearer?: string } | null;
	request: { method: string; path: string; headers: Record<string, string>; json?: unknown; raw?: string };
	expect: { status: number; json: unknown };
	transport?: 'http' | 'socket';
}

// The compiled test lies below dist; the cases are data beside the source.
const file = new URL('../../../test/support/operations/contract-cases.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

const users = [
	{ username: 'bob', password: 'bob-password-1', role: 'viewer', active: true },
	{ username: 'sam', password: 'sam-password-1', role: 'super_user', active: false },
];

function authorization(auth: Case['auth']): Record<string, string> {
	if (auth?.bearer !== undefined) return { authorization: `Bearer ${auth.bearer}` };
	if (auth?.basic === undefined) return {};
	return { authorization: `Basic ${Buffer.from(auth.basic.join(':')).toString('base64')}` };
}

function ask(node: RealNode, over: 'http' | 'socket', { auth, request: wanted }: Case) {
	const place =
		over === 'socket' ? { socketPath: node.socketPath } : { host: '127.0.0.1', port: node.ports.operations };
	const headers = { host: 'localhost', ...wanted.headers, ...authorization(auth) };
	return new Promise<{ status: number; body: string }>((resolve, reject) => {
		const asked = request({ ...place, method: wanted.method, path: wanted.path, headers }, (response) => {
			let body = '';
			response.setEncoding('utf8').on('data', (part: string) => {
				body += part;
			});
			response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
		});
		asked.once('error', reject);
		asked.end(wanted.raw ?? JSON.stringify(wanted.json));
	});
}

for (const over of ['http', 'socket'] as const) {
	describe(`a real daemon answers the contract's cases over ${over}`, () => {
		let fleet: RealFleet;
		before(async () => {
			fleet = await makeFleet([{ name: 'alpha' }]);
			await fleet.start();
			for (const user of users) assert.equal((await fleet.node('alpha').call('add_user', user)).status, 200);
		});
		after(() => fleet.end());

		for (const one of cases) {
			if (one.transport !== undefined && one.transport !== over) continue;
			test(one.name, async () => {
				assert.equal(admin.password, 'correct-horse-battery');
				const { status, body } = await ask(fleet.node('alpha'), over, one);
				assert.equal(status, one.expect.status, body);
				if (one.expect.json !== null) assertMatches(JSON.parse(body), one.expect.json);
			});
		}
	});
}
