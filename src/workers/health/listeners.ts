/**
 * What users reach of a worker: its public listeners, which of them it must have, and which one says whether it is well.
 * Pure, and loaded inside workers too (preload/self-check).
 */
import { isIPv4 } from 'node:net';
import { portNumber } from '../../config/document/values.js';
import type { ListenProtocol, ListenStatus } from '../connection/control.js';
import type { WorkerApp } from '../types.js';

/** A place where a worker takes public connections. */
export interface PublicListener {
	/** null: a unix socket. */
	port: number | null;
	/** null: any. */
	address: string | null;
	path: string | null;
	/** HTTP is spoken there. */
	http: boolean;
	/** What is spoken there. Unknown in records of earlier versions. */
	protocol?: ListenProtocol;
}

/** One that a worker has now. */
export interface SeenListener extends PublicListener {
	/** The next worker can listen there beside this one: neither port 0, exclusive nor a descriptor. */
	repeatable: boolean;
}

/** What the configuration says of an app's listeners. */
export interface ListenSettings {
	/** `PORT` in the app's environment: a port, or the path of a unix socket; null if it has none. */
	envPort: string | null;
	ports: number[];
	healthPort: number | null;
	/** Only of an app that listens nowhere on purpose: nothing is required of it. */
	listens?: false;
}

/** The listeners that an app's workers were last proven on, and the `PORT` that they had. */
export interface ProvenListeners {
	envPort: string | null;
	listeners: PublicListener[];
}

/** A listener that a worker must have, and who says so: `ports`, a changed `PORT`, or the workers before it. */
export interface RequiredListener extends PublicListener {
	by: 'ports' | 'PORT' | 'before';
}

const isHttp = (protocol: ListenProtocol): boolean => protocol !== 'tcp' && protocol !== 'tls';

/** Where a worker listens. One of an earlier version does not say whether its successor can listen there too. */
export function publicListener(listen: ListenStatus): SeenListener {
	const { port, path, host, protocol } = listen;
	return {
		port,
		address: path === null ? (listen.address ?? host) : null,
		path,
		http: isHttp(protocol),
		protocol,
		repeatable: listen.repeatable ?? (!listen.direct && (port !== null || path !== null)),
	};
}

/** Gated and ready, or public; once the worker has joined (`joined`) only public listeners count. */
export const isOpen = (listen: ListenStatus, joined: boolean): boolean =>
	joined ? listen.live : listen.live || listen.probe !== null;

/**
 * What a worker must listen on. `ports` says it all. Else it is what the workers before it had, so that no release loses
 * a port by accident; where `PORT` was changed, the new one takes the place of the old. A `PORT` that is named for the
 * first time and one that is named no longer release a worker from nothing.
 */
export function requiredListeners(settings: ListenSettings, before: ProvenListeners | undefined): RequiredListener[] {
	if (settings.listens === false) return [];
	const known = before?.listeners ?? [];
	if (settings.ports.length > 0) {
		return settings.ports.map((port) => {
			const one = known.find((listener) => listener.port === port);
			const spoken = one?.protocol === undefined ? {} : { protocol: one.protocol };
			return { port, address: null, path: null, http: one?.http ?? false, ...spoken, by: 'ports' };
		});
	}
	const { envPort } = settings;
	const all = known.map((one) => ({ ...one, by: 'before' as const }));
	if (before === undefined || before.envPort === envPort || envPort === null || known.length === 0) return all;
	const old = known.find((one) => isNamedBy(one, before.envPort));
	if (old === undefined && known.some((one) => isNamedBy(one, envPort))) return all;
	const port = portNumber(envPort);
	const path = port === null ? envPort : null;
	const http = old?.http ?? known.some((one) => one.http);
	return [{ port, address: null, path, http, by: 'PORT' }];
}

/** The first required listener that is not there, in words for an operator; null when all are. */
export function missingListener(
	listens: readonly ListenStatus[],
	required: readonly RequiredListener[],
	joined: boolean,
): string | null {
	const open = listens.filter((listen) => isOpen(listen, joined)).map(publicListener);
	const missing = required.find((one) => !open.some((other) => covers(other, one)));
	if (missing === undefined) return null;
	const near = open.find((other) => isSamePlace(other, missing));
	const why = reasonFor(missing);
	if (near === undefined) return `it does not listen on ${nameOf(missing)}, ${why}`;
	if (missing.http && !near.http) return `it speaks no HTTP on ${nameOf(missing)}, ${why}`;
	if (!speaks(near, missing)) return otherProtocol(near, missing);
	return `it listens on ${nameOf(near)}, not on ${nameOf(missing)}, ${why}`;
}

function reasonFor({ by, port }: RequiredListener): string {
	switch (by) {
		case 'ports':
			return 'which ports: names';
		case 'PORT':
			return 'which PORT names';
		case 'before':
			return port === null
				? 'as the workers before it do; a release that drops it on purpose needs ports: with what is left'
				: `as the workers before it do; a release that drops it on purpose needs ports: without ${port}`;
	}
}

function otherProtocol({ protocol: now = 'tcp' }: PublicListener, missing: RequiredListener): string {
	const before = missing.protocol ?? 'tcp';
	return `it speaks ${protocolNames[now]} on ${nameOf(missing)}, where the workers before it speak ${protocolNames[before]}, so their clients would fail; a release that changes this on purpose needs another PORT`;
}

const protocolNames: Readonly<Record<ListenProtocol, string>> = {
	http: 'HTTP/1',
	https: 'HTTPS',
	h2: 'HTTP/2 over TLS',
	h2c: 'HTTP/2 without TLS',
	tcp: 'plain TCP',
	tls: 'TLS',
};

/**
 * Whether clients of the required listener are understood. A server of HTTP/2 over TLS may serve clients of HTTPS, too, and is
 * asked as one ({@link protocolToAsk}); where no HTTP was known, only TLS or its absence matters.
 */
function speaks(open: PublicListener, required: PublicListener): boolean {
	if (required.http && !open.http) return false;
	if (open.protocol === undefined || required.protocol === undefined) return true;
	if (!required.http) return isSecure(open.protocol) === isSecure(required.protocol);
	return open.protocol === required.protocol || (open.protocol === 'h2' && required.protocol === 'https');
}

const isSecure = (protocol: ListenProtocol): boolean => protocol === 'https' || protocol === 'h2' || protocol === 'tls';

/** The protocol of the clients that the workers before had there. */
export function protocolToAsk(listen: ListenStatus, required: readonly RequiredListener[]): ListenProtocol {
	const known = required.find((one) => isSamePlace(publicListener(listen), one));
	return listen.protocol === 'h2' && known?.protocol === 'https' ? 'https' : listen.protocol;
}

/** The listeners that are asked whether the worker is well, or why there are none. */
export function askedListeners(
	listens: readonly ListenStatus[],
	settings: ListenSettings,
	options: { joined: boolean; wantsHttp: boolean },
): ListenStatus[] | string {
	const { healthPort, envPort, ports } = settings;
	const open = listens.filter((listen) => isOpen(listen, options.joined));
	if (healthPort !== null) {
		const asked = open.filter((listen) => listen.port === healthPort);
		return asked.length > 0 ? asked : `it does not listen on port ${healthPort}, which health.port names`;
	}
	const named = open.filter((listen) => isNamedBy(publicListener(listen), envPort));
	if (named.length > 0) return named;
	const http = open.filter((listen) => isHttp(listen.protocol));
	const first =
		http.find((listen) => listen.port !== null && ports.includes(listen.port)) ??
		http.find((listen) => listen.port !== null) ??
		http[0];
	if (first !== undefined) return first.port === null ? [first] : http.filter((listen) => listen.port === first.port);
	// What was proven to speak no HTTP on a port is asked for a connection there; one that PORT is for is still to come.
	const raw = open.find((listen) => listen.port !== null);
	if (raw !== undefined && !options.wantsHttp && portNumber(envPort) === null) return [raw];
	const names = open.map((listen) => nameOf(publicListener(listen))).join(', ');
	return names === '' ? 'no listener of it is open yet' : `it speaks no HTTP where it listens (${names})`;
}

/** Whether one process's listener takes all the connections that the other one's would. */
export function covers(open: PublicListener, required: PublicListener): boolean {
	if (!isSamePlace(open, required) || !speaks(open, required)) return false;
	const { address } = required;
	if (address === null || open.address === null || open.address === '::' || open.address === address) return true;
	return open.address === '0.0.0.0' && isIPv4(address);
}

/** Whether a connection could be meant for either. */
export function overlaps(one: PublicListener, other: PublicListener): boolean {
	const everywhere = ({ address }: PublicListener) => address === null || address === '::' || address === '0.0.0.0';
	return isSamePlace(one, other) && (one.address === other.address || everywhere(one) || everywhere(other));
}

export function nameOf({ port, address, path }: PublicListener): string {
	if (path !== null) return path;
	if (port === null) return 'an inherited socket';
	const everywhere = address === null || address === '::' || address === '0.0.0.0';
	return everywhere && address !== '0.0.0.0' ? `port ${port}` : `port ${port} of ${address}`;
}

/** Of an inherited socket whose place is not known nothing can be said. */
const isSamePlace = (one: PublicListener, other: PublicListener): boolean =>
	one.path === other.path && one.port === other.port && (one.path !== null || one.port !== null);

function isNamedBy(listener: PublicListener, envPort: string | null): boolean {
	if (envPort === null) return false;
	const port = portNumber(envPort);
	return port === null ? listener.path === envPort : listener.port === port;
}

export function listenSettingsOf({ env, ports, health, listens }: WorkerApp): ListenSettings {
	if (!listens) return { envPort: null, ports: [], healthPort: null, listens };
	return { envPort: env['PORT'] ?? null, ports, healthPort: health.port ?? null };
}

/** What a set of workers listens on: what each of them does, with what was required of them. */
export function commonListeners(
	workers: readonly (readonly SeenListener[])[],
	required: readonly RequiredListener[],
): PublicListener[] {
	const [first = [], ...others] = workers.map((listeners) => listeners.filter((one) => one.repeatable));
	const common = first.filter((one) => others.every((listeners) => listeners.some((other) => covers(other, one))));
	const gone = required.filter((one) => !common.some((other) => isSamePlace(other, one)));
	return [...common, ...gone].map(({ port, address, path, http, protocol }) => ({
		port,
		address,
		path,
		http,
		...(protocol === undefined ? {} : { protocol }),
	}));
}
