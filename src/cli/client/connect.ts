import { readFileSync, statSync } from 'node:fs';
import { messageOf, RollcallError } from '../../errors.js';
import { Client, type Credentials, type Target } from './client.js';
import { parseSpan, readSocketPath } from './places.js';
import { shellWord } from '../output/format.js';

/** The options that every command takes, as they were typed. */
export interface CommonOptions {
	config?: string;
	socket?: string;
	url?: string;
	ca?: string;
	credentials?: string;
	tokenFile?: string;
	timeout?: string;
	json?: boolean;
}

/** How a command finds its daemon, ready to be used and to be told again to a person. */
export interface Connection {
	client: Client;
	/** The words that name the same daemon on a command line: ` --socket /run/…`, or nothing for the default. */
	words: string;
	/** As `--timeout` says it, null without one. */
	timeoutMs: number | null;
}

const answerTimeoutDefaultMs = 30_000;

export async function connect(options: CommonOptions, signal: AbortSignal): Promise<Connection> {
	const { env } = process;
	if (options.socket !== undefined && options.url !== undefined) {
		throw new RollcallError('usage', '--socket and --url name two daemons; give one of them.');
	}
	const timeoutMs = options.timeout === undefined ? null : timeoutOf(options.timeout);
	const target = await targetOf(options, env);
	const credentials = credentialsOf(options, env);
	if (target.kind === 'url' && credentials && target.url.protocol === 'http:' && !isLoopback(target.url)) {
		throw new RollcallError(
			'usage',
			`${target.url.origin} would carry the credentials readable for anyone on the way: use https, or --socket on the host.`,
		);
	}
	const client = new Client({ target, credentials, timeoutMs: timeoutMs ?? answerTimeoutDefaultMs, signal });
	return { client, words: wordsOf(options), timeoutMs };
}

export function timeoutOf(text: string): number {
	const ms = parseSpan(/^\d+$/.test(text) ? `${text}s` : text);
	if (ms !== null && ms >= 1 && ms <= 2 ** 31 - 1) return ms;
	throw new RollcallError('usage', `--timeout takes a duration such as 30s or 5m, not '${text}'.`);
}

async function targetOf(options: CommonOptions, env: NodeJS.ProcessEnv): Promise<Target> {
	if (options.socket !== undefined) return { kind: 'socket', path: options.socket };
	if (options.url === undefined) {
		return { kind: 'socket', path: await readSocketPath(options.config ?? null, env) };
	}
	const url = URL.canParse(options.url) ? new URL(options.url) : null;
	if (!url || !['http:', 'https:'].includes(url.protocol)) {
		throw new RollcallError('usage', `--url takes an address such as https://alpha:9925, not '${options.url}'.`);
	}
	if (url.username !== '' || url.password !== '') {
		throw new RollcallError(
			'usage',
			'--url must not hold credentials, since everyone on the host can read a command line: set ROLLCALL_TOKEN, or ROLLCALL_USERNAME and ROLLCALL_PASSWORD, or give --token-file or --credentials FILE.',
		);
	}
	return { kind: 'url', url, ca: options.ca === undefined ? null : readText(options.ca, '--ca') };
}

/** From a file, or from the environment for a remote daemon; on the socket no credentials means super_user. */
function credentialsOf(options: CommonOptions, env: NodeJS.ProcessEnv): Credentials | null {
	if (options.credentials !== undefined && options.tokenFile !== undefined)
		throw new RollcallError('usage', '--credentials and --token-file name two callers; give one of them.');
	if (options.tokenFile !== undefined)
		return { token: tokenOf(readSecret(options.tokenFile, '--token-file'), options.tokenFile) };
	if (options.credentials !== undefined) return readCredentials(options.credentials);
	const token = env['ROLLCALL_TOKEN'];
	if (options.url !== undefined && token !== undefined) return { token: tokenOf(token, 'ROLLCALL_TOKEN') };
	const username = env['ROLLCALL_USERNAME'];
	const password = env['ROLLCALL_PASSWORD'];
	if (options.url === undefined || username === undefined || password === undefined) return null;
	return { username, password };
}

/** One line `username:password`, in a file that only its owner may read. */
function readCredentials(file: string): Credentials {
	const text = readSecret(file, '--credentials');
	const colon = text.indexOf(':');
	if (colon < 1) throw new RollcallError('usage', `${file} must hold one line, username:password.`);
	return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** A header could not carry anything else. What was found is not repeated: it may be a secret. */
function tokenOf(text: string, where: string): string {
	if (/^[\w.~+/-]+=*$/.test(text)) return text;
	throw new RollcallError('usage', `${where} must hold a token, as rollcall token create prints it, and nothing else.`);
}

/** The first line of a file that only its owner may read. */
function readSecret(file: string, option: string): string {
	const text = readText(file, option).split(/\r?\n/)[0] ?? '';
	if ((statSync(file).mode & 0o077) === 0) return text;
	throw new RollcallError('usage', `${file} holds a secret and may be read by others: chmod 600 ${file}`);
}

function readText(file: string, option: string): string {
	try {
		return readFileSync(file, 'utf8');
	} catch (error) {
		throw new RollcallError('usage', `${option} ${file} cannot be read: ${messageOf(error)}`, {}, { cause: error });
	}
}

function isLoopback({ hostname }: URL): boolean {
	return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function wordsOf(options: CommonOptions): string {
	const names = {
		socket: 'socket',
		url: 'url',
		config: 'config',
		ca: 'ca',
		credentials: 'credentials',
		tokenFile: 'token-file',
	};
	const given = (Object.keys(names) as (keyof typeof names)[]).filter((name) => options[name] !== undefined);
	return given.map((name) => ` --${names[name]} ${shellWord(options[name] ?? '')}`).join('');
}
