import { readFile } from 'node:fs/promises';
import { createSecureContext, Server as TlsServer } from 'node:tls';
import { messageOf, RollcallError } from '../../errors.js';

/** What HTTP proves itself with, in PEM. */
export interface HttpCertificate {
	cert: Buffer;
	key: Buffer;
}

/** 1.3 where the client can; some load balancers and monitors still cannot. */
export const tlsVersionMin = 'TLSv1.2' as const;

const section = 'operations_api.http.tls';

/** Reads certificate and key; throws `configuration` naming key and file if one cannot be read, or they do not fit. */
export async function readCertificate(files: { cert: string; key: string }): Promise<HttpCertificate> {
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

/** Used for new connections; existing ones keep theirs. */
export function presentFromNowOn(server: object, certificate: HttpCertificate): void {
	if (server instanceof TlsServer) server.setSecureContext({ ...certificate, minVersion: tlsVersionMin });
}
