import {
	Agent,
	type ClientRequest,
	type IncomingMessage,
	type RequestOptions,
	request as httpRequest,
} from 'node:http';
import { type FaultCode, messageOf, RollcallError } from '../../errors.js';
import type { RolloutView } from '../../rollout/types.js';

/** Where the daemon is: its admin socket, or the address of a remote one. */
export type Target =
	| { kind: 'socket'; path: string }
	/** `ca`: PEM of the authority that signed the server's certificate; null: the system's. */
	| { kind: 'url'; url: URL; ca: string | null };

export type Credentials = { username: string; password: string } | { token: string };

export interface ClientOptions {
	target: Target;
	/** null: none are sent; on the socket that means super_user. */
	credentials: Credentials | null;
	/** Longest that one answer may take. */
	timeoutMs: number;
	/** Cancels open requests. */
	signal: AbortSignal;
}

export interface Answer {
	status: number;
	body: unknown;
}

/** Longest answer that is read; a longer one is a fault, not a reason to fill the memory. */
const answerBytesMax = 32 * 1024 * 1024;
/** Longest line of what is followed. */
const lineBytesMax = 4 * 1024 * 1024;
/** What is followed has to say something this often (a blank line will do); after that the link counts as broken. */
const streamSilenceMaxMs = 90_000;

const socketFaults: Readonly<Record<string, string>> = {
	ENOENT: 'there is no such socket',
	ECONNREFUSED: 'nothing listens there',
	ECONNRESET: 'the connection was cut',
	EPIPE: 'the connection was cut',
	ENOTFOUND: 'the name is not known',
	EAI_AGAIN: 'the name could not be looked up',
	EHOSTUNREACH: 'the host cannot be reached',
	ENETUNREACH: 'the network cannot be reached',
	ETIMEDOUT: 'the host does not answer',
	ENAMETOOLONG: 'the path is longer than a socket may have (107 bytes)',
};

/** The daemon had taken the connection before it went. */
const cutCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE']);

/** Speaks with one daemon. Refusals are {@link RollcallError}s whose exit codes are the command's. */
export class Client {
	readonly #options: ClientOptions;
	readonly #agent: Promise<{ agent: Agent; request: typeof httpRequest }>;

	constructor(options: ClientOptions) {
		this.#options = options;
		this.#agent = makeAgent(options.target);
	}

	/** Runs an operation; resolves to the answer's body, rejects with the refusal. */
	async operation(name: string, fields: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
		const { status, body } = await this.#exchange('POST', '/', JSON.stringify({ ...fields, operation: name }));
		if (status >= 200 && status < 300) return body;
		throw refusal(status, body);
	}

	/** Reads one of the daemon's pages, whatever its status. */
	get(path: string): Promise<Answer> {
		return this.#exchange('GET', path, null);
	}

	/**
	 * One rollout, over one connection: first as it stands, then whole again at each change. Ends when the daemon ends
	 * it, and rejects with `unreachable` when the connection breaks.
	 */
	changes(id: string, signal: AbortSignal): AsyncGenerator<RolloutView> {
		return this.lines('get_rollout', { id }, signal) as AsyncGenerator<RolloutView>;
	}

	/** The lines of an operation that answers until it is cancelled, over one connection; ends and rejects as {@link changes} does. */
	async *lines(name: string, fields: Readonly<Record<string, unknown>>, signal: AbortSignal): AsyncGenerator<unknown> {
		const body = JSON.stringify({ ...fields, operation: name });
		let response: IncomingMessage | null = null;
		try {
			response = await this.#send('POST', '/', body, 'application/x-ndjson', signal);
			if (response.statusCode !== 200) {
				throw refusal(response.statusCode ?? 0, parseBody(await readAll(response)));
			}
			this.#endIfSilent(response);
			for await (const line of linesOf(response)) {
				if (line.trim() !== '') yield JSON.parse(line) as unknown;
			}
		} catch (error) {
			throw error instanceof RollcallError ? error : this.#asFault(error);
		} finally {
			response?.destroy();
		}
	}

	#endIfSilent(response: IncomingMessage): void {
		response.setTimeout(streamSilenceMaxMs, () => response.destroy(new Error('nothing was heard for too long')));
	}

	close(): void {
		void this.#agent.then(({ agent }) => agent.destroy()).catch(() => undefined);
	}

	/** How a person would name the daemon that this client speaks with. */
	get where(): string {
		const { target } = this.#options;
		return target.kind === 'socket' ? target.path : target.url.origin;
	}

	async #exchange(method: string, path: string, body: string | null): Promise<Answer> {
		const { timeoutMs, signal } = this.#options;
		const late = AbortSignal.timeout(timeoutMs);
		try {
			const response = await this.#send(method, path, body, 'application/json', AbortSignal.any([signal, late]));
			return { status: response.statusCode ?? 0, body: parseBody(await readAll(response)) };
		} catch (error) {
			if (late.aborted && !signal.aborted) {
				const what = body === null ? `GET ${path}` : 'the operation';
				const carriedOut = body === null ? '' : ' It may still be carried out.';
				throw new RollcallError(
					'timeout',
					`${this.where} did not answer ${what} within ${timeoutMs / 1000} s.${carriedOut} Allow it more with --timeout.`,
				);
			}
			if (error instanceof RollcallError) throw error;
			throw this.#asFault(error, body !== null);
		}
	}

	async #send(
		method: string,
		path: string,
		body: string | null,
		accept: string,
		signal: AbortSignal,
	): Promise<IncomingMessage> {
		const { target, credentials } = this.#options;
		const { agent, request } = await this.#agent;
		const headers: Record<string, string> = { accept };
		if (body !== null) headers['content-type'] = 'application/json';
		if (credentials) headers['authorization'] = authorizationOf(credentials);
		const options: RequestOptions = { method, path, headers, agent, signal };
		const outgoing =
			target.kind === 'socket'
				? request({ ...options, socketPath: target.path, host: 'localhost' })
				: request(target.url, { ...options, path });
		return answerTo(outgoing, body);
	}

	/** `asked`: an operation was sent, so it may have had its effect. */
	#asFault(error: unknown, asked = false): Error {
		const { target, signal } = this.#options;
		if (signal.aborted) return signal.reason instanceof Error ? signal.reason : new Error('given up');
		const code = String((error as NodeJS.ErrnoException).code ?? '');
		if (target.kind === 'socket' && (code === 'EACCES' || code === 'EPERM')) {
			return new RollcallError(
				'forbidden',
				`You may not use ${target.path}: the socket's file mode decides who may. Join its group, or run this as root or as the daemon's user.`,
				{},
				{ cause: error },
			);
		}
		if (asked && cutCodes.has(code)) {
			return new RollcallError(
				'unreachable',
				`The connection to ${this.where} was cut before the answer came, so what you asked for may be done or under way. Look before you ask again: rollcall rollout status, on this node once its daemon runs, or on another one.`,
				{},
				{ cause: error },
			);
		}
		const why = socketFaults[code] ?? messageOf(error);
		const hint =
			target.kind === 'socket'
				? 'Is the daemon running (systemctl status rollcall, or rollcall daemon --config FILE)? Another one is named with --socket or --config.'
				: 'Is the address right, and the certificate signed by an authority that --ca names?';
		return new RollcallError(
			'unreachable',
			`No daemon answers at ${this.where}: ${why}. ${hint}`,
			{},
			{ cause: error },
		);
	}
}

async function makeAgent(target: Target): Promise<{ agent: Agent; request: typeof httpRequest }> {
	const settings = { keepAlive: true, maxSockets: 8 };
	if (target.kind === 'url' && target.url.protocol === 'https:') {
		// Only an https address pays for loading TLS.
		const https = await import('node:https');
		const trust = target.ca === null ? {} : { ca: target.ca };
		return { agent: new https.Agent({ ...settings, ...trust }), request: https.request };
	}
	return { agent: new Agent(settings), request: httpRequest };
}

function answerTo(outgoing: ClientRequest, body: string | null): Promise<IncomingMessage> {
	return new Promise((resolve, reject) => {
		outgoing.once('response', resolve);
		outgoing.on('error', reject);
		outgoing.end(body ?? undefined);
	});
}

async function readAll(response: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		length += chunk.length;
		if (length > answerBytesMax) {
			throw new RollcallError('internal', `The answer is longer than ${answerBytesMax} bytes; it was not read.`);
		}
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString('utf8');
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
	response.setEncoding('utf8');
	let rest = '';
	for await (const text of response as AsyncIterable<string>) {
		const lines = (rest + text).split('\n');
		rest = lines.pop() ?? '';
		if (rest.length > lineBytesMax) {
			throw new RollcallError('internal', `A line of what is followed is longer than ${lineBytesMax} characters.`);
		}
		yield* lines;
	}
	yield rest;
}

/** Parses JSON answers; others (a proxy's page, metrics) stay text. */
function parseBody(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

const codeOfStatus: Readonly<Record<number, FaultCode>> = {
	400: 'invalid',
	401: 'unauthenticated',
	403: 'forbidden',
	404: 'not_found',
	409: 'conflict',
	413: 'too_large',
	415: 'media_type',
	429: 'throttled',
	503: 'unavailable',
};

function refusal(status: number, body: unknown): RollcallError {
	const code = codeOfStatus[status] ?? 'internal';
	if (typeof body !== 'object' || body === null) {
		return new RollcallError(code, `The daemon answered ${status}: ${String(body).slice(0, 500)}`);
	}
	const { error, ...extra } = body as Record<string, unknown>;
	const detail = Array.isArray(extra['unauthorized_access']) ? `: ${extra['unauthorized_access'].join('. ')}` : '';
	return new RollcallError(
		code,
		`${typeof error === 'string' ? error : `The daemon answered ${status}`}${detail}`,
		extra,
	);
}

const authorizationOf = (credentials: Credentials): string =>
	'token' in credentials
		? `Bearer ${credentials.token}`
		: `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`, 'utf8').toString('base64')}`;
