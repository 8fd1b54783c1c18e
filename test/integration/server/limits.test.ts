import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
	admin,
	authorizationOf,
	bob,
	type Over,
	type Reply,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';
import { RawClient } from '../../support/server/raw-client.js';

const json = { operation: 'get_status' };
const errorOf = (reply: Reply): string => (JSON.parse(reply.body) as { error: string }).error;
const overs: readonly Over[] = ['http', 'socket'];
const head = (lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
const authorization = `Authorization: ${authorizationOf(admin)}`;

describe('what a request may be', () => {
	let server: TestServer;
	before(async () => {
		server = await startTestServer();
	});
	after(() => server.close());
	const raw = (over: Over): Promise<RawClient> =>
		RawClient.open(
			over === 'socket'
				? { path: server.server.addresses.socket }
				: { host: '127.0.0.1', port: server.server.addresses.http?.port ?? 0 },
		);

	test('of several faults at once, credentials come first, then content type, size and JSON, then the operation', async () => {
		const wrong = { basic: ['admin', 'wrong'] } as const;
		const big = 'x'.repeat(70_000);
		const xml = { 'content-type': 'application/xml' };
		const type = { 'content-type': 'application/json' };
		const cases: [string, Parameters<TestServer['ask']>[1], number, RegExp][] = [
			['bad credentials before everything', { login: wrong, headers: xml, raw: big }, 401, /^Login failed$/],
			['a bad token before everything', { login: { bearer: 'x' }, headers: xml, raw: '{' }, 401, /^invalid token$/],
			[
				'the content type before the size',
				{ headers: xml, raw: big },
				415,
				/^Unsupported Media Type: application\/xml$/,
			],
			['the content type before JSON', { headers: xml, raw: '{' }, 415, /^Unsupported/],
			[
				'the content type before no credentials',
				{ headers: { 'content-type': 'text/plain' }, raw: '{}' },
				415,
				/: text\/plain$/,
			],
			['a body without a type', { login: admin, raw: '{}' }, 415, /^Unsupported Media Type: none$/],
			['the size before no credentials', { headers: type, raw: big }, 413, /65536 bytes/],
			['JSON before no credentials', { headers: type, raw: '{"operation":' }, 400, /not valid JSON/],
			['an empty body of JSON', { headers: type, raw: '' }, 400, /empty/],
			['no body at all is no operation', {}, 400, /^Request body must include an 'operation' property\.$/],
			[
				'a double key before the operation',
				{ headers: type, raw: '{"operation":"nope","operation":"restart"}' },
				400,
				/twice/,
			],
			[
				'nesting before the operation',
				{ headers: type, raw: `{"operation":"x","a":${'['.repeat(40)}${']'.repeat(40)}}` },
				400,
				/nested deeper/,
			],
			['text that is not UTF-8', { headers: type, raw: Buffer.from([0x22, 0xff, 0x22]) }, 400, /UTF-8/],
			[
				'another charset',
				{ headers: { 'content-type': 'application/json; charset=utf-16' }, raw: '{}' },
				415,
				/utf-16$/,
			],
			['a packed body', { headers: { ...type, 'content-encoding': 'gzip' }, raw: '{}' }, 415, /gzip$/],
		];
		for (const over of overs) {
			for (const [name, ask, status, error] of cases) {
				// Without a header the socket is super_user, which changes nothing before check 3.
				const reply = await server.ask(over, ask);
				assert.equal(reply.status, status, `${name} over ${over}: ${reply.body}`);
				assert.match(errorOf(reply), error, name);
			}
			server.clock.now += 61_000;
		}
	});

	test('a content type may say charset=utf-8 and be written in any case', async () => {
		for (const type of [
			'application/json',
			'application/json; charset=utf-8',
			'Application/JSON;charset="UTF-8"',
			'application/json ; charset=UTF-8',
		]) {
			const reply = await server.ask('http', {
				login: admin,
				headers: { 'content-type': type },
				raw: JSON.stringify(json),
			});
			assert.equal(reply.status, 200, `${type}: ${reply.body}`);
		}
	});

	test('a body of 64 KiB is taken, one byte more is not, whether its length is told before or not', async () => {
		const bodyOf = (bytes: number): string => {
			const empty = JSON.stringify({ ...json, pad: '' });
			return JSON.stringify({ ...json, pad: 'x'.repeat(bytes - empty.length) });
		};
		const type = { 'content-type': 'application/json' };
		for (const over of overs) {
			const fits = await server.ask(over, { login: admin, headers: type, raw: bodyOf(65_536) });
			assert.equal(errorOf(fits), "'pad' is not allowed");
			assert.equal((await server.ask(over, { login: admin, headers: type, raw: bodyOf(65_537) })).status, 413);
			const client = await raw(over);
			client.write(
				head([
					'POST / HTTP/1.1',
					'Host: localhost',
					authorization,
					'Content-Type: application/json',
					'Transfer-Encoding: chunked',
				]),
			);
			client.write(`${(65_537).toString(16)}\r\n${bodyOf(65_537)}\r\n`);
			assert.match((await client.ended()).received, /^HTTP\/1\.1 413 /);
		}
	});

	test('anything but the paths and methods of the contract answers 404 as JSON, whatever comes with it', async () => {
		const asks: Parameters<TestServer['ask']>[1][] = [
			...['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'HEAD', 'TRACE'].map((method) => ({ method })),
			...[
				'/nope',
				'//',
				'/livez/',
				'/readyz/nope',
				'/readyz/',
				'/readyz/web/x',
				'/%zz',
				'/LIVEZ',
				'/.',
				'/metrics/x',
				`/readyz/${'a'.repeat(200)}`,
			].map((path) => ({ method: 'GET', path })),
			{ method: 'POST', path: '/nope', headers: { 'content-type': 'application/xml' }, raw: '<a/>' },
			{ method: 'POST', path: '/nope', login: { basic: ['admin', 'wrong'] as const }, json: {} },
			{ method: 'POST', path: '/livez', json },
			{ method: 'HEAD', path: '/nope' },
		];
		for (const over of overs) {
			for (const ask of asks) {
				const reply = await server.ask(over, ask);
				assert.equal(reply.status, 404, `${ask.method} ${ask.path}: ${reply.body}`);
				if (ask.method !== 'HEAD') assert.equal(typeof errorOf(reply), 'string');
				assert.match(String(reply.headers['content-type']), /^application\/json/);
			}
		}
	});

	test('HEAD is answered as GET is, without a body: load balancers ask so', async () => {
		for (const over of overs) {
			for (const path of ['/livez', '/readyz', '/health']) {
				const [head, get] = [
					await server.ask(over, { method: 'HEAD', path }),
					await server.ask(over, { method: 'GET', path }),
				];
				assert.deepEqual([head.status, head.body], [get.status, ''], path);
				assert.equal(head.headers['content-type'], get.headers['content-type']);
			}
		}
	});

	test('what cannot be read is told in its place: after the answers to the requests before it, and once', async () => {
		const operation = `${head(['POST / HTTP/1.1', 'Host: localhost', authorization, 'Content-Type: application/json', `Content-Length: ${JSON.stringify(json).length}`])}${JSON.stringify(json)}`;
		const chunked = (path: string): string =>
			head([
				`POST ${path} HTTP/1.1`,
				'Host: localhost',
				'Content-Type: application/json',
				'Transfer-Encoding: chunked',
			]);
		const cases: [string, string[], string[]][] = [
			['behind an operation', [`${operation}garbage\r\n\r\n`], ['200', '400']],
			['behind two', [`${operation}${operation}garbage\r\n\r\n`], ['200', '200', '400']],
			['in a body that was not waited for', [chunked('/nope'), 'zz\r\n'], ['404']],
			['in a body that is waited for', [chunked('/'), 'zz\r\n'], ['400']],
			['in a body behind an operation', [`${operation}${chunked('/')}zz\r\n`], ['200', '400']],
			['at first', ['garbage\r\n\r\n'], ['400']],
		];
		for (const over of overs) {
			for (const [what, pieces, expected] of cases) {
				const client = await raw(over);
				for (const piece of pieces) {
					client.write(piece);
					if (pieces.length > 1 && piece !== pieces.at(-1) && expected[0] === '404') await client.until('404');
				}
				const { received } = await client.ended();
				const told = [...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
				assert.deepEqual(told, expected, `${what}, over ${over}: ${received}`);
			}
		}
	});

	test('a web page gets nothing: neither with an Origin nor through a name pointed at loopback, and no CORS header ever', async () => {
		for (const headers of [
			{ origin: 'http://evil.example' },
			{ origin: 'null' },
			{ host: 'evil.example:9925' },
		] as Record<string, string>[]) {
			const replies = [
				await server.ask('http', { login: admin, json, headers }),
				await server.ask('http', {
					method: 'OPTIONS',
					headers: { ...headers, 'access-control-request-method': 'POST' },
				}),
				await server.ask('http', { method: 'GET', path: '/readyz', headers }),
			];
			for (const reply of replies) {
				assert.equal(reply.status, 403, reply.body);
				assert.ok(!Object.keys(reply.headers).some((name) => name.startsWith('access-control')));
			}
		}
		assert.equal((await server.ask('http', { login: admin, json, headers: { host: 'localhost' } })).status, 200);
		assert.equal((await server.ask('socket', { json, headers: { host: 'anything' } })).status, 200);
		assert.equal((await server.ask('socket', { json, headers: { origin: 'http://evil.example' } })).status, 403);
	});

	test('more headers than the bound, or larger ones, are refused', async () => {
		const headers = Object.fromEntries(Array.from({ length: 70 }, (_, at) => [`x-${at}`, '1']));
		assert.equal((await server.ask('http', { login: admin, json, headers })).status, 431);
		assert.equal(
			(await server.ask('http', { login: admin, json, headers: { 'x-long': 'x'.repeat(20_000) } })).status,
			431,
		);
		const client = await raw('http');
		client.write(
			head([
				'POST / HTTP/1.1',
				'Host: localhost',
				...Array.from({ length: 500 }, (_, at) => `x-${at}: 1`),
				authorization,
			]),
		);
		await client.until('HTTP/1.1 431');
		client.destroy();
	});

	test('what is not HTTP is answered as JSON and ended', async () => {
		for (const over of overs) {
			for (const text of [
				'\u0016\u0003\u0001 hello\r\n\r\n',
				'GET\r\n\r\n',
				'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
				'POST / HTTP/1.1\r\n\r\n',
			]) {
				const client = await raw(over);
				client.write(text);
				const { received } = await client.ended();
				assert.match(received, /^HTTP\/1\.1 400 /, JSON.stringify(text));
			}
		}
	});

	test('nothing that a caller can send is answered with a fault of the server, or with a stack', async () => {
		const bodies = [
			'1',
			'"x"',
			'true',
			'[]',
			'{}',
			'{"operation":{}}',
			'{"operation":["get_status"]}',
			'{"operation":"__proto__"}',
			'{"operation":"set_status","id":{"toString":1},"status":[]}',
			'{"operation":"get_rollout","id":"\\u0000"}',
			'{"operation":"resume_rollout","id":"x","skip":[null]}',
		];
		for (const body of bodies) {
			for (const login of [admin, bob, null]) {
				const reply = await server.ask('http', { login, headers: { 'content-type': 'application/json' }, raw: body });
				assert.ok(reply.status >= 400 && reply.status < 500, `${body}: ${reply.status}`);
				assert.doesNotMatch(reply.body, /node:|\.js|at /);
			}
		}
	});

	test('a fault inside is answered without saying anything of the inside', async () => {
		server.node.system.information = async () => {
			throw new Error('secret path /var/lib/rollcall/token.key');
		};
		const reply = await server.ask('http', { login: admin, json: { operation: 'system_information' } });
		assert.equal(reply.status, 500);
		assert.deepEqual(JSON.parse(reply.body), { error: 'Internal error; the log says more.' });
	});

	test('what was answered is observed under a name of the table alone', async () => {
		server.observations.length = 0;
		await server.ask('http', { login: admin, json });
		await server.ask('http', { login: admin, json: { operation: 'made-up' } });
		await server.ask('http', { login: bob, json });
		assert.deepEqual(
			server.observations.map(({ operation, status }) => [operation, status]),
			[
				['get_status', 200],
				[null, 400],
				['get_status', 403],
			],
		);
	});
});

describe('how long a connection may take', () => {
	let server: TestServer;
	before(async () => {
		server = await startTestServer({
			limits: {
				headersMs: 300,
				requestMs: 900,
				idleMs: 500,
				checkMs: 50,
				httpConnectionsMax: 4,
				socketConnectionsMax: 4,
			},
		});
	});
	after(() => server.close());
	const raw = (over: Over): Promise<RawClient> =>
		RawClient.open(
			over === 'socket'
				? { path: server.server.addresses.socket }
				: { host: '127.0.0.1', port: server.server.addresses.http?.port ?? 0 },
		);

	for (const over of overs) {
		test(`a client that sends its headers slowly, or nothing, is ended over ${over}`, async () => {
			const silent = await raw(over);
			const slow = await raw(over);
			slow.write('POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
			const drip = setInterval(() => slow.write('x'), 40);
			const [nothing, partial] = await Promise.all([silent.ended(), slow.ended()]);
			clearInterval(drip);
			assert.match(partial.received, /^HTTP\/1\.1 408 /);
			assert.ok(nothing.received === '' || nothing.received.startsWith('HTTP/1.1 408 '));
		});

		test(`a client that sends its body slowly is ended over ${over}, and one that is quick is not`, async () => {
			const slow = await raw(over);
			slow.write(
				head([
					'POST / HTTP/1.1',
					'Host: localhost',
					authorization,
					'Content-Type: application/json',
					'Content-Length: 1000',
				]),
			);
			const drip = setInterval(() => slow.write(' '), 40);
			assert.equal((await server.ask(over, { login: admin, json })).status, 200);
			const { received } = await slow.ended();
			clearInterval(drip);
			assert.match(received, /^HTTP\/1\.1 408 /);
		});

		test(`a connection that is kept for nothing is ended over ${over}`, async () => {
			const client = await raw(over);
			client.write(`${head(['GET /livez HTTP/1.1', 'Host: localhost'])}`);
			await client.until('{"live":true}');
			assert.match(client.received, /Keep-Alive/i);
			await client.ended();
		});
	}

	test('a header by which a request is judged may stand once', async () => {
		const body = JSON.stringify(json);
		const lines = ['Host: localhost', authorization, 'Content-Type: application/json', 'Connection: close'];
		const ask = async (...more: string[]): Promise<string> => {
			const client = await raw('http');
			client.write(`${head(['POST / HTTP/1.1', ...lines, ...more, `Content-Length: ${body.length}`])}${body}`);
			return (await client.ended()).received;
		};
		assert.match(await ask('X-Twice: 1', 'X-Twice: 2'), /^HTTP\/1\.1 200 /);
		for (const more of ['host: evil.example', 'AUTHORIZATION: Basic eDp5', 'Content-type: text/plain'])
			assert.match(await ask(more), /^HTTP\/1\.1 400 [\s\S]*The header (host|AUTHORIZATION|Content-type) stands twice/);
	});

	test('a connection beyond the cap takes the place of the one that is idle for longest, and the socket keeps its own', async () => {
		const held = await Promise.all(Array.from({ length: 4 }, () => raw('http')));
		assert.equal((await server.ask('http', { login: admin, json })).status, 200);
		assert.equal((await held[0]?.ended())?.received, '');
		assert.equal((await server.ask('socket', { json })).status, 200);
		await Promise.all(held.map((client) => client.ended()));
		assert.equal((await server.ask('http', { login: admin, json })).status, 200);
	});
});
