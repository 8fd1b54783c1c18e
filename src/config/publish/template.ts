import { stringify } from 'yaml';
import { RollcallError } from '../../errors.js';
import { ConfigurationError } from '../document/faults.js';
import { parseConfig } from '../load.js';
import { isLoopback } from '../document/network.js';
import type { HttpWorkerEntry } from '../schema.js';

/** What `rollcall init` asks for. Texts are as an operator types them; whatever is not given stays at its default. */
export interface TemplateOptions {
	/** `node.name`; default: the host name. */
	name?: string;
	zone?: string;
	stateDir?: string;
	workerDir?: string;
	runtimeDir?: string;
	/** `HOST:PORT` of the operations API over TCP; without it the admin socket alone answers. */
	http?: string;
	/** `HOST:PORT` where peers are accepted; without it the node stands alone. */
	listen?: string;
	/** `NAME=URL` each; the own node may be among them. */
	peers?: readonly string[];
	/** Certificate files of the cluster; default where an address is not loopback: tls/{ca,cert,key}.pem beside the file. */
	tls?: { ca: string; cert: string; key: string };
	/** The shared secret's file; default where all addresses are loopback: cluster.secret beside the file. */
	secretFile?: string;
	/** The first app; without a script none is written. */
	script?: string;
	/** Default: web. */
	appName?: string;
	cwd?: string;
	interpreter?: string;
	user?: string;
	/** A number or max, as a text too. */
	instances?: number | string;
	/** What the app gets as PORT (and, in fork mode, as `ports`). */
	port?: number;
	healthPath?: string;
	/** Apps as they stand in the file, instead of the first app. */
	apps?: readonly HttpWorkerEntry[];
	/** What a person who reads the file should know about its apps, a line each. */
	appNotes?: readonly string[];
}

/** The part of {@link TemplateOptions} that apps of another supervisor come to. */
export type Configured = Pick<TemplateOptions, 'apps'>;

/** The files beside the configuration that an initial configuration refers to by default. */
export const defaultSecretFile = 'cluster.secret';
export const defaultTlsFiles = { ca: 'tls/ca.pem', cert: 'tls/cert.pem', key: 'tls/key.pem' };

/**
 * A commented configuration. It was checked as {@link parseConfig} does, but for the files it refers to, which may not be
 * there yet. Throws `usage` for flags that make no valid one.
 */
export function configurationTemplate(options: TemplateOptions): string {
	const text = [
		'# Configuration of Rollcall. Every key:  rollcall help configuration',
		'# Check it after a change:  rollcall validate --config FILE',
		'',
		...nodeLines(options),
		...listenerLines(options),
		...appLines(options),
		...clusterLines(options),
		'# How a rolling restart goes through the fleet.',
		'rollout:',
		'  max_unavailable: 1   # nodes that may be out at once: a number, or per cent such as 25%',
		'  on_failure: halt     # or continue, or revert',
		'',
	].join('\n');
	checkText(text);
	return text;
}

/** The first problem of a configuration with these apps, in one line, or null. */
export function configurationFaults(options: Configured): string | null {
	try {
		parseText(appLines(options).join('\n'));
		return null;
	} catch (error) {
		if (error instanceof ConfigurationError) return faultsText(error);
		throw error;
	}
}

const parseText = (text: string) =>
	parseConfig(text, { file: 'rollcall.yaml', env: {}, underSystemd: true, secretFiles: 'ignored' });

const faultsText = (error: ConfigurationError): string =>
	error.faults.map((fault) => `${fault.key}: expected ${fault.expected}, got ${fault.got}`).join('; ');

/** The value came from a flag, so line and column of the generated text would not help. */
function checkText(text: string): void {
	try {
		parseText(text);
	} catch (error) {
		if (!(error instanceof ConfigurationError)) throw error;
		const message = `These flags make no valid configuration: ${faultsText(error)}`;
		throw new RollcallError('usage', message, {}, { cause: error });
	}
}

/** A key with its value in YAML, in quotes wherever YAML would read the text as something else. */
function pair(indent: string, key: string, value: unknown, comment = ''): string[] {
	if (value === undefined) return [];
	const options = { lineWidth: 0, version: '1.2', collectionStyle: 'flow' } as const;
	const text = stringify(value, options).trimEnd();
	// A text of several lines would become a block, and each value stands in one line here. JSON is YAML, too.
	const scalar = /[\r\n]/.test(text) ? JSON.stringify(value) : text;
	return [`${indent}${key}: ${scalar}${comment === '' ? '' : `   # ${comment}`}`];
}

function nodeLines(options: TemplateOptions): string[] {
	const name = pair('  ', 'name', options.name, 'unique in the fleet; default: the host name');
	const zone = pair('  ', 'zone', options.zone, 'a rollout goes zone by zone');
	const named = name.length + zone.length > 0;
	return [
		...(named ? ['node:', ...name, ...zone] : ['# node:', '#   name: alpha   # default: the host name']),
		'',
		...pair('', 'state_dir', options.stateDir ?? '/var/lib/rollcall', 'wanted state, users, rollout records'),
		...pair(
			'',
			'worker_dir',
			options.workerDir ?? '/var/lib/rollcall-workers',
			'keep it short: sockets stand below it',
		),
		...pair('', 'runtime_dir', options.runtimeDir ?? '/run/rollcall', 'admin.sock stands here'),
		'',
	];
}

function listenerLines(options: TemplateOptions): string[] {
	if (options.http === undefined) {
		return [
			'# Operations over TCP, beside the admin socket. Anything but loopback needs tls.',
			'# operations_api:',
			'#   http: {host: 127.0.0.1, port: 9925}',
			'',
		];
	}
	return [
		'# Operations over TCP, beside the admin socket; TCP always asks for a user and a password.',
		'operations_api:',
		...pair('  ', 'http', addressOf('http', options.http)),
		'',
	];
}

function appLines(options: TemplateOptions): string[] {
	if (options.apps !== undefined && options.apps.length > 0) {
		return [
			'# The http apps of this node.',
			...noteLines(options),
			'http_workers:',
			...options.apps.flatMap(entryLines),
			'',
		];
	}
	if (options.script === undefined) {
		return [
			'# The http apps of this node.',
			...noteLines(options),
			'# http_workers:',
			'#   - name: web',
			'#     script: ./server.js   # relative to cwd',
			'#     instances: 2          # or max: one a CPU',
			'',
		];
	}
	const forkMode = options.interpreter !== undefined && options.interpreter !== 'node';
	return [
		'# The http apps of this node.',
		'http_workers:',
		...pair('  - ', 'name', options.appName ?? 'web'),
		...pair('    ', 'script', options.script, 'relative to cwd'),
		...pair('    ', 'cwd', options.cwd, "relative to this file's folder"),
		...pair('    ', 'interpreter', options.interpreter),
		...pair('    ', 'user', options.user),
		...pair('    ', 'instances', instancesOf(options.instances ?? 2), 'or max: one a CPU'),
		...(options.port === undefined ? [] : pair('    ', 'env', { PORT: String(options.port) }, 'numbers in quotes')),
		...(options.port !== undefined && forkMode ? pair('    ', 'ports', [options.port]) : []),
		...healthLines(options),
		'    drain: {timeout: 30s}   # longest a replaced worker may finish its requests',
		'',
	];
}

/** A line break in a note would end the comment. */
const noteLines = ({ appNotes = [] }: TemplateOptions): string[] =>
	appNotes.map((note) => `# ${note.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')}`);

/** One app with all its keys, in the order given. */
const entryLines = (entry: HttpWorkerEntry): string[] =>
	Object.entries(entry).flatMap(([key, value], index) => {
		const indent = index === 0 ? '  - ' : '    ';
		return key === 'env' ? [`${indent}env:`, ...variableLines(entry.env ?? {})] : pair(indent, key, value);
	});

/** The name of a variable may be what YAML reads as something else, such as null. */
const variableLines = (variables: Readonly<Record<string, string>>): string[] =>
	Object.entries(variables).flatMap(([name, value]) => pair('      ', stringify(name).trimEnd(), value));

function healthLines(options: TemplateOptions): string[] {
	if (options.healthPath !== undefined) {
		return pair('    ', 'health', { path: options.healthPath, deadline: '30s', soak: '1s' }, 'healthy: 2xx');
	}
	return ['    # health: {path: /healthz}   # answers 2xx when healthy; without it GET / with any status below 500'];
}

function clusterLines(options: TemplateOptions): string[] {
	if (options.listen === undefined) {
		if ((options.peers ?? []).length > 0) {
			throw new RollcallError(
				'usage',
				'Peers need the address that this node accepts them on: give listen, as HOST:PORT.',
			);
		}
		return ['# The other nodes, if there are any, stand in cluster: (listen, tls, peers).', ''];
	}
	const listen = addressOf('listen', options.listen);
	const peers = (options.peers ?? []).map(peerOf);
	return [
		'# The fleet. The own entry may stand among the peers, so that one list serves all hosts.',
		'cluster:',
		...pair('  ', 'listen', listen),
		...trustLines(options, isLoopback(listen.host) && peers.every((peer) => peer.url.startsWith('ws://'))),
		...(peers.length === 0
			? ['  peers: []']
			: [
					'  peers:',
					...peers.flatMap((peer) => pair('    - ', 'name', peer.name).concat(pair('      ', 'url', peer.url))),
				]),
		'',
	];
}

/** How the nodes know each other; what was asked for is written, be it wrong, and then refused by name. */
function trustLines(options: TemplateOptions, loopback: boolean): string[] {
	const given = options.tls !== undefined || options.secretFile !== undefined;
	const tls = options.tls ?? (given || loopback ? undefined : defaultTlsFiles);
	const secret = options.secretFile ?? (given || !loopback ? undefined : defaultSecretFile);
	return [
		...pair('  ', 'tls', tls, 'mutual: every node has a certificate of this authority'),
		...pair('  ', 'secret_file', secret, 'the same on all nodes: openssl rand -hex 32, mode 0600'),
	];
}

function addressOf(flag: string, text: string): { host: string; port: number } {
	const [, host, port] = /^\[?([^\]]+?)\]?:([0-9]{1,5})$/.exec(text) ?? [];
	if (host === undefined || port === undefined) {
		throw new RollcallError('usage', `${flag} must be HOST:PORT, such as 127.0.0.1:9933; got ${JSON.stringify(text)}.`);
	}
	return { host, port: Number(port) };
}

function peerOf(text: string): { name: string; url: string } {
	const split = text.indexOf('=');
	if (split < 1) throw new RollcallError('usage', 'A peer must be NAME=URL, such as alpha=wss://alpha:9933.');
	return { name: text.slice(0, split), url: text.slice(split + 1) };
}

function instancesOf(value: number | string): number | string {
	return typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
}
