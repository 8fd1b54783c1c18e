import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsMaterial } from '../../src/fleet/websocket.js';

/** A certificate authority of the tests, made with openssl in the given folder. */
export class TestAuthority {
	#serial = 1;

	constructor(
		private readonly folder: string,
		private readonly name = 'fleet',
	) {
		this.#openssl(
			['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30'],
			['-subj', `/CN=${name} authority`, '-keyout', this.#path('ca.key'), '-out', this.caFile],
		);
	}

	get caFile(): string {
		return this.#path('ca.pem');
	}

	/** `names` are the alternative names; the common name is the first of them. */
	issue(
		names: readonly string[],
		days = 10,
	): { files: { ca: string; cert: string; key: string }; material: TlsMaterial } {
		this.#serial += 1;
		const prefix = this.#path(String(this.#serial));
		const [cert, key, request, extensions] = ['crt', 'key', 'csr', 'ext'].map((end) => `${prefix}.${end}`);
		if (!cert || !key || !request || !extensions) throw new Error('unreachable');
		this.#openssl(
			['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${names[0]}`],
			['-keyout', key, '-out', request],
		);
		writeFileSync(extensions, `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}\n`);
		// A negative number of days makes a certificate that has expired.
		this.#openssl(
			['x509', '-req', '-in', request, '-CA', this.caFile, '-CAkey', this.#path('ca.key'), '-out', cert],
			['-set_serial', String(this.#serial), '-days', String(days), '-extfile', extensions],
		);
		const files = { ca: this.caFile, cert, key };
		const read = (file: string): string => readFileSync(file, 'utf8');
		return { files, material: { ca: read(files.ca), cert: read(files.cert), key: read(files.key) } };
	}

	#path(end: string): string {
		return join(this.folder, `${this.name}-${end}`);
	}

	#openssl(...args: readonly string[][]): void {
		execFileSync('openssl', args.flat(), { stdio: ['ignore', 'ignore', 'pipe'] });
	}
}
