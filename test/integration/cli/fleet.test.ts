/** A fleet is made at home whole or not at all; a bundle is taken whole or not at all, and by the host of its node alone. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
	chmodSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { archiveBytesMax } from '../../../src/cli/fleet/archive.js';
import { addNext, endRotation, readFolder, writeCertificates } from '../../../src/cli/certificates/authority-folder.js';
import { readBundle } from '../../../src/cli/fleet/bundle.js';
import { nodesFrom } from '../../../src/cli/fleet/nodes.js';
import { bundleSteps, forThisHost } from '../../../src/cli/install/bundle.js';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { readCertificates } from '../../../src/config/checks/certificates.js';
import { RollcallError } from '../../../src/errors.js';
import { issueCertificate, makeAuthority } from '../../../src/system/openssl.js';
import { documentOf } from '../../support/cli/command-document.js';
import { runCommand } from '../../support/cli/command.js';
import { commandBlocks, sectionOf } from '../../support/pages/home-shell.js';

const nodes = ['--node', 'alpha=10.0.0.1', '--node', 'beta=beta.example:9944', '--node', 'gamma=[fd00::3]'];
const app = ['--app', './server.js', '--cwd', '/srv/web', '--user', 'web', '--port', '8080', '--health', '/healthz'];

let folder: string;
let home: string;
const fleet = (...words: string[]) => runCommand(['fleet', ...words, '--dir', home, '--json']);
before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'rc-home-'));
	home = join(folder, 'shop');
	const result = await fleet('init', 'shop', ...nodes, ...app);
	assert.equal(result.code, 0, result.stderr);
	documentOf(result, resultShapes['fleet init']);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const read = (...path: string[]): string => readFileSync(join(home, ...path), 'utf8');
const modeOf = (...path: string[]): number => statSync(join(home, ...path)).mode & 0o7777;
/** Text and date of every file, to see that nothing was touched. */
const everything = (): string =>
	execFileSync('sh', ['-c', 'find . -printf "%P %m %T@\\n" | sort; find . -type f | sort | xargs sha256sum'], {
		cwd: home,
		encoding: 'utf8',
	});
const serialOf = (node: string): string => new X509Certificate(read(node, 'cert.pem')).serialNumber;

describe('at home', () => {
	test('each node has a bundle that nobody else can read, and that tar shows: its files, with the modes of a host', () => {
		assert.deepEqual(readdirSync(home).sort(), [
			'.gitignore',
			'alpha',
			'alpha.tgz',
			'beta',
			'beta.tgz',
			'ca.key',
			'ca.pem',
			'gamma',
			'gamma.tgz',
		]);
		assert.deepEqual(
			[modeOf(), modeOf('ca.key'), modeOf('alpha.tgz'), modeOf('alpha', 'key.pem')],
			[0o700, 0o600, 0o600, 0o600],
		);
		const listed = execFileSync('tar', ['-tvzf', join(home, 'beta.tgz')], { encoding: 'utf8' });
		assert.deepEqual(
			listed
				.split('\n')
				.filter(Boolean)
				.map((line) => line.replace(/^(\S+) .* (\S+)$/, '$1 $2')),
			['-rw-r----- rollcall.yaml', '-rw-r--r-- tls/ca.pem', '-rw-r--r-- tls/cert.pem', '-rw-r----- tls/key.pem'],
		);
		assert.doesNotMatch(
			execFileSync('tar', ['-xzOf', join(home, 'beta.tgz')], { encoding: 'utf8' }),
			new RegExp(read('ca.key').split('\n')[1] ?? ''),
		);
	});

	test('a bundle is a whole configuration of its node: name, address, the peers, the app, its certificate', () => {
		const { node, config, tls } = readBundle(join(home, 'gamma.tgz'));
		assert.equal(node, 'gamma');
		assert.deepEqual(config.cluster?.listen, { host: '::', port: 9933 });
		assert.deepEqual(
			config.cluster?.peers.map(({ name, url }) => `${name} ${url}`),
			['alpha wss://10.0.0.1:9933', 'beta wss://beta.example:9944', 'gamma wss://[fd00::3]:9933'],
		);
		assert.deepEqual(
			config.http_workers.map(({ name, user, env }) => [name, user, env]),
			[['web', 'web', { PORT: '8080' }]],
		);
		assert.equal(tls.cert, read('gamma', 'cert.pem'));
		assert.match(new X509Certificate(tls.ca).subject, /^CN=Rollcall fleet shop [0-9a-f]{8}$/);
	});

	test('what would make no fleet is refused, and nothing is written', async () => {
		const good = ['a=10.0.0.1', 'b=10.0.0.2'];
		const nodeRows: [node: string, says: RegExp][] = [
			['a=10.0.0.3', /The node a stands there twice/],
			['c=10.0.0.2:9933', /The address of c stands there twice/],
			['Not.A.Name=10.0.0.3', /1 to 63 characters/],
			['c', /NAME=HOST/],
			['c=', /its host is none/],
			['c=10.0.0.300', /its host is none/],
			['c=http://x', /its host is none/],
			['c=x/../y', /its host is none/],
			['c=[10.0.0.3]', /its host is none/],
			['c=0.0.0.0', /no other node reaches/],
			['c=[::]', /no other node reaches/],
			['c=x:70000', /a port is/],
		];
		for (const [node, says] of nodeRows) {
			assert.throws(
				() => nodesFrom([...good, node]),
				(error) => error instanceof RollcallError && error.exitCode === 2 && says.test(error.message),
				node,
			);
		}
		const two = good.flatMap((node) => ['--node', node]);
		const init = (...words: string[]) => ['init', 'other', '--dir', join(folder, 'other'), ...words];
		const rows: [words: string[], exit: number, says: RegExp][] = [
			[['init', '../x', ...two], 2, /A fleet's name is 1 to 32 characters/],
			[init('--node', 'a=10.0.0.1'), 2, /at least two nodes/],
			[init(...two, '--app', './x.js', '--instances', 'few'), 2, /http_workers/],
			[init(...two, '--days', '0'), 2, /--days must be/],
		];
		await Promise.all(
			rows.map(async ([words, exit, says]) => {
				const { code, stdout, stderr } = await runCommand(['fleet', ...words]);
				assert.deepEqual([code, stdout], [exit, ''], `${words.join(' ')}: ${stderr}`);
				assert.match(stderr, says);
			}),
		);
		assert.deepEqual(readdirSync(folder), ['shop']);
	});

	test('a fleet that is there is never made again; neither are its nodes', async () => {
		const before = everything();
		const rows: [words: string[], says: RegExp][] = [
			[['init', 'shop', ...nodes], /is there already: rollcall fleet add shop/],
			[
				['add', 'shop', '--node', 'beta=10.0.0.9'],
				/beta is a node of this fleet already: rollcall fleet renew shop beta/,
			],
			[['add', 'shop', '--node', 'delta=10.0.0.1'], /The fleet has alpha at wss:\/\/10\.0\.0\.1:9933 already/],
			[
				['add', 'shop', ...['d', 'e', 'f'].flatMap((name, index) => ['--node', `${name}=10.0.1.${index}`])],
				/at most 2 at a time/,
			],
			[['renew', 'shop', 'delta'], /\\"delta\\" is no node of this fleet, which has alpha, beta, gamma/],
		];
		for (const [words, says] of rows) {
			const result = await fleet(...words);
			assert.equal(result.code, 1, result.stdout);
			assert.match(result.stderr, says);
		}
		assert.equal(everything(), before);
		const none = await runCommand(['fleet', 'renew', 'none', '--dir', folder]);
		assert.match(none.stderr, /There is no fleet in .*rollcall fleet init none/);
	});

	test('renew makes a new key and certificate for those that are named, and a bundle of them', async () => {
		const before = ['alpha', 'beta'].map(serialOf);
		const result = await fleet('renew', 'shop', 'beta', '--days', '30');
		assert.equal(result.code, 0, result.stderr);
		const { nodes: made } = documentOf(result, resultShapes['fleet renew']) as { nodes: { node: string }[] };
		assert.deepEqual(
			made.map(({ node }) => node),
			['beta'],
		);
		assert.equal(serialOf('alpha'), before[0]);
		assert.notEqual(serialOf('beta'), before[1]);
		assert.equal(readBundle(join(home, 'beta.tgz')).tls.cert, read('beta', 'cert.pem'));
		const [, , [renew = '', install = ''] = []] = commandBlocks(sectionOf('operate/certificates', 'Renew'));
		const { code, stdout } = await fleet(...renew.split(' ').slice(2));
		assert.equal(code, 0, stdout);
		assert.ok(stdout.includes(install.replace('alpha', 'NODE')), `the page on certificates says ${install}: ${stdout}`);
		assert.notEqual(serialOf('alpha'), before[0]);
	});

	test('at each step of a change of the authority renew makes bundles that hosts of the step before take, and none that skips one', async () => {
		const { signal } = new AbortController();
		const host = join(folder, 'rotating');
		const bundle = async () => {
			assert.equal((await fleet('renew', 'shop', 'gamma')).code, 0);
			return readBundle(join(home, 'gamma.tgz'));
		};
		const put = ({ text, tls }: ReturnType<typeof readBundle>) => {
			mkdirSync(join(host, 'tls'), { recursive: true });
			writeFileSync(join(host, 'rollcall.yaml'), text);
			for (const [name, pem] of Object.entries(tls)) writeFileSync(join(host, `tls/${name}.pem`), pem);
		};
		const [old] = readCertificates(read('ca.pem'));
		assert.ok(old);
		const first = readBundle(join(home, 'gamma.tgz'));
		put(first);
		const validity = { from: Date.now() - 60_000, to: Date.now() + 864e5 };
		const made = await makeAuthority(home, 'Rollcall fleet shop next', validity, signal);
		const [next] = readCertificates(made.cert);
		assert.ok(next);
		const steps: [both: number, signer: typeof old, begin: () => Promise<void>][] = [
			[2, old, async () => addNext(await readFolder(home, home), made)],
			[2, next, () => writeCertificates(home, [next, old])],
			[1, next, () => writeCertificates(home, [next]).then(async () => endRotation(await readFolder(home, home)))],
		];
		for (const [count, signer, begin] of steps) {
			await begin();
			const given = await bundle();
			assert.equal(readCertificates(given.tls.ca).length, count);
			const [own] = readCertificates(given.tls.cert);
			assert.ok(own?.verify(signer.publicKey));
			assert.deepEqual(forThisHost(given, host, false).remarks, []);
			put(given);
		}
		const last = readBundle(join(home, 'gamma.tgz'));
		put(first);
		assert.throws(() => forThisHost(last, host, false), /is of another fleet/);
		assert.equal((await fleet('renew', 'shop')).code, 0);
	});

	test('add tells every node of the new one and keeps what was changed by hand; cut short, the same again completes it', async () => {
		const path = join(home, 'alpha', 'rollcall.yaml');
		writeFileSync(
			path,
			read('alpha', 'rollcall.yaml')
				.replace('name: alpha', 'name: alpha\n  zone: north')
				.replace('http_workers:', '# ours\nhttp_workers:'),
		);
		const before = serialOf('alpha');
		symlinkSync('/nonexistent', join(home, '.delta.new'));
		const [stepThree = [], [add = '', onOld = '', onNew = ''] = []] = commandBlocks(sectionOf('operate/members'));
		const words = add.split(' ').slice(2);
		const first = await fleet(...words);
		assert.equal(first.code, 0, first.stderr);
		const { steps } = documentOf(first, resultShapes['fleet add']) as { steps: { hosts: string[]; lines: string[] }[] };
		assert.deepEqual(
			steps.map(({ hosts }) => hosts.join(' ')),
			['alpha beta gamma', 'delta', ''],
		);
		const typed = steps.map(({ hosts, lines }) => lines.map((line) => line.replaceAll('NODE', hosts[0] ?? '')));
		for (const [index, lines] of [[onOld], [onNew], stepThree].entries())
			for (const line of lines) assert.ok(typed[index]?.includes(line), `the page on members says ${line}`);
		// As a command leaves it that was ended before the last node.
		rmSync(join(home, 'delta'), { recursive: true });
		rmSync(join(home, 'delta.tgz'));
		assert.equal((await fleet(...words)).code, 0);
		for (const node of ['alpha', 'beta', 'gamma', 'delta']) {
			const { config } = readBundle(join(home, `${node}.tgz`));
			assert.deepEqual(
				config.cluster?.peers.map(({ name }) => name),
				['alpha', 'beta', 'gamma', 'delta'],
			);
			assert.equal(config.node.name, node);
			assert.equal(config.node.zone ?? null, node === 'alpha' ? 'north' : null);
			assert.deepEqual(config.cluster?.listen.port, node === 'beta' ? 9944 : 9933);
		}
		assert.match(read('delta', 'rollcall.yaml'), /# ours\nhttp_workers:/);
		assert.equal(serialOf('alpha'), before);
	});
});

/** A tar archive of these entries: `type` as in its header, `edit` changes the header before its checksum is made. */
function archiveOf(
	entries: { name: string; text?: string | Buffer; type?: string; edit?: (block: Buffer) => void }[],
): Buffer {
	const blocks = entries.flatMap(({ name, text = '', type = '0', edit }) => {
		const block = Buffer.alloc(512);
		block.write(name, 0, 100, 'latin1');
		block.write('0000644\0', 100);
		block.write(`${text.length.toString(8).padStart(11, '0')}\0`, 124);
		block.write(' '.repeat(8), 148);
		block.write(type, 156);
		block.write('ustar\x0000', 257);
		edit?.(block);
		const sum = block.reduce((total, byte) => total + byte, 0);
		block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
		return [block, Buffer.isBuffer(text) ? text : Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)];
	});
	return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

describe('a bundle', () => {
	const parts = () => [
		{ name: 'rollcall.yaml', text: read('alpha', 'rollcall.yaml') },
		...['ca', 'cert', 'key'].map((name) => ({ name: `tls/${name}.pem`, text: read('alpha', `${name}.pem`) })),
	];
	const taken = (bytes: Buffer, mode = 0o600) => {
		const path = join(folder, 'given.tgz');
		writeFileSync(path, bytes);
		chmodSync(path, mode);
		return readBundle(path);
	};
	const whole = (...more: Parameters<typeof archiveOf>[0]) => gzipSync(archiveOf([...parts(), ...more]));
	const without = (name: string, text: string | Buffer) =>
		gzipSync(archiveOf(parts().map((part) => (part.name === name ? { name, text } : part))));

	test('that tar(1) packed again, with its folders, is taken', () => {
		const unpacked = join(folder, 'unpacked');
		mkdirSync(unpacked);
		execFileSync('tar', ['-xzf', join(home, 'alpha.tgz'), '-C', unpacked]);
		execFileSync('tar', ['-czf', join(folder, 'again.tgz'), '-C', unpacked, '.']);
		chmodSync(join(folder, 'again.tgz'), 0o600);
		assert.equal(readBundle(join(folder, 'again.tgz')).node, 'alpha');
	});

	test('that is hostile, damaged, not whole or not of one node is refused, by a reason', () => {
		assert.equal(taken(whole()).node, 'alpha');
		const binary = (block: Buffer) => void block.write('\x80\0\0\0\0\0\0\0\0\0\x10\0', 124, 'latin1');
		const rows: [what: string, make: () => unknown, says: RegExp][] = [
			[
				'an absolute path',
				() => taken(whole({ name: '/etc/shadow', text: 'x' })),
				/"\/etc\/shadow" in it is a file that does not belong/,
			],
			['a way out', () => taken(whole({ name: '../../etc/cron.d/x', text: 'x' })), /"\.\.\/\.\.\/etc\/cron\.d\/x"/],
			['a way out in the middle', () => taken(whole({ name: 'tls/../../x', text: 'x' })), /does not belong/],
			['another file', () => taken(whole({ name: 'workers.yaml', text: 'x' })), /does not belong/],
			['another folder', () => taken(whole({ name: 'conf.d/', type: '5' })), /a folder that does not belong/],
			['a name with escapes', () => taken(whole({ name: '\x1b[2Jx', text: 'x' })), /"\\u001b\[2Jx"/],
			['a symbolic link', () => taken(whole({ name: 'tls/key.pem', type: '2' })), /a symbolic link/],
			['a hard link', () => taken(whole({ name: 'rollcall.yaml', type: '1' })), /a hard link/],
			['a device', () => taken(whole({ name: 'tls', type: '3' })), /a device/],
			['a pipe', () => taken(whole({ name: 'tls', type: '6' })), /a named pipe/],
			['a long name', () => taken(whole({ name: '././@LongLink', type: 'L', text: 'x' })), /an entry of type "L"/],
			['the same twice', () => taken(whole({ name: './rollcall.yaml', text: 'x' })), /stands there twice/],
			['a file beyond the end', () => taken(gzipSync(archiveOf(parts()).subarray(0, 1024))), /ends in the middle/],
			['a size beyond the end', () => taken(whole({ name: 'x', edit: binary })), /ends in the middle/],
			[
				'a prefix',
				() => taken(whole({ name: 'x', edit: (block) => void block.write('/etc', 345) })),
				/entries that no bundle has/,
			],
			['a wrong checksum', () => taken(gzipSync(archiveOf(parts()).fill('9', 100, 101))), /checksum/],
			['no archive', () => taken(Buffer.from('not a bundle')), /gzip cannot read it/],
			['a bomb', () => taken(gzipSync(Buffer.alloc(archiveBytesMax + 1))), /unpacks to more than/],
			['too large', () => taken(Buffer.alloc(archiveBytesMax + 1)), /no bundle has/],
			['a part less', () => taken(gzipSync(archiveOf(parts().slice(0, 3)))), /it has no tls\/key\.pem/],
			['no text', () => taken(without('rollcall.yaml', Buffer.from([0xff, 0xfe]))), /no text in UTF-8/],
			['a fault in its configuration', () => taken(without('rollcall.yaml', 'nonsense: 1\n')), /nonsense/],
			[
				'another key',
				() => taken(without('tls/key.pem', read('gamma', 'key.pem'))),
				/the private key of the certificate/,
			],
			[
				'another certificate',
				() => taken(without('tls/cert.pem', read('gamma', 'cert.pem'))),
				/a certificate of alpha/,
			],
			[
				'other files',
				() => taken(without('rollcall.yaml', read('alpha', 'rollcall.yaml').replace('tls/key.pem', '/etc/shadow'))),
				/cluster\.tls\.key: expected/,
			],
			['read by others', () => taken(whole(), 0o644), /others may read it. Run: chmod 600/],
			['written by others', () => taken(whole(), 0o620), /others may write it/],
			['a folder', () => readBundle(folder), /is no file/],
			['nothing', () => readBundle(join(folder, 'none.tgz')), /ENOENT/],
		];
		for (const [what, make, says] of rows) {
			assert.throws(make, (error) => error instanceof RollcallError && says.test(error.message), what);
		}
	});

	test('is taken by the host of its node and fleet alone; what is newer or changed there stays', async () => {
		const first = readBundle(join(home, 'alpha.tgz'));
		const host = join(folder, 'host');
		/** The host as the bundle would have made it, with changes. */
		const hostWith = (changes: Record<string, string | null>) => {
			rmSync(host, { recursive: true, force: true });
			mkdirSync(join(host, 'tls'), { recursive: true });
			const { text, tls } = first;
			const files = {
				'rollcall.yaml': text,
				'tls/ca.pem': tls.ca,
				'tls/cert.pem': tls.cert,
				'tls/key.pem': tls.key,
				...changes,
			};
			for (const [name, content] of Object.entries(files))
				if (content !== null) writeFileSync(join(host, name), content);
			return host;
		};
		const nothing = { 'rollcall.yaml': null, 'tls/ca.pem': null, 'tls/cert.pem': null, 'tls/key.pem': null };
		const of = (node: string) => ({
			'rollcall.yaml': read(node, 'rollcall.yaml'),
			'tls/cert.pem': read(node, 'cert.pem'),
			'tls/key.pem': read(node, 'key.pem'),
		});
		const strangers = join(folder, 'strangers');
		assert.equal((await runCommand(['ca', 'init', '--dir', strangers])).code, 0);
		const stranger = readFileSync(join(strangers, 'ca.pem'), 'utf8');

		const rows: [what: string, changes: Record<string, string | null>, says: RegExp][] = [
			['another node', of('gamma'), /This host is gamma, and the bundle is of alpha.*rollcall uninstall --purge/],
			[
				"another node's certificate alone",
				{ ...nothing, 'tls/cert.pem': read('gamma', 'cert.pem') },
				/is of gamma, and the bundle of alpha/,
			],
			[
				'another fleet',
				{ 'tls/ca.pem': stranger },
				/is of another fleet \(Rollcall fleet [0-9a-f]{8}\) than the bundle \(Rollcall fleet shop/,
			],
			["another fleet's authority alone", { ...nothing, 'tls/ca.pem': stranger }, /is of another fleet/],
			['alone', { ...nothing, 'rollcall.yaml': 'node: {name: alpha}\n' }, /runs alone, and the bundle is of a fleet/],
			['a file that does not check', { 'rollcall.yaml': 'nonsense: 1\n' }, /cannot be compared[\s\S]*nonsense/],
			[
				'other places',
				{ 'rollcall.yaml': first.text.replace('tls/key.pem', 'other/key.pem') },
				/cluster\.tls\.key in .* is .*other\/key\.pem/,
			],
		];
		for (const [what, changes, says] of rows) {
			for (const force of [false, true]) {
				assert.throws(
					() => forThisHost(first, hostWith(changes), force),
					(error) => error instanceof RollcallError && error.code === 'invalid' && says.test(error.message),
					what,
				);
			}
		}

		const copies = (bundle: ReturnType<typeof forThisHost>) =>
			bundleSteps(bundle, { changed: false }).map(({ text }) => text.replaceAll(`${host}/`, ''));
		assert.deepEqual(forThisHost(first, hostWith(nothing), false).remarks, []);
		const both = forThisHost(first, hostWith({ 'tls/ca.pem': `${first.tls.ca}${stranger}` }), false);
		assert.deepEqual([both.remarks, both.keepsCertificate], [[], false]);
		const edited = { 'rollcall.yaml': `${first.text}# by hand\n` };
		const kept = forThisHost(first, hostWith(edited), false);
		assert.match(kept.remarks.join(), /is not the one of the bundle and stays as it is; --force/);
		assert.ok(!copies(kept).some((text) => text.includes('rollcall.yaml')));
		const forced = forThisHost(first, hostWith(edited), true);
		assert.deepEqual(forced.remarks, []);
		assert.match(copies(forced).join('\n'), /cp -p rollcall\.yaml rollcall\.yaml\.old\n.* rollcall\.yaml$/);

		const now = Date.now();
		const validity = { from: now - 1_000, to: now + 24 * 60 * 60 * 1_000 };
		const newer = await issueCertificate(home, 'alpha', validity, new AbortController().signal);
		const present = { 'tls/cert.pem': newer.cert, 'tls/key.pem': newer.key };
		const renewed = { ...first, tls: { ...first.tls, ...newer } };
		assert.equal(forThisHost(renewed, hostWith({}), false).keepsCertificate, false);
		const late = forThisHost(first, hostWith(present), false);
		assert.match(late.remarks.join(), /is newer than the bundle's and stays/);
		assert.ok(!copies(late).some((text) => text.includes('.pem')));
	});
});
