import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Config } from '../../../src/config/schema.js';
import { createLogger } from '../../../src/log.js';
import { openAudit } from '../../../src/server/audit.js';
import type { PeerReader } from '../../../src/system/connections/peer-credentials.js';
import { type Access, openAccess } from '../../../src/server/access/access.js';
import type { Limits } from '../../../src/server/limits.js';
import type { PasswordCost } from '../../../src/server/access/passwords.js';
import type { ReadinessFacts } from '../../../src/server/readiness.js';
import { createServer } from '../../../src/server/server.js';
import type { OperationObservation, Server } from '../../../src/server/types.js';
import { type FakeServices, fakeServices } from './fake-services.js';

export type Login = { basic: readonly [string, string] } | { bearer: string } | { header: string } | null;
export const admin: Login = { basic: ['admin', 'correct-horse-battery'] };
export const bob: Login = { basic: ['bob', 'bob-password-1'] };
export const sam: Login = { basic: ['sam', 'sam-password-1'] };

export interface Ask {
	method?: string;
	path?: string;
	login?: Login;
	headers?: Record<string, string>;
	/** Sent as JSON. */
	json?: unknown;
	/** Sent as it is. */
	raw?: string | Buffer;
}

export interface Reply {
	status: number;
	headers: http.IncomingHttpHeaders;
	body: string;
}

export type Over = 'http' | 'socket';

export interface TestServer extends FakeServices {
	folder: string;
	server: Server;
	access: Access;
	facts: ReadinessFacts;
	observations: OperationObservation[];
	clock: { now: number };
	ask(over: Over, ask: Ask): Promise<Reply>;
	close(): Promise<void>;
}

/** Cheap hashes: what is tested is never how long they take. */
export const cheapCost: PasswordCost = { log2n: 10, r: 8, p: 1 };

interface TestServerOptions {
	limits?: Partial<Limits>;
	settings?: Partial<Config['operations_api']>;
	users?: boolean;
	/** Gets every line of the log. */
	log?: (line: string) => void;
	/** Whom the kernel names, if it is not asked. */
	readPeer?: PeerReader;
	/** Is told of every operation, beside the list of observations. */
	observe?: (observation: OperationObservation) => void;
}

/** A real server on a free port and a socket, with fake services behind it and the contract's three users. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
	const folder = await mkdtemp(join(tmpdir(), 'rc-ops-'));
	try {
		return await startIn(folder, options);
	} catch (error) {
		await rm(folder, { recursive: true, force: true });
		throw error;
	}
}

async function startIn(folder: string, options: TestServerOptions): Promise<TestServer> {
	const clock = { now: Date.now() };
	const access = await openAccess({
		stateDir: folder,
		admin: options.users === false ? { username: undefined, password: undefined } : namesOf(admin),
		now: () => clock.now,
		cost: cheapCost,
	});
	if (options.users !== false) {
		await access.users.add({ ...namesOf(bob), role: 'viewer', active: true });
		await access.users.add({ ...namesOf(sam), role: 'super_user', active: false });
	}
	const logger = options.log ? pino({ level: 'trace' }, { write: options.log }) : createLogger('silent');
	const audit = openAudit(folder, logger);
	const services = fakeServices(access, audit);
	const observations: OperationObservation[] = [];
	const releases = () => ({ web: { path: '/srv/web.js', revision: 'v1' } });
	const facts: ReadinessFacts = { started: true, draining: false, availability: null, apps: services.apps, releases };
	const server = await createServer({
		settings: {
			socket: { path: join(folder, 'admin.sock'), mode: 0o660 },
			http: { host: '127.0.0.1', port: 0 },
			health: { host: '127.0.0.1', port: 0 },
			metrics: { host: '127.0.0.1', port: 0 },
			...options.settings,
		},
		node: services.node,
		logins: access.logins,
		readiness: () => ({ ...facts, availability: services.node.statuses.availability() }),
		metrics: async () => '# HELP fake A fake.\n',
		audit,
		logger,
		...(options.readPeer ? { readPeer: options.readPeer } : {}),
		version: '0.0.0-test',
		observe: (observation) => {
			options.observe?.(observation);
			observations.push(observation);
			// A bench asks a million times.
			if (observations.length > 1_000) observations.length = 0;
		},
		...(options.limits ? { limits: options.limits } : {}),
	});
	const { addresses } = server;
	const targets: Record<Over, http.RequestOptions> = {
		socket: { socketPath: addresses.socket },
		http: { host: '127.0.0.1', port: addresses.http?.port },
	};
	return {
		...services,
		folder,
		server,
		access,
		facts,
		observations,
		clock,
		ask: (over, ask) => send(targets[over], ask),
		close: async () => {
			await server.close();
			audit.close();
			await rm(folder, { recursive: true, force: true });
		},
	};
}

export function namesOf(login: Login): { username: string; password: string } {
	if (login === null || !('basic' in login)) throw new TypeError('no name and password');
	return { username: login.basic[0], password: login.basic[1] };
}

export function authorizationOf(login: Login): string | null {
	if (login === null) return null;
	if ('bearer' in login) return `Bearer ${login.bearer}`;
	return 'header' in login ? login.header : `Basic ${Buffer.from(login.basic.join(':')).toString('base64')}`;
}

/** One request on a connection of its own. */
export function send(target: http.RequestOptions, ask: Ask): Promise<Reply> {
	const payload = ask.raw ?? (ask.json === undefined ? undefined : JSON.stringify(ask.json));
	const authorization = authorizationOf(ask.login ?? null);
	return new Promise((resolve, reject) => {
		const request = http.request(
			{
				...target,
				method: ask.method ?? 'POST',
				path: ask.path ?? '/',
				agent: false,
				headers: {
					...(ask.json === undefined ? {} : { 'content-type': 'application/json' }),
					...(authorization === null ? {} : { authorization }),
					...(payload === undefined ? {} : { 'content-length': Buffer.byteLength(payload) }),
					...ask.headers,
				},
			},
			(response) => {
				const chunks: Buffer[] = [];
				response.on('data', (chunk: Buffer) => chunks.push(chunk));
				response.once('error', reject);
				response.once('end', () =>
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						body: Buffer.concat(chunks).toString('utf8'),
					}),
				);
			},
		);
		request.once('error', reject);
		request.end(payload);
	});
}
