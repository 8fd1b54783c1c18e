import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkerApp } from '../../../src/workers/types.js';
import { makeCertificate } from '../fleet/certificate.js';

/** An app as it runs, and a release that is to take its place. */
export interface Row {
	what: string;
	before: string;
	release: string;
	/** health.path, where there is one. */
	path?: string;
	/** What the file says from the beginning, beyond what all rows have. */
	began?: (app: WorkerApp) => Partial<WorkerApp>;
	/** What the file says of the release, where that is something else. */
	settings?: (app: WorkerApp) => Partial<WorkerApp>;
	/** Why it is refused. */
	says: RegExp;
	/** The ports that its evidence names. */
	proves?: (app: WorkerApp) => number[];
	/** There is no PORT in its environment. */
	unnamed?: boolean;
	/** It is to run into the time limit of a probe; else that is far above any stall of a busy machine. */
	isSlow?: boolean;
	/** Nobody sends it requests. */
	silent?: boolean;
	extension?: string;
}

/** Every program begins so: P is its port, M that of its metrics, O one more. */
const begin = `
const http = require('http'), net = require('net');
const [P, M, O] = ['URL_PORT', 'METRICS', 'OTHER'].map((name) => +process.env[name]);
const ok = (request, response) => response.end('ok');
const answer = (status) => (request, response) => { response.statusCode = status; response.end(); };
const sick = (request, response) => { response.statusCode = request.url === '/healthz' ? 503 : 200; response.end(); };
const serve = (handler, ...where) => http.createServer(handler).listen(...where);
`;
const program = (text: string): string => `${begin}\n${text}\n`;
const app = program('serve(ok, P); serve(ok, M);');

const python = (body: string): string => `
import os, select, signal, socket, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    status = 200
    def do_GET(self):
        self.send_response(self.status if self.path == '/healthz' else 200)
        self.send_header('content-length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
    def log_message(self, *args): pass
class Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ThreadingHTTPServer.server_bind(self)
def serve(port):
    server = Server(('127.0.0.1', port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(0.02)
    while select.select([server.socket], [], [], 0)[0]: server._handle_request_noblock()
    server.server_close()
port, other = int(os.environ['PORT']), int(os.environ['OTHER'])
${body}
`;
const forked = (app: WorkerApp): Partial<WorkerApp> => ({
	interpreter: 'python3',
	reusePort: true,
	ports: [Number(app.env['URL_PORT'])],
});
const fork = { before: python('serve(port)'), began: forked, extension: 'py' };

const portOf = (app: WorkerApp, name: string): number => Number(app.env[name]);
const ungated = (): Partial<WorkerApp> => ({ gate: false });
const healthz = '/healthz';
const notOnPort = /does not listen on port \d+, as the workers before it do; .*needs ports: without \d+/;

/** In pairs where both matter: with `health.path`, and without. */
const neverOpens: [string, string][] = [
	['its metrics port alone is open', 'serve(ok, M);'],
	['a raw TCP port and its metrics are open', 'net.createServer(() => {}).listen(O); serve(ok, M);'],
	[
		'a tool of it has a unix socket, as tsx does',
		`net.createServer(() => {}).listen(process.env.SOCKET + process.pid);`,
	],
	['it listens on a unix socket', 'serve(ok, process.env.SOCKET); serve(ok, M);'],
	['it listens on port 0', 'serve(ok, 0); serve(ok, M);'],
	['it listens on an exclusive port 0', 'serve(ok, { port: 0, exclusive: true }); serve(ok, M);'],
	[
		'it listens on a descriptor',
		'const inherited = net.createServer().listen({ port: 0, exclusive: true }, () => serve(ok, inherited)); serve(ok, M);',
	],
	['it is on its way for a minute', 'serve(ok, M); setTimeout(() => serve(ok, P), 60000);'],
];

/** How an app that listens where it should can be unwell. */
const unwell: { what: string; release: string; path?: string; says: RegExp }[] = [
	{
		what: 'answers 503',
		release: 'serve(answer(503), P)',
		path: healthz,
		says: /GET \/healthz on port \d+ answered 503/,
	},
	{ what: 'answers 500', release: 'serve(answer(500), P)', says: /GET \/ on port \d+ answered 500/ },
	{
		what: 'redirects',
		release: 'serve(answer(302), P)',
		path: healthz,
		says: /GET \/healthz on port \d+ answered 302/,
	},
	{ what: 'speaks no HTTP', release: 'net.createServer(() => {}).listen(P)', says: /speaks no HTTP on port \d+/ },
	{
		what: 'speaks no HTTP',
		release: `net.createServer((socket) => socket.end('hello')).listen(P)`,
		path: healthz,
		says: /speaks no HTTP on port \d+/,
	},
	{ what: 'never answers', release: 'serve(() => {}, P)', says: /gave no answer within 2000 ms/ },
	{ what: 'never answers', release: 'serve(() => {}, P)', path: healthz, says: /gave no answer within 2000 ms/ },
	{
		what: 'answers too late',
		release: 'serve((q, r) => setTimeout(() => r.end(), 20000), P)',
		path: healthz,
		says: /gave no answer within 2000 ms/,
	},
	{ what: 'breaks off', release: 'serve((q) => q.socket.destroy(), P)', says: /gave no answer/ },
	...([healthz, undefined] as const).flatMap((path) => [
		{
			what: 'breaks off amid its answer',
			release: `serve((q, r) => { r.writeHead(200, { 'content-length': 100 }); r.write('x', () => r.destroy()); }, P)`,
			...(path === undefined ? {} : { path }),
			says: /its answer broke off/,
		},
		{
			what: 'sends its headers and no more',
			release: 'serve((q, r) => r.flushHeaders(), P)',
			...(path === undefined ? {} : { path }),
			says: /did not finish its answer within 2000 ms/,
		},
	]),
	{
		what: 'never ends its answer',
		release: `serve((q, r) => setInterval(() => r.write('x'), 100).unref(), P)`,
		path: healthz,
		says: /did not finish its answer within 2000 ms/,
	},
	{
		what: 'throws',
		release: `serve(() => { throw new Error('no table') }, P)`,
		path: healthz,
		says: /no table|process ended/,
	},
];

const { key, cert } = ((): { key: string; cert: string } => {
	const folder = mkdtempSync(join(tmpdir(), 'rl-'));
	const files = makeCertificate(folder);
	const pair = { key: readFileSync(files.key, 'utf8'), cert: readFileSync(files.cert, 'utf8') };
	rmSync(folder, { recursive: true });
	return pair;
})();
const tls = `const https = require('https'), http2 = require('http2'), pair = ${JSON.stringify({ key, cert })};`;
const withoutTls = `require('http2').createServer(ok).listen(P)`;

/** Each is well by its own protocol, which the clients of the workers before it do not speak. */
const otherProtocols: { what: string; release: string; path?: string; says: RegExp }[] = [undefined, healthz].flatMap(
	(path) => [
		{
			what: 'HTTPS',
			release: `${tls} https.createServer(pair, ok).listen(P)`,
			...(path === undefined ? {} : { path }),
			says: /speaks HTTPS on port \d+, where the workers before it speak HTTP\/1, .*needs another PORT/,
		},
		{
			what: 'HTTP/2 without TLS',
			release: withoutTls,
			...(path === undefined ? {} : { path }),
			says: /speaks HTTP\/2 without TLS on port \d+, where the workers before it speak HTTP\/1/,
		},
	],
);

export const lies: Row[] = [
	...neverOpens.flatMap(([what, release]) => [
		{ what: `its port never opens, ${what}`, before: app, release: program(release), says: notOnPort },
		{
			what: `its port never opens, ${what}, with a path`,
			before: app,
			release: program(release),
			path: healthz,
			says: notOnPort,
		},
	]),
	...unwell.map(({ what, release, path, says }) => ({
		what: `its port ${what}${path === undefined ? '' : ', with a path'}, while its metrics are well`,
		before: app,
		release: program(`${release}; serve(ok, M);`),
		...(path === undefined ? {} : { path }),
		says,
		isSlow: says.source.includes('2000 ms'),
	})),
	...otherProtocols.map(({ what, release, path, says }) => ({
		what: `it speaks ${what} on its port, where HTTP/1 was spoken${path === undefined ? '' : ', with a path'}`,
		before: app,
		release: program(`${release}; serve(ok, M);`),
		...(path === undefined ? {} : { path }),
		says,
	})),
	{
		what: 'it speaks HTTP/1 on its port, where HTTP/2 was spoken',
		before: program(`${withoutTls}; serve(ok, M);`),
		release: app,
		silent: true,
		says: /speaks HTTP\/1 on port \d+, where the workers before it speak HTTP\/2 without TLS/,
	},
	{
		what: 'it speaks HTTP/2 alone over TLS, where HTTPS was spoken',
		before: program(`${tls} https.createServer(pair, ok).listen(P);`),
		release: program(`${tls} http2.createSecureServer(pair, ok).listen(P);`),
		silent: true,
		says: /GET \/ on port \d+/,
	},
	{
		what: 'ports: names its port, and it speaks another protocol there',
		before: app,
		release: program(`${withoutTls}; serve(ok, M);`),
		settings: (one) => ({ ports: [portOf(one, 'URL_PORT'), portOf(one, 'METRICS')] }),
		says: /speaks HTTP\/2 without TLS on port \d+.*needs another PORT/,
	},
	{
		what: 'a raw TCP port beside a health path that answers 500',
		before: app,
		release: program('net.createServer(() => {}).listen(O); serve(answer(500), P); serve(answer(500), M);'),
		path: healthz,
		says: /GET \/healthz on port \d+ answered 500/,
	},
	{
		what: 'it drops a second port',
		before: app,
		release: program('serve(ok, P);'),
		says: notOnPort,
	},
	{
		what: 'it listens on one address, the workers before it on all',
		before: app,
		release: program(`serve(ok, P, '127.0.0.1'); serve(ok, M);`),
		says: /listens on port \d+ of 127\.0\.0\.1, not on port \d+, as the workers before/,
	},
	{
		what: 'it closes its port again',
		before: app,
		release: program('serve(ok, M); const s = serve(ok, P, () => setTimeout(() => s.close(), 300));'),
		settings: ({ health }) => ({ health: { ...health, soakMs: 1_500 } }),
		says: /turned unhealthy.*does not listen on port|does not listen on port/,
	},
	{
		what: 'it turns unwell during the soak',
		before: app,
		release: program(
			'serve(ok, M); const t = Date.now(); serve((q, r) => answer(Date.now() - t > 700 ? 503 : 200)(q, r), P);',
		),
		path: healthz,
		settings: ({ health }) => ({ health: { ...health, soakMs: 2_000 } }),
		says: /answered 503/,
	},
	{
		what: 'ports: names a port that it does not open',
		before: app,
		release: app,
		settings: (one) => ({ ports: [portOf(one, 'URL_PORT'), portOf(one, 'OTHER')] }),
		says: /does not listen on port \d+, which ports: names/,
	},
	{
		what: 'PORT was changed, and the new one never opens',
		before: app,
		release: program('serve(ok, M);'),
		settings: (one) => ({ env: { ...one.env, PORT: one.env['OTHER'] ?? '' } }),
		says: /does not listen on port \d+, which PORT names/,
	},
	{
		what: 'PORT is named for the first time, where the workers before it listen, and its metrics alone are open',
		before: app,
		release: program('serve(ok, M);'),
		unnamed: true,
		settings: (one) => ({ env: { ...one.env, PORT: one.env['URL_PORT'] ?? '' } }),
		says: notOnPort,
	},
	{
		what: 'PORT is named for the first time, and never opens',
		before: app,
		release: program('serve(ok, M);'),
		unnamed: true,
		settings: (one) => ({ env: { ...one.env, PORT: one.env['OTHER'] ?? '' } }),
		says: /does not listen on port \d+, which PORT names/,
	},
	{
		what: 'PORT is named no longer, and its metrics alone are open',
		before: app,
		release: program('serve(ok, M);'),
		settings: ({ env: { PORT: _, ...env } }) => ({ env }),
		says: notOnPort,
	},
	{
		what: 'health.port names a port that is unwell',
		before: app,
		release: program('serve(ok, P); serve(sick, M);'),
		path: healthz,
		settings: (one) => ({ health: { ...one.health, port: portOf(one, 'METRICS') } }),
		says: /GET \/healthz on port \d+ answered 503/,
	},
	{
		what: 'without the gate: its metrics port alone is open',
		before: app,
		release: program('serve(ok, M);'),
		began: ungated,
		says: notOnPort,
	},
	{
		what: 'without the gate: its health path answers 503, with metrics that are well',
		before: app,
		release: program('serve(sick, P); serve(ok, M);'),
		path: healthz,
		began: ungated,
		says: /GET \/healthz on port \d+ answered 503/,
	},
	{
		what: 'fork mode: it listens elsewhere',
		...fork,
		release: python('serve(other)'),
		says: /does not listen on port \d+/,
	},
	{
		what: 'fork mode: its health path answers 503',
		...fork,
		release: python('Handler.status = 503; serve(port)'),
		path: healthz,
		silent: true,
		says: /GET \/healthz on port \d+ answered 503/,
	},
	{
		what: 'fork mode: it accepts and never answers',
		...fork,
		release: python('Handler.do_GET = lambda self: time.sleep(60); serve(port)'),
		path: healthz,
		silent: true,
		isSlow: true,
		says: /no answer within 2000 ms/,
	},
];

const patient = ({ health }: WorkerApp): Partial<WorkerApp> => ({
	health: { ...health, deadlineMs: health.deadlineMs + 20_000 },
});
const late = program('serve(ok, M); setTimeout(() => serve(ok, P), 6000);');
const both = (one: WorkerApp): number[] => [portOf(one, 'URL_PORT'), portOf(one, 'METRICS')];

const multiplexed = program(
	`const web = http.createServer(ok); net.createServer((socket) => web.emit('connection', socket)).listen(P);`,
);

const wellMeant: Omit<Row, 'says'>[] = [
	{
		what: 'it speaks HTTP/2 and HTTP/1 over TLS, where HTTPS was spoken',
		before: program(`${tls} https.createServer(pair, ok).listen(P);`),
		release: program(`${tls} http2.createSecureServer({ ...pair, allowHTTP1: true }, ok).listen(P);`),
		silent: true,
		proves: (one) => [portOf(one, 'URL_PORT')],
	},
	{
		what: 'it speaks another protocol on a changed PORT',
		before: program('serve(ok, P);'),
		release: program(`${tls} https.createServer(pair, ok).listen(+process.env.PORT);`),
		silent: true,
		settings: (one) => ({ env: { ...one.env, PORT: one.env['OTHER'] ?? '' } }),
		proves: (one) => [portOf(one, 'OTHER')],
	},
	{
		what: 'its answer is a stream of events',
		before: app,
		release: program(
			`serve((q, r) => { r.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\\n\\n'); if (q.headers['user-agent'] !== 'rollcall-probe') r.end(); }, P); serve(ok, M);`,
		),
		proves: both,
	},
	{ what: 'its port opens 6 s after its metrics', before: app, release: late, settings: patient, proves: both },
	{ what: 'the same, with a path', before: app, release: late, path: healthz, settings: patient, proves: both },
	{
		what: 'it listens on one port more than the workers before it',
		before: program('serve(ok, P);'),
		release: app,
		proves: both,
	},
	{
		what: 'PORT is named for the first time, where it listens as ever',
		before: app,
		release: app,
		unnamed: true,
		settings: (one) => ({ env: { ...one.env, PORT: one.env['URL_PORT'] ?? '' } }),
		proves: both,
	},
	{
		what: 'PORT is named no longer, and it listens as ever',
		before: app,
		release: app,
		settings: ({ env: { PORT: _, ...env } }) => ({ env }),
		proves: both,
	},
	{
		what: 'it drops a port, as ports: says',
		before: app,
		release: program('serve(ok, P);'),
		settings: (one) => ({ ports: [portOf(one, 'URL_PORT')] }),
		proves: (one) => [portOf(one, 'URL_PORT')],
	},
	{
		what: 'it listens on the changed PORT, and on nothing else',
		before: app,
		release: program('serve(ok, +process.env.PORT);'),
		silent: true,
		settings: (one) => ({ env: { ...one.env, PORT: one.env['OTHER'] ?? '' } }),
		proves: (one) => [portOf(one, 'OTHER')],
	},
	{
		what: 'its health path is of another port, which health.port names',
		before: app,
		release: program('serve(sick, P); serve(ok, M);'),
		path: healthz,
		settings: (one) => ({ health: { ...one.health, port: portOf(one, 'METRICS') } }),
		proves: both,
	},
	{
		what: 'it listens on an exclusive port 0 alone',
		before: program('serve(ok, { port: 0, exclusive: true });'),
		release: program('serve(ok, { port: 0, exclusive: true });'),
		silent: true,
	},
	{
		what: 'it listens on a host of its own, by an exclusive listen',
		before: program(`serve(ok, { port: P, host: '127.0.0.2', exclusive: true });`),
		release: program(`serve(ok, { port: O, host: '127.0.0.3', exclusive: true });`),
		silent: true,
	},
	{
		what: 'it listens on a unix socket alone',
		before: program('serve(ok, process.env.SOCKET);'),
		release: program('serve(ok, process.env.SOCKET);'),
		silent: true,
		path: healthz,
	},
	{
		what: 'it speaks no HTTP at all, as the workers before it',
		before: program('net.createServer(() => {}).listen(P);'),
		release: program('net.createServer(() => {}).listen(P);'),
		silent: true,
		unnamed: true,
		proves: (one) => [portOf(one, 'URL_PORT')],
	},
	{
		what: 'its server hands connections on to one that speaks HTTP',
		before: multiplexed,
		release: multiplexed,
		path: healthz,
		silent: true,
		proves: (one) => [portOf(one, 'URL_PORT')],
	},
];

export const honest: Row[] = wellMeant.map((row) => ({ ...row, says: /^$/ }));
