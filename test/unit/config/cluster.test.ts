import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
	clusterHash,
	memberHash,
	members,
	readSharedSecret,
	resolveMaxUnavailable,
} from '../../../src/config/checks/cluster.js';
import { RollcallError } from '../../../src/errors.js';
import { ConfigurationFolder } from '../../support/config/configuration.js';

function cluster(...lines: string[]): string {
	return ['node: {name: beta}', 'cluster:', ...lines.map((line) => `  ${line}`)].join('\n');
}

const tls = 'tls: {ca: t/ca, cert: t/cert, key: t/key}';
const loopback = 'listen: {host: 127.0.0.1}';

/** Lines below `cluster:` (the third line of the file is the first of them), and the lines they must be refused with. */
const refusals: Record<string, [text: string, lines: string[]]> = {
	'neither tls nor a secret': [
		cluster(loopback),
		[
			'2:1: cluster: expected cluster.tls (or cluster.secret_file, where all addresses are loopback), got neither (nodes must prove to each other who they are)',
		],
	],
	'both tls and a secret': [
		cluster(loopback, tls, 'secret_file: secret'),
		['5:16: cluster.secret_file: expected exactly one of cluster.tls and cluster.secret_file, got both'],
	],
	'a secret beside an address that others reach': [
		cluster('listen: {host: 10.0.0.1}', 'secret_file: secret', 'peers: [{name: a, url: "ws://10.0.0.2:1"}]'),
		[
			'3:18: cluster.listen.host: expected a loopback address such as 127.0.0.1, or cluster.tls beside it, got "10.0.0.1"',
			'5:26: cluster.peers[0].url: expected a loopback address such as 127.0.0.1, or cluster.tls, got "10.0.0.2"',
		],
	],
	'an address of another transport than tls asks for': [
		cluster(loopback, tls, 'peers: [{name: a, url: "ws://127.0.0.1:1"}]'),
		['5:26: cluster.peers[0].url: expected wss://, since cluster.tls is given, got ws://'],
	],
	'an address of another transport than a secret asks for': [
		cluster(loopback, 'secret_file: secret', 'peers: [{name: a, url: "wss://[::1]:1"}]'),
		['5:26: cluster.peers[0].url: expected ws://, since cluster.tls is not given, got wss://'],
	],
	'addresses of another form': [
		cluster('listen: {host: "a b", port: 0}', tls, 'peers: [{name: a, url: "http://a"}, {name: B, url: "wss://a b"}]'),
		[
			'3:18: cluster.listen.host: expected a host name or an address, got "a b"',
			'3:31: cluster.listen.port: expected a whole number from 1 to 65535, got 0',
			'5:26: cluster.peers[0].url: expected an address that begins with wss:// (or ws:// on loopback), got a text',
			'5:46: cluster.peers[1].name: expected a name of 1 to 63 characters out of a-z, 0-9 and -, and not constructor, got "B"',
			'5:54: cluster.peers[1].url: expected an address that begins with wss:// (or ws:// on loopback), got a text',
		],
	],
	'addresses that are none, or hold more than one': [
		cluster(
			loopback,
			tls,
			'peers: [{name: a, url: "wss://:1"}, {name: c, url: "wss://u:p@c:1"}, {name: d, url: "wss://d?x"}]',
		),
		[
			'5:26: cluster.peers[0].url: expected an address such as wss://alpha:9933, got none',
			'5:54: cluster.peers[1].url: expected an address without user, password, ? and #, got one with them',
			'5:87: cluster.peers[2].url: expected an address without user, password, ? and #, got one with them',
		],
	],
	'two zones of the own node': [
		cluster(loopback, 'secret_file: secret', 'peers: [{name: beta, url: "ws://127.0.0.1:1", zone: y}]').replace(
			'{name: beta}',
			'{name: beta, zone: x}',
		),
		['5:55: cluster.peers[0].zone: expected the same zone as node.zone, "x", got "y"'],
	],
};

describe('the cluster section', () => {
	let folder: ConfigurationFolder;
	before(() => {
		folder = new ConfigurationFolder();
		folder.write('secret', ' sixteen-bytes-xx\n');
		for (const name of ['ca', 'cert', 'key']) folder.write(`t/${name}`, name);
	});
	after(() => folder.remove());

	for (const [what, [text, lines]] of Object.entries(refusals)) {
		it(`is refused with ${what}`, () => {
			assert.deepEqual(folder.refusals(text), lines);
		});
	}

	it('gives the members sorted by name, the own node included, its own entry among the peers or not', () => {
		const peers = [
			'peers:',
			'  - {name: gamma, url: "wss://gamma:9933", zone: z}',
			'  - {name: alpha, url: "wss://alpha:9933"}',
		];
		const others = [
			{ name: 'alpha', zone: null, url: 'wss://alpha:9933' },
			{ name: 'gamma', zone: 'z', url: 'wss://gamma:9933' },
		] as const;
		const text = cluster('listen: {host: 0.0.0.0}', tls, ...peers);
		assert.deepEqual(members(folder.load(text)), [others[0], { name: 'beta', zone: null, url: null }, others[1]]);
		const own = `${text}\n    - {name: beta, url: "wss://beta:9933", zone: y}`;
		assert.deepEqual(members(folder.load(own)), [
			others[0],
			{ name: 'beta', zone: 'y', url: 'wss://beta:9933' },
			others[1],
		]);
		assert.deepEqual(members(folder.load('node: {name: beta, zone: x}')), [{ name: 'beta', zone: 'x', url: null }]);
	});

	it('gives a hash of the names alone, whatever their order', () => {
		assert.equal(memberHash(['b', 'a']), memberHash(['a', 'b']));
		assert.notEqual(memberHash(['a', 'b']), memberHash(['a,b']));
		assert.notEqual(memberHash(['a', 'b']), memberHash(['a']));
		assert.match(memberHash(['a']), /^[0-9a-f]{64}$/);
	});

	it('has a hash that changes with what is in it and in its files, and with nothing else', () => {
		const text = cluster(loopback, tls);
		const first = clusterHash(folder.load(text));
		assert.match(first ?? '', /^[0-9a-f]{64}$/);
		assert.equal(clusterHash(folder.load(`# moved\nlogging: {level: debug}\n${cluster(tls, loopback)}`)), first);
		assert.notEqual(clusterHash(folder.load(cluster(loopback, tls, 'peers: [{name: a, url: "wss://a"}]'))), first);
		folder.write('t/key', 'another');
		assert.notEqual(clusterHash(folder.load(text)), first);
		folder.write('t/key', 'key');
		assert.equal(clusterHash(folder.load(text)), first);
		assert.equal(clusterHash(folder.load('node: {name: beta}')), null);
	});

	it('gives its secret without the white space around it', () => {
		const { cluster: section } = folder.load(cluster(loopback, 'secret_file: secret'));
		assert.equal(readSharedSecret(section?.secret_file ?? ''), 'sixteen-bytes-xx');
	});
});

describe('max_unavailable', () => {
	it('is a number, or per cent of the members rounded down, at least one', () => {
		assert.equal(resolveMaxUnavailable(2, 3), 2);
		assert.equal(resolveMaxUnavailable('25%', 3), 1);
		assert.equal(resolveMaxUnavailable('67%', 3), 2);
		assert.equal(resolveMaxUnavailable('66%', 3), 1);
		assert.equal(resolveMaxUnavailable('100%', 3), 3);
	});

	it('is refused in any other form', () => {
		for (const wrong of [0, -1, 1.5, Number.NaN, '0%', '101%', '2', '25 %', '']) {
			assert.throws(
				() => resolveMaxUnavailable(wrong, 3),
				(error) => error instanceof RollcallError && error.code === 'invalid',
				String(wrong),
			);
		}
	});
});
