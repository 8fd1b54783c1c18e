import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { messageOf, RollcallError } from '../../errors.js';
import { dayOf, readCertificates, validityOf } from './certificates.js';

/** What HTTP proves itself with, in PEM. */
export interface HttpCertificate {
	cert: Buffer;
	key: Buffer;
}

const section = 'operations_api.http.tls';

/** Reads certificate and key; throws `configuration` naming key and file if one cannot be read, or they do not fit. */
export async function readHttpCertificate(files: { cert: string; key: string }): Promise<HttpCertificate> {
	const read = async (name: 'cert' | 'key'): Promise<Buffer> => {
		try {
			return await readFile(files[name]);
		} catch (cause) {
			const text = `${section}.${name}: ${files[name]} cannot be read: ${messageOf(cause)}`;
			throw new RollcallError('configuration', text, {}, { cause });
		}
	};
	const certificate = { cert: await read('cert'), key: await read('key') };
	try {
		createSecureContext(certificate);
	} catch (cause) {
		const expected = `a certificate and its private key in PEM were expected in ${files.cert} and ${files.key}`;
		throw new RollcallError('configuration', `${section}: ${expected}: ${messageOf(cause)}`, {}, { cause });
	}
	return certificate;
}

/** Throws `configuration` with file and remedy when no client would accept it at `now` (ms since 1970). */
export function assertHttpInDate({ cert }: HttpCertificate, file: string, now: number): void {
	const [own] = readCertificates(cert.toString('latin1'));
	if (!own) return;
	const { from, to } = validityOf(own);
	if (from <= now && now < to) return;
	const got = now >= to ? `one that expired on ${dayOf(to)}` : `one that begins at ${new Date(from).toISOString()}`;
	const expected = `expected a certificate that is valid now (${new Date(now).toISOString()})`;
	throw new RollcallError('configuration', `${section}.cert: ${expected}, got ${got}; put a new one into ${file}`);
}
