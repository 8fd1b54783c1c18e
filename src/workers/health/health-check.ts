/** Asks a Node worker whether it is well, where its users reach it. The supervisor asks so, and a worker itself before it joins after a crash. */
import { messageOf } from '../../errors.js';
import type { UntrustedPlace } from '../../system/files/untrusted-file.js';
import type { ListenProtocol, ListenStatus, WorkerStatus } from '../connection/control.js';
import {
	askedListeners,
	isOpen,
	type ListenSettings,
	missingListener,
	nameOf,
	protocolToAsk,
	type PublicListener,
	publicListener,
	type RequiredListener,
} from './listeners.js';
import { checkSilent } from './silent.js';
import type { Probe } from '../connection/worker-connection.js';
import { type ProbeAnswer, type ProbeTarget, probe } from '../connection/probe.js';

/** All that decides whether a worker is well. */
export interface HealthCheck extends ListenSettings {
	/** null: GET / with any status below 500. */
	path: string | null;
	timeoutMs: number;
	required: RequiredListener[];
	/** One that listens nowhere must say that it is ready. */
	ready?: true;
}

const notListening =
	'it has not called listen() yet; an app that listens nowhere, such as a queue worker, needs ports: []';

/** `place`: where the worker's sockets lie, which it names itself; null for a worker that asks itself. */
export async function checkHealth(
	status: WorkerStatus,
	check: HealthCheck,
	place: UntrustedPlace | null,
): Promise<Probe> {
	if (check.listens === false) return checkSilent(status, check);
	const { listens, faults, pid } = status;
	const listeners = listens.map(publicListener);
	const unhealthy = (detail: string): Probe => ({ healthy: false, detail, listeners, ports: [] });
	if (listens.length === 0) return unhealthy(faults[0] ?? notListening);
	const [threadPort] = status.threadPorts ?? [];
	if (threadPort !== undefined) return unhealthy(`a worker thread of it wants to listen on port ${threadPort}`);
	const joined = status.state === 'live';
	const missing = missingListener(listens, check.required, joined);
	if (missing !== null) return unhealthy(missing);
	const wantsHttp = check.path !== null || check.required.some((one) => one.http);
	const asked = askedListeners(listens, check, { joined, wantsHttp });
	if (typeof asked === 'string') return unhealthy(asked);
	const answers = await Promise.all(asked.map((listen) => ask(listen, { check, pid, place })));
	const bad = answers.find((one) => !one.healthy);
	if (bad) return unhealthy(bad.detail + elsewhere(listens, asked, check));
	const open = listens.filter((listen) => isOpen(listen, joined)).map(publicListener);
	// The listeners that are open here become the requirement for the next worker, so they are proven here.
	const shown = [...open.filter((one) => one.repeatable), ...check.required];
	const proven = [...asked, ...shown].map((one) => one.port);
	const ports = [...new Set(proven.filter((port) => port !== null))].sort((one, other) => one - other);
	return { healthy: true, detail: answers[0]?.detail ?? '', listeners, ports };
}

async function ask(
	listen: ListenStatus,
	{ check, pid, place }: { check: HealthCheck; pid: number; place: UntrustedPlace | null },
): Promise<{ healthy: boolean; detail: string }> {
	const where = nameOf(publicListener(listen));
	const path = pathFor(listen, check);
	const what = path === null ? where : `GET ${path} on ${where}`;
	const spoken = protocolToAsk(listen, check.required);
	try {
		const answer = await probe(targetOf(listen, place), {
			path,
			timeoutMs: check.timeoutMs,
			// With a path HTTP is asked for, whatever kind of server it is: some hand connections on to one that speaks it.
			protocol: path === null ? spoken : httpOver(spoken),
		});
		if (answer.pid !== null && answer.pid !== pid) {
			return { healthy: false, detail: `process ${answer.pid} answered in place of ${pid}` };
		}
		if (path === null) return { healthy: true, detail: `${where} takes connections` };
		return { healthy: isGood(answer, check.path), detail: `${what} answered ${answer.status}` };
	} catch (error) {
		return { healthy: false, detail: `${what}: ${messageOf(error)}` };
	}
}

const isGood = ({ status }: ProbeAnswer, path: string | null): boolean =>
	path === null ? status > 0 && status < 500 : status >= 200 && status < 300;

/** null asks for a connection alone: of what speaks no HTTP, and has no health path. */
function pathFor({ protocol }: ListenStatus, { path }: HealthCheck): string | null {
	if (path !== null) return path;
	return protocol === 'tcp' || protocol === 'tls' ? null : '/';
}

function httpOver(protocol: ListenProtocol): ListenProtocol {
	if (protocol === 'tcp') return 'http';
	return protocol === 'tls' ? 'https' : protocol;
}

/** The private socket; where there is none, the public one. */
function targetOf(listen: ListenStatus, place: UntrustedPlace | null): ProbeTarget {
	const socketPath = listen.probe ?? listen.path;
	if (socketPath !== null) return { socketPath, place };
	return { host: hostToAsk(publicListener(listen)), port: listen.port ?? 0 };
}

function hostToAsk({ address }: PublicListener): string {
	if (address === null || address === '0.0.0.0') return '127.0.0.1';
	return address === '::' ? '::1' : address;
}

/** An operator may not know yet that the health path can be another port's. */
function elsewhere(listens: readonly ListenStatus[], asked: readonly ListenStatus[], check: HealthCheck): string {
	if (check.path === null || check.healthPort !== null) return '';
	const others = listens.filter((one) => one.port !== null && !asked.some(({ port }) => port === one.port));
	const ports = [...new Set(others.map((one) => one.port))].join(', ');
	return ports === '' ? '' : `; if ${check.path} is of port ${ports}, say so in health.port`;
}
