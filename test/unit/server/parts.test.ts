import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { browserFault } from '../../../src/server/request/origin-check.js';
import { jsonDepthMax, parseJson } from '../../../src/server/request/strict-json.js';
import { judgeReadiness, type ReadinessFacts } from '../../../src/server/readiness.js';
import { FailureWindow } from '../../../src/server/access/throttle.js';
import { addressKey } from '../../../src/system/connections/source-address.js';

const parse = (text: string): ReturnType<typeof parseJson> => parseJson(Buffer.from(text));

test('a key that stands twice in one object is refused, however it is written', () => {
	for (const text of [
		'{"a":1,"a":2}',
		'{"a":1,"\\u0061":2}',
		'{"x":{"b":1 , "b" : 2}}',
		'[{"a":1},{"a":[{"c":1,"c":1}]}]',
		'{"operation":"get_status","operation":"restart"}',
		'{"__proto__":1,"__proto__":2}',
		'{"":1,"":2}',
	]) {
		assert.match(JSON.stringify(parse(text)), /twice in one object/, text);
	}
	for (const text of [
		'{"a":{"a":{"a":1}}}',
		'[{"a":1},{"a":2}]',
		'{"a":"a","b":"a"}',
		'{"a":"\\"a\\":1","b":":"}',
		'["a","a"]',
	]) {
		assert.deepEqual(parse(text), { ok: true, value: JSON.parse(text) }, text);
	}
});

test('nesting beyond the bound is refused, and a bracket in a text is no nesting', () => {
	const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
	assert.equal(parse(nested(jsonDepthMax)).ok, true);
	assert.match(JSON.stringify(parse(nested(jsonDepthMax + 1))), /nested deeper than 16 levels/);
	assert.match(JSON.stringify(parse('{"a":'.repeat(30_000))), /nested deeper/);
	assert.equal(parse(JSON.stringify({ a: '[{'.repeat(1000) })).ok, true);
});

test('what is no JSON in UTF-8 is refused', () => {
	for (const text of ['', ' ', '{', '{"a"', '"', '{a:1}', "{'a':1}", 'NaN', '{"a":1}}', '{"a":1} x', '\u0000']) {
		assert.equal(parse(text).ok, false, text);
	}
	assert.equal(parseJson(Buffer.from([0x22, 0xff, 0x22])).ok, false);
	assert.equal(parseJson(Buffer.from('{"a":1}', 'utf16le')).ok, false);
});

test('any JSON value without a double key is read as JSON.parse reads it, and no bytes make it throw', () => {
	fc.assert(
		fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
			const text = JSON.stringify(value);
			assert.deepEqual(parse(text), { ok: true, value: JSON.parse(text) });
		}),
		{ numRuns: 2_000 },
	);
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
			parseJson(bytes);
		}),
		{ numRuns: 2_000 },
	);
});

test('ten failures within a minute are let pass, the eleventh is one too many until the oldest has left', () => {
	let now = 1_000_000;
	const window = new FailureWindow({ now: () => now });
	for (let failure = 0; failure < 10; failure++) {
		window.record('a');
		assert.equal(window.blockedMs('a'), 0);
		now += 1_000;
	}
	window.record('a');
	assert.equal(window.blockedMs('a'), 50_000);
	assert.equal(window.blockedMs('b'), 0);
	now += 49_999;
	assert.equal(window.blockedMs('a'), 1);
	now += 1;
	assert.equal(window.blockedMs('a'), 0);
	window.record('a');
	assert.equal(window.blockedMs('a'), 1_000, 'the window slides: one has left, one has come');
	now += 120_000;
	assert.equal(window.blockedMs('a'), 0);
});

test('the memory of failures is bounded, and forgets the stalest key', () => {
	const window = new FailureWindow({ now: () => 0, failuresMax: 0, keysMax: 2 });
	for (const key of ['a', 'b', 'a', 'c']) window.record(key);
	assert.deepEqual(
		['a', 'b', 'c'].map((key) => window.blockedMs(key) > 0),
		[true, false, true],
	);
});

test('an IPv6 caller is counted by its network, an IPv4 one by its address in either spelling', () => {
	assert.equal(addressKey('127.0.0.1'), '127.0.0.1');
	assert.equal(addressKey('::ffff:10.0.0.7'), '10.0.0.7');
	assert.equal(addressKey('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
	assert.equal(addressKey('2001:db8:1:2::9'), '2001:db8:1:2::/64');
	assert.equal(addressKey('2001:db8::9'), '2001:db8:0:0::/64');
	assert.equal(addressKey('::1'), '0:0:0:0::/64');
});

test('a request that a web page could have made is refused', () => {
	const listener = { rebindable: true, host: '127.0.0.1' };
	const refuses = (headers: { origin?: string; host?: string }, on = listener): boolean =>
		browserFault(headers, on) !== null;
	for (const origin of ['http://evil.example', 'null', 'http://127.0.0.1:9925', ''])
		assert.ok(refuses({ origin, host: '127.0.0.1' }));
	for (const host of [
		'evil.example',
		'evil.example:9925',
		'127.0.0.1.evil.example',
		'localhost.evil.example',
		'a b',
		'',
	]) {
		assert.ok(refuses({ host }), host);
		assert.ok(!refuses({ host }, { ...listener, rebindable: false }), host);
	}
	for (const host of ['127.0.0.1', '127.0.0.1:9925', 'localhost:1', 'LOCALHOST', '[::1]:9925', '127.0.0.2']) {
		assert.ok(!refuses({ host }), host);
	}
	assert.ok(!refuses({}));
});

test('readiness says every reason, and one app is judged by its own workers', () => {
	const web = { app: 'web', wanted: 2, healthy: 1, degraded: 'web-2 is in back-off' };
	const api = { app: 'api', wanted: 1, healthy: 0, degraded: 'api-1 failed' };
	const facts: ReadinessFacts = { started: true, draining: false, availability: null, apps: [web] };
	assert.deepEqual(judgeReadiness(facts, null), { ready: true, reasons: [], notes: [], apps: [web] });
	assert.equal(judgeReadiness({ ...facts, apps: [] }, null)?.ready, true);
	assert.equal(judgeReadiness({ ...facts, availability: 'Available' }, null)?.ready, true);
	assert.deepEqual(judgeReadiness({ ...facts, draining: true }, null)?.reasons, ['draining']);
	const all: ReadinessFacts = { started: false, draining: true, availability: 'Unavailable', apps: [web, api] };
	assert.deepEqual(judgeReadiness(all, null)?.reasons, [
		'starting',
		'draining',
		'unavailable',
		'api: no healthy worker',
	]);
	assert.equal(judgeReadiness({ ...facts, apps: [web, api] }, 'web')?.ready, true);
	assert.equal(judgeReadiness({ ...facts, apps: [web, api] }, 'api')?.ready, false);
	assert.equal(judgeReadiness(facts, 'nope'), null);
	// An app that listens nowhere is no part of the node's readiness; asked for itself it is judged like any other.
	const jobs = { app: 'jobs', wanted: 1, healthy: 0, degraded: 'it crashed', listens: false } as const;
	for (const apps of [[web, jobs], [jobs]]) assert.equal(judgeReadiness({ ...facts, apps }, null)?.ready, true);
	assert.equal(judgeReadiness({ ...facts, apps: [web, jobs] }, 'jobs')?.ready, false);
});
