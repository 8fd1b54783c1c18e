import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import https from 'node:https';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect, type SecureVersion } from 'node:tls';
import { TestAuthority, type TestCertificate } from '../support/authority.js';
import { admin, authorizationOf, startTestServer, type TestServer } from '../support/operations-server.js';

describe('the operations API over TLS', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-https-'));
	let certificate: TestCertificate;
	let server: TestServer;
	let port: number;
	before(async () => {
		certificate = await (await TestAuthority.make(folder)).issue('alpha');
		server = await startTestServer({ settings: { http: { host: '127.0.0.1', port: 0, tls: certificate.files } } });
		port = server.server.addresses.http?.port ?? 0;
	});
	after(async () => {
		await server.close();
		rmSync(folder, { recursive: true, force: true });
	});

	/** What both ends agree on, or the code of the refusal. */
	function handshake(version: SecureVersion): Promise<string> {
		return new Promise((resolve) => {
			const socket = connect({
				host: '127.0.0.1',
				port,
				servername: 'alpha',
				ca: certificate.material.ca,
				minVersion: version,
				maxVersion: version,
				// Only so does OpenSSL offer versions as old as those at all.
				ciphers: 'ALL:@SECLEVEL=0',
			});
			socket.once('secureConnect', () => {
				resolve(String(socket.getProtocol()));
				socket.destroy();
			});
			socket.once('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
		});
	}

	it('speaks TLS 1.2 and 1.3, and answers what is older with an alert', async () => {
		assert.equal(await handshake('TLSv1.3'), 'TLSv1.3');
		assert.equal(await handshake('TLSv1.2'), 'TLSv1.2');
		for (const version of ['TLSv1.1', 'TLSv1'] as const)
			assert.equal(await handshake(version), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', version);
	});

	it('answers as it does without, and a certificate of a node opens nothing', async () => {
		const { ca, cert, key } = certificate.material;
		const ask = (headers: Record<string, string>): Promise<number> =>
			new Promise((resolve, reject) => {
				const options = { host: '127.0.0.1', port, servername: 'alpha', ca, cert, key, method: 'POST', agent: false };
				const request = https.request(
					{ ...options, headers: { ...headers, 'content-type': 'application/json' } },
					(response) => {
						response.resume();
						response.once('end', () => resolve(response.statusCode ?? 0));
					},
				);
				request.once('error', reject);
				request.end('{"operation":"get_status"}');
			});
		assert.equal(await ask({ authorization: authorizationOf(admin) ?? '' }), 200);
		assert.equal(await ask({}), 401);
	});

	it('says nothing to a client that does not encrypt', async () => {
		const socket = connectPlain({ host: '127.0.0.1', port });
		let heard = '';
		socket
			.on('error', () => undefined)
			.on('data', (data) => {
				heard += data.toString('latin1');
			});
		socket.write(
			`POST / HTTP/1.1\r\nHost: alpha\r\nAuthorization: ${authorizationOf(admin)}\r\nContent-Length: 0\r\n\r\n`,
		);
		await new Promise((resolve) => socket.once('close', resolve));
		assert.doesNotMatch(heard, /HTTP\/1\.1 2/);
	});
});
