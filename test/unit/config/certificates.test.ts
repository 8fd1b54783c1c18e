import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
	assertBelongTogether,
	assertInDate,
	certificateNotes,
	firstExpiry,
	nameInCertificate,
	plainPem,
	type TlsMaterial,
} from '../../../src/config/checks/certificates.js';
import { RollcallError } from '../../../src/errors.js';
import { type FleetConfig, readMembership } from '../../../src/fleet/links/membership.js';
import { TestAuthority } from '../../support/fleet/authority.js';

const dayMs = 24 * 60 * 60 * 1000;

describe('the material of a node', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-crt-'));
	let authority: TestAuthority;
	let foreign: TestAuthority;
	let alpha: TlsMaterial;
	before(async () => {
		[authority, foreign] = await Promise.all([TestAuthority.make(folder), TestAuthority.make(folder)]);
		alpha = (await authority.issue('alpha')).material;
	});
	after(() => rmSync(folder, { recursive: true, force: true }));

	it('is taken when certificate, key, authority and name belong together, the old authority beside the new one or not', async () => {
		assertBelongTogether('alpha', alpha);
		const both = (await foreign.issue('x')).material.ca + alpha.ca;
		assertBelongTogether('alpha', { ...alpha, ca: both });
	});

	it('is refused by key and reason when they do not, and never shows the key', async () => {
		const beta = (await authority.issue('beta')).material;
		const other = (await foreign.issue('alpha')).material;
		const refusals: [Partial<TlsMaterial>, RegExp][] = [
			[
				{ cert: beta.cert },
				/^cluster\.tls\.cert: expected a certificate of alpha, as node\.name has it, got one of beta$/,
			],
			[{ cert: authority.odd('alpha', 'subjectAltName=DNS:alpha,DNS:beta').material.cert }, /exactly one node name/],
			[{ key: beta.key }, /^cluster\.tls\.key: .* got another one$/],
			[{ ca: other.ca }, /^cluster\.tls\.cert: .* got one of another authority$/],
			[{ ca: alpha.cert }, /one of another authority/],
			[{ cert: withForgedSignature(alpha.cert) }, /one of another authority/],
			[{ cert: 'nothing' }, /^cluster\.tls\.cert: expected a certificate in PEM, got none$/],
			[{ ca: '' }, /^cluster\.tls\.ca: expected a certificate in PEM, got none$/],
			[{ ca: alpha.ca.replace('MII', '@@@') + alpha.ca }, /^cluster\.tls\.ca: .* of which 1 of 2 cannot be read$/],
			[{ cert: alpha.cert.replace('MII', 'MIA') }, /^cluster\.tls\.cert: .* cannot be read/],
			[{ key: alpha.key.replace(/[a-z]/g, 'A') }, /^cluster\.tls\.key: expected a private key in PEM/],
		];
		for (const [change, pattern] of refusals) {
			assert.throws(
				() => assertBelongTogether('alpha', { ...alpha, ...change }),
				(error) => {
					assert.ok(error instanceof RollcallError);
					assert.equal(error.code, 'configuration');
					assert.match(error.message, pattern);
					return !error.message.includes(alpha.key.split('\n')[1] ?? '');
				},
			);
		}
	});

	it('gives the links all that was checked, as no text of authorities is read by node:tls where one of them is askew', async () => {
		const other = (await foreign.issue('x')).material.ca;
		const apart = plainPem(other) + plainPem(alpha.ca);
		const askew = [other.trimEnd() + alpha.ca, other.replace('\nMII', '\n\nMII') + alpha.ca];
		for (const [index, ca] of askew.entries()) {
			const tls = filesOf(join(folder, `askew-${index}`), { ...alpha, ca });
			const listen = { host: '127.0.0.1', port: 9933 };
			const config = { node: { name: 'alpha' }, cluster: { listen, tls, peers: [] } } as unknown as FleetConfig;
			assert.equal(readMembership(config).cluster?.tls?.ca, apart);
		}
	});

	it('names one node: nothing but one common name and one DNS name that agree', () => {
		const named = (CN: unknown, subjectaltname?: string): string | null =>
			nameInCertificate({ subject: { CN }, subjectaltname } as Parameters<typeof nameInCertificate>[0]);
		assert.equal(named('alpha', 'DNS:alpha'), 'alpha');
		assert.equal(named('alpha'), 'alpha');
		assert.equal(named(undefined, 'DNS:alpha'), 'alpha');
		const refused: [unknown, string?][] = [
			[undefined],
			['alpha', 'DNS:beta'],
			['alpha', 'DNS:alpha, DNS:beta'],
			['alpha', 'DNS:alpha, IP Address:127.0.0.1'],
			['alpha', 'URI:alpha'],
			[['alpha', 'beta']],
			['alpha', 'DNS:"alpha\\u0000.x"'],
			['alpha.example', 'DNS:alpha.example'],
			['*', 'DNS:*'],
			['Alpha'],
			['Rollcall fleet 12345678'],
		];
		for (const [CN, names] of refused) assert.equal(named(CN, names), null, JSON.stringify([CN, names]));
	});

	it('is in date from its first to its last second', async () => {
		const { material } = await authority.issue('alpha', 10);
		assertInDate(material, Date.now());
		assert.throws(() => assertInDate(material, Date.now() + 11 * dayMs), /expired on \d{4}-\d\d-\d\d/);
		assert.throws(() => assertInDate(material, Date.now() - 3 * dayMs), /is the clock of this host right\?/);
	});

	it('is noted from 30 days before its end, the most urgent first, with what to do', async () => {
		const expiresAt = firstExpiry((await authority.issue('alpha', 60)).material.cert) ?? 0;
		const use = { key: 'cluster.tls.cert', file: '/c.pem', expiresAt, remedy: 'put a new one there' };
		const later = { ...use, key: 'cluster.tls.ca', expiresAt: expiresAt + dayMs };
		const textsAt = (now: number): string[] => certificateNotes([later, use], now).map(({ text }) => text);
		const day = new Date(expiresAt).toISOString().slice(0, 10);
		const said = (key: string, what: string, on: string): string =>
			`The certificate of ${key} (/c.pem) ${what} on ${on}: put a new one there.`;
		assert.deepEqual(textsAt(expiresAt - 30 * dayMs), []);
		assert.deepEqual(textsAt(expiresAt - 30 * dayMs + 1), [said(use.key, 'expires in 29 days,', day)]);
		assert.deepEqual(textsAt(expiresAt - dayMs)[0], said(use.key, 'expires in 1 day,', day));
		assert.deepEqual(textsAt(expiresAt - 1)[0], said(use.key, 'expires in less than a day,', day));
		assert.deepEqual(textsAt(expiresAt)[0], said(use.key, 'expired', day));
		assert.equal(textsAt(expiresAt).length, 2);
	});

	it('ends when the first certificate of its file does; a file without one has no end', async () => {
		const [soon, late] = [
			(await authority.issue('a', 5)).material.cert,
			(await authority.issue('b', 50)).material.cert,
		];
		assert.equal(firstExpiry(late + soon), firstExpiry(soon));
		assert.equal(firstExpiry('nothing'), null);
	});
});

/** Everything as it was, but for the last byte of the signature. */
function withForgedSignature(pem: string): string {
	const der = Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ''), 'base64');
	der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
	return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
}

function filesOf(folder: string, { ca, cert, key }: TlsMaterial): Record<keyof TlsMaterial, string> {
	mkdirSync(folder, { mode: 0o700 });
	const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
	writeFileSync(files.ca, ca);
	writeFileSync(files.cert, cert);
	writeFileSync(files.key, key, { mode: 0o600 });
	return files;
}
