import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { connect as connectPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { TestAuthority, type TestCertificate } from '../../support/fleet/authority.js';
import {
	admin,
	authorizationOf,
	startTestServer,
	type TestServer,
} from '../../support/operations/operations-server.js';

describe('the operations API over TLS', () => {
	const folder = mkdtempSync(join(tmpdir(), 'rc-https-'));
	let authority: TestAuthority;
	let certificate: TestCertificate;
	let server: TestServer;
	let port: number;
	before(async () => {
		authority = await TestAuthority.make(folder);
		certificate = await authority.issue('alpha');
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

	it('takes up a new certificate for new connections, and an open one goes on; one that does not fit leaves the old one', async () => {
		const own = join(folder, 'renewed');
		mkdirSync(own);
		const files = { cert: join(own, 'cert.pem'), key: join(own, 'key.pem') };
		const put = (from: TestCertificate): void => {
			writeFileSync(files.cert, from.material.cert);
			writeFileSync(files.key, from.material.key);
		};
		put(certificate);
		const renewing = await startTestServer({ settings: { http: { host: '127.0.0.1', port: 0, tls: files } } });
		const open = (): Promise<TLSSocket> => {
			const { ca } = certificate.material;
			const at = { host: '127.0.0.1', port: renewing.server.addresses.http?.port ?? 0, servername: 'alpha', ca };
			const socket = connect(at);
			return once(socket, 'secureConnect').then(() => socket);
		};
		const serialOf = async (): Promise<string> => {
			const socket = await open();
			const { serialNumber } = socket.getPeerCertificate();
			socket.destroy();
			return serialNumber;
		};
		try {
			const before = await serialOf();
			const kept = await open();
			put(await authority.issue('alpha'));
			assert.equal(await serialOf(), before, 'nothing is read unasked');
			assert.match((await renewing.server.renewCertificate()) ?? '', /BEGIN CERTIFICATE/);
			assert.equal(await renewing.server.renewCertificate(), null);
			const after = await serialOf();
			assert.notEqual(after, before);
			kept.write('GET /livez HTTP/1.1\r\nHost: alpha\r\n\r\n');
			assert.match(String((await once(kept, 'data'))[0]), /^HTTP\/1.1 200 /);
			kept.destroy();
			writeFileSync(files.key, certificate.material.key);
			await assert.rejects(
				renewing.server.renewCertificate(),
				/operations_api\.http\.tls: a certificate and its private key/,
			);
			put(await authority.issue('alpha', -1));
			for (const way of ['checkCertificate', 'renewCertificate'] as const)
				await assert.rejects(
					renewing.server[way](),
					/^RollcallError: operations_api\.http\.tls\.cert: expected a certificate that is valid now \(.*\), got one that expired on .*; put a new one into .*cert\.pem$/,
				);
			rmSync(files.cert);
			await assert.rejects(renewing.server.renewCertificate(), /operations_api\.http\.tls\.cert: .* cannot be read/);
			assert.equal(await serialOf(), after);
		} finally {
			await renewing.close();
		}
	});

	it('cuts off a client that does not finish its handshake, and counts it among the connections', async () => {
		const bounded = await startTestServer({
			settings: { http: { host: '127.0.0.1', port: 0, tls: certificate.files } },
			limits: { handshakeMs: 200, httpConnectionsMax: 2 },
		});
		const silent = (): Socket => connectPlain({ host: '127.0.0.1', port: bounded.server.addresses.http?.port ?? 0 });
		const held = [silent(), silent()];
		await Promise.all(held.map((socket) => once(socket, 'connect')));
		const beyond = silent();
		await Promise.all([...held, beyond].map((socket) => once(socket.on('error', () => undefined).resume(), 'close')));
		await bounded.close();
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
