import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
	chmodSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { resultShapes } from '../../../src/cli/output/json-schemas.js';
import { assertBelongTogether, nameInCertificate } from '../../../src/config/checks/certificates.js';
import { runCommand } from '../../support/cli/command.js';

const dayMs = 24 * 60 * 60 * 1000;

describe('the commands of the authority', () => {
	let folder: string;
	let dir: string;
	const ca = (...words: string[]) => runCommand(['ca', ...words, '--dir', dir]);
	const read = (...path: string[]): string => readFileSync(join(dir, ...path), 'utf8');
	const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

	before(async () => {
		folder = mkdtempSync(join(tmpdir(), 'rc-ca-'));
		dir = join(folder, 'fleet');
		const { code, stderr } = await ca('init');
		assert.equal(code, 0, stderr);
	});
	after(() => rmSync(folder, { recursive: true, force: true }));

	test('the authority signs certificates of nodes and nothing else, for ten years', () => {
		const certificate = new X509Certificate(read('ca.pem'));
		const text = textOf(join(dir, 'ca.pem'));
		assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0\s/);
		assert.match(text, /Key Usage: critical\s+Certificate Sign\s/);
		assert.doesNotMatch(text, /Extended Key Usage/);
		assert.match(certificate.subject, /^CN=Rollcall fleet [0-9a-f]{8}$/);
		assert.equal(nameInCertificate(certificate.toLegacyObject()), null, 'it passes for no node');
		assert.ok(Math.abs(Date.parse(certificate.validTo) - Date.now() - 3_650 * dayMs) < dayMs);
		assert.ok(
			Date.parse(certificate.validFrom) < Date.now() - dayMs / 48,
			'a clock that is a little late is no matter',
		);
	});

	test('a node gets a key and a certificate with its name alone, for both ends of a link, for a year', async () => {
		const { code, stdout } = await ca('issue', 'alpha', '--json');
		assert.equal(code, 0);
		const answer = resultShapes['ca issue'].parse(JSON.parse(stdout));
		assert.equal(answer.node, 'alpha');
		assert.deepEqual(
			[answer.ca, answer.cert, answer.key],
			['ca.pem', 'cert.pem', 'key.pem'].map((name) => join(dir, 'alpha', name)),
		);
		const certificate = new X509Certificate(read('alpha', 'cert.pem'));
		const text = textOf(answer.cert);
		assert.match(text, /Basic Constraints: critical\s+CA:FALSE\s/);
		assert.match(text, /Key Usage: critical\s+Digital Signature\s/);
		assert.match(text, /Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication\s/);
		assert.match(text, /ASN1 OID: prime256v1/);
		assert.deepEqual([certificate.subject, certificate.subjectAltName], ['CN=alpha', 'DNS:alpha']);
		assert.deepEqual(
			[answer.serial, answer.fingerprint256, answer.valid_to],
			[certificate.serialNumber, certificate.fingerprint256, Date.parse(certificate.validTo)],
		);
		assert.ok(Math.abs(answer.valid_to - Date.now() - 365 * dayMs) < dayMs);
		assertBelongTogether('alpha', {
			ca: read('alpha', 'ca.pem'),
			cert: read('alpha', 'cert.pem'),
			key: read('alpha', 'key.pem'),
		});
	});

	test('no key can be read by others, not while it is made, and none stands in an argument', async () => {
		const bin = join(folder, 'bin');
		const log = join(folder, 'spied');
		const program = execFileSync('sh', ['-c', 'command -v openssl'], { encoding: 'utf8' }).trim();
		mkdirSync(bin);
		const spy = `#!/bin/sh
printf '%s\\n' "$@" >> '${log}'
stat -c 'folder %a' . .. >> '${log}'
'${program}' "$@" || exit 1
find .. -name '*key*' -type f -perm /077 -printf 'WIDE %p\\n' >> '${log}'
`;
		writeFileSync(join(bin, 'openssl'), spy, { mode: 0o755 });
		const { code, stderr } = await runCommand(['ca', 'issue', 'spied', '--dir', dir], {
			PATH: `${bin}:${process.env['PATH']}`,
		});
		assert.equal(code, 0, stderr);
		const said = readFileSync(log, 'utf8');
		assert.deepEqual(new Set(said.match(/^folder .*$/gm)), new Set(['folder 700']));
		assert.doesNotMatch(said, /WIDE|PRIVATE|pass/i);
		assert.deepEqual([dir, join(dir, 'spied'), join(dir, 'ca.key'), join(dir, 'spied', 'key.pem')].map(modeOf), [
			'700',
			'700',
			'600',
			'600',
		]);
		assert.deepEqual(readdirSync(join(dir, 'spied')).sort(), ['ca.pem', 'cert.pem', 'key.pem']);
		assert.deepEqual(
			readdirSync(dir).filter((name) => name.startsWith('.')),
			[],
			'nothing is left over',
		);
	});

	test('a key that is there is never replaced unasked; with --force it is, under another serial number', async () => {
		assert.equal((await ca('issue', 'beta')).code, 0);
		const before = [read('beta', 'key.pem'), new X509Certificate(read('beta', 'cert.pem')).serialNumber];
		const again = await ca('issue', 'beta');
		assert.equal(again.code, 1);
		assert.match(again.stderr, /key\.pem is there already: with --force/);
		assert.equal(read('beta', 'key.pem'), before[0]);
		assert.equal((await ca('issue', 'beta', '--force')).code, 0);
		assert.notEqual(read('beta', 'key.pem'), before[0]);
		assert.notEqual(new X509Certificate(read('beta', 'cert.pem')).serialNumber, before[1]);
		assert.ok(String(before[1]).length >= 30, 'serial numbers are long and random');

		const authority = read('ca.key');
		const init = await ca('init');
		assert.equal(init.code, 1);
		assert.match(init.stderr, /no certificate of the old one counts any more/);
		assert.equal(read('ca.key'), authority);
	});

	test('a certificate goes where --out says, and never outlives its authority', async () => {
		const out = join(folder, 'elsewhere', 'tls');
		const { code, stderr } = await ca('issue', 'gamma', '--out', out, '--days', '7300');
		assert.equal(code, 0, stderr);
		assert.match(stderr, /It ends with its authority, earlier than was asked for/);
		const [own, authority] = [join(out, 'cert.pem'), join(out, 'ca.pem')].map(
			(file) => new X509Certificate(readFileSync(file)).validTo,
		);
		assert.equal(own, authority);
		assert.ok(!existsSync(join(dir, 'gamma')));
		assert.deepEqual([modeOf(out), modeOf(dirname(out))], ['700', '700']);
	});

	test('what would make no good certificate is refused before anything is written', async () => {
		const open = join(folder, 'open');
		mkdirSync(open, { mode: 0o755 });
		chmodSync(open, 0o755);
		const refusals: [string[], number, RegExp][] = [
			[['issue', 'Alpha', '--dir', dir], 2, /1 to 63 characters out of a-z, 0-9 and -/],
			[['issue', 'a,DNS:b', '--dir', dir], 2, /1 to 63 characters/],
			[['issue', '../x', '--dir', dir], 2, /1 to 63 characters/],
			[['issue', 'a'.repeat(64), '--dir', dir], 2, /1 to 63 characters/],
			[['issue', 'a\nb', '--dir', dir], 2, /1 to 63 characters/],
			[['issue', 'delta', '--days', '0', '--dir', dir], 2, /--days must be a whole number from 1 to 7300/],
			[['issue', 'delta', '--days', '1e3', '--dir', dir], 2, /--days must be/],
			[['issue', 'delta'], 2, /--dir <folder>' not specified/],
			[['issue', 'delta', '--dir', join(folder, 'none')], 1, /rollcall ca init --dir .*none makes one/],
			[['init', '--dir', open], 1, /is open to others.* Run: chmod 700/],
			[['init', '--dir', join(dir, 'ca.pem')], 1, /cannot be written \(EEXIST\)/],
		];
		for (const [words, exit, pattern] of refusals) {
			const { code, stdout, stderr } = await runCommand(['ca', ...words]);
			assert.deepEqual([code, stdout], [exit, ''], `${words.join(' ')}: ${stderr}`);
			assert.match(stderr, pattern);
		}
		assert.deepEqual(readdirSync(open), []);
		assert.ok(!existsSync(join(dir, 'delta')));
	});

	test('an authority whose key others can read is not used', async () => {
		const wide = join(folder, 'wide');
		assert.equal((await runCommand(['ca', 'init', '--dir', wide])).code, 0);
		chmodSync(join(wide, 'ca.key'), 0o640);
		const { code, stderr } = await runCommand(['ca', 'issue', 'alpha', '--dir', wide]);
		assert.equal(code, 1);
		assert.match(stderr, /ca\.key can be read by others\. Run: chmod 600/);
	});

	test('without openssl it says what to install', async () => {
		const { code, stderr } = await runCommand(['ca', 'init', '--dir', join(folder, 'without')], { PATH: folder });
		assert.equal(code, 1);
		assert.match(stderr, /openssl is not installed.*apt install openssl/);
	});
});

const textOf = (file: string): string =>
	execFileSync('openssl', ['x509', '-in', file, '-noout', '-text'], { encoding: 'utf8' });
