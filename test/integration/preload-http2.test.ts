import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { makeCertificate } from '../support/certificate.js';
import { Http2Load, type Http2LoadOptions } from '../support/http2-load.js';
import { freePort, Primary, type TestWorker, within } from '../support/primary.js';

const replacements = 5;

let primary: Primary;
beforeEach(() => {
	primary = new Primary();
});
afterEach(() => primary.stop());

interface Served {
	url: string;
	start(): Promise<TestWorker>;
}

async function serve(secure: boolean, delayMs = 0): Promise<Served> {
	const port = await freePort();
	const { key, cert } = makeCertificate(primary.directory);
	const env = { PORT: String(port), DELAY_MS: String(delayMs), ...(secure ? { TLS_KEY: key, TLS_CERT: cert } : {}) };
	return {
		url: `${secure ? 'https' : 'http'}://127.0.0.1:${port}`,
		start: async () => {
			const worker = await primary.start('http2.cjs', { env });
			await worker.listening();
			await worker.control.live();
			return worker;
		},
	};
}

const loads: [string, Http2LoadOptions, number][] = [
	['20 at once, answered at once', { slots: 20 }, 0],
	['20 at once, answered after 5 ms', { slots: 20 }, 5],
	['one after the other', { slots: 1 }, 0],
	['one every 20 ms', { everyMs: 20 }, 5],
];

for (const secure of [false, true]) {
	for (const [name, options, delayMs] of loads) {
		test(`no request is lost when HTTP/2 workers are replaced ${replacements} times, ${secure ? 'over TLS' : 'in the clear'}: ${name}`, async () => {
			const { url, start } = await serve(secure, delayMs);
			let old = await start();
			const load = new Http2Load(url, options);
			await load.until(() => load.ok >= 20);
			for (let count = 0; count < replacements; count++) {
				const fresh = await start();
				await old.control.drain({ timeoutMs: 20_000, handOver: true });
				assert.deepEqual(await old.pushed('drained'), { event: 'drained', cutOff: 0, handedOver: 0 });
				assert.equal((await within('exit', old.exited)).code, 0);
				await within('answers', load.until(() => load.latest.slice(-20).every((pid) => pid === String(fresh.pid))));
				old = fresh;
			}
			const { failures, sessions } = await load.stop();
			assert.deepEqual(failures, []);
			assert.equal(sessions, replacements + 1);
		});
	}
}
