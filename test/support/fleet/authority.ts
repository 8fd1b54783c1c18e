import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsMaterial } from '../../../src/config/checks/certificates.js';
import { authorityFiles, issueCertificate, makeAuthority } from '../../../src/system/openssl.js';

export interface NodeFiles {
	ca: string;
	cert: string;
	key: string;
}

export interface TestCertificate {
	files: NodeFiles;
	material: TlsMaterial;
}

const dayMs = 24 * 60 * 60 * 1000;
const never = new AbortController().signal;

/** A fleet's authority made as `rollcall ca` makes it, and what a stranger could bring along instead of its certificates. */
export class TestAuthority {
	private constructor(readonly folder: string) {}

	/** In a new folder below the given one. */
	static async make(below: string): Promise<TestAuthority> {
		const folder = mkdtempSync(join(below, 'ca-'));
		const made = await makeAuthority(folder, 'Test fleet', daysAround(-2, 3_650), never);
		writeFileSync(join(folder, authorityFiles.cert), made.cert);
		writeFileSync(join(folder, authorityFiles.key), made.key, { mode: 0o600 });
		return new TestAuthority(folder);
	}

	get caFile(): string {
		return join(this.folder, authorityFiles.cert);
	}

	/** As `rollcall ca issue`; a negative number of days makes one that has expired. */
	async issue(node: string, days = 100): Promise<TestCertificate> {
		return this.#keep(await issueCertificate(this.folder, node, daysAround(Math.min(-1, days - 1), days), never));
	}

	/** As `issue`, valid from and to a number of days from now. */
	async issueFrom(node: string, from: number, to: number): Promise<TestCertificate> {
		return this.#keep(await issueCertificate(this.folder, node, daysAround(from, to), never));
	}

	/** Signed by this authority, with extensions that `rollcall ca issue` never writes. */
	odd(common: string, extensions: string): TestCertificate {
		const [key, request, cert, file] = ['k', 'r', 'c', 'e'].map((end) => join(this.folder, `odd.${end}`));
		if (!key || !request || !cert || !file) throw new Error('unreachable');
		writeFileSync(file, extensions);
		openssl([...newKey, '-subj', `/CN=${common}`, '-keyout', key, '-out', request]);
		const signer = ['-CA', this.caFile, '-CAkey', join(this.folder, authorityFiles.key), '-set_serial', '77'];
		openssl(['x509', '-req', '-in', request, ...signer, '-days', '9', '-extfile', file, '-out', cert]);
		return this.#keep({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') });
	}

	/** Says that it is the node, on its own word. */
	selfSigned(node: string): TestCertificate {
		const [key, cert] = [join(this.folder, 'self.k'), join(this.folder, 'self.c')];
		const names = ['-subj', `/CN=${node}`, '-addext', `subjectAltName=DNS:${node}`];
		openssl([...newKey, '-x509', '-days', '9', ...names, '-keyout', key, '-out', cert]);
		return this.#keep({ cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') });
	}

	#keep({ cert, key }: { cert: string; key: string }): TestCertificate {
		const folder = mkdtempSync(join(this.folder, 'n-'));
		const files = { ca: this.caFile, cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
		writeFileSync(files.cert, cert);
		writeFileSync(files.key, key, { mode: 0o600 });
		return { files, material: { ca: readFileSync(this.caFile, 'utf8'), cert, key } };
	}
}

/** Puts the files where a node's configuration names them, as an operator copies them. */
export function install(certificate: TestCertificate, folder: string): NodeFiles {
	mkdirSync(folder, { recursive: true, mode: 0o700 });
	const { ca, cert, key } = certificate.material;
	const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
	writeFileSync(files.ca, ca, { mode: 0o644 });
	writeFileSync(files.cert, cert, { mode: 0o644 });
	writeFileSync(files.key, key, { mode: 0o600 });
	return files;
}

const newKey = ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function daysAround(from: number, to: number): { from: number; to: number } {
	return { from: Date.now() + from * dayMs, to: Date.now() + to * dayMs };
}

function openssl(args: readonly string[]): void {
	execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
