import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startLoad } from '../../support/workers/load.js';
import { lives, python, Supervised, until } from '../../support/workers/supervised.js';

const health = { path: '/', timeoutMs: 2_000, deadlineMs: 10_000, soakMs: 300, intervalMs: 400, failures: 2 };

/** A program that shares its port, and that accepts what waits there before it closes it. */
const sharing = (word: string): string => `
import os, select, signal, socket, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = ('${word} ' + str(os.getpid())).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ThreadingHTTPServer.server_bind(self)
server = Server(('127.0.0.1', int(os.environ['PORT'])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.02)
while select.select([server.socket], [], [], 0)[0]: server._handle_request_noblock()
server.server_close()
`;

test('a program that binds with SO_REUSEPORT is replaced without a gap: the new ones are proven beside the old', async (t) => {
	const node = await Supervised.start(sharing('one'), { interpreter: 'python3', reusePort: true, health });
	try {
		const before = node.pids;
		const load = startLoad({ urls: node.url, ratePerSecond: 100, keepAliveShare: 0 });
		await load.answered(50);
		node.release(sharing('two'), 'py');
		let least = 2;
		node.supervisor.on('readiness', ([web]) => {
			least = Math.min(least, web?.healthy ?? 0);
		});
		const result = await node.replace();
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.equal(least, 2);
		assert.ok(!before.some(lives));
		await load.answered(50);
		const report = await load.stop();
		t.diagnostic(`lost ${report.lost} of ${report.sent}, longest gap ${Math.round(report.longestGapMs)} ms`);
		assert.ok(report.longestGapMs < 5_000);
		// What waits in a listener that closes is the kernel's to keep, and by default it does not.
		assert.ok(report.lost <= 2, report.failures.join(', '));
		assert.match(await (await fetch(node.url)).text(), /^two /);
	} finally {
		await node.end();
	}
});

test('a release that shares its port and answers badly is refused by its own answers, and every old one serves on', async () => {
	const startedAt = performance.now();
	const node = await Supervised.start(sharing('one'), { interpreter: 'python3', reusePort: true, health });
	const startMs = performance.now() - startedAt;
	try {
		const before = node.pids;
		node.release(sharing('two').replace('send_response(200)', 'send_response(503)'), 'py');
		// A machine that takes long to start one gets longer to prove its successor.
		const deadlineMs = Math.max(6_000, 3 * startMs);
		const result = await node.replace({ health: { ...health, deadlineMs } });
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.match(result.reason ?? '', /answered 503/);
		assert.deepEqual(node.pids.sort(), before.sort());
	} finally {
		await node.end();
	}
});

test('the only instance of a program goes out of readiness first, load balancers get lb_wait, and it ends only then', async () => {
	const node = await Supervised.start(
		python('one'),
		{ interpreter: 'python3', instances: 1, health },
		{ lbWaitMs: 1_500 },
	);
	try {
		const [old = 0] = node.pids;
		let offAt = 0;
		let stillAnswers = false;
		node.supervisor.on('readiness', ([web]) => {
			if (web?.healthy !== 0 || offAt > 0) return;
			offAt = performance.now();
			void fetch(node.url).then((answer) => {
				stillAnswers = answer.ok;
			});
		});
		const gone = until(() => !lives(old), 20_000, 'the old one to end').then(() => performance.now());
		node.release(python('two'), 'py');
		const result = await node.replace();
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.ok((await gone) - offAt >= 1_400, `${(await gone) - offAt} ms`);
		assert.ok(stillAnswers, 'it serves while load balancers have not seen it yet');
		assert.match(await (await fetch(node.url)).text(), /^two /);
		// The node as a whole is being stopped: whoever does that has waited already.
		const began = performance.now();
		await node.supervisor.shutdown();
		assert.ok(performance.now() - began < 1_400);
	} finally {
		await node.end();
	}
});
