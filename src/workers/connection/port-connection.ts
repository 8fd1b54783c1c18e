import { EventEmitter } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { isAlive } from '../../system/proc/process.js';
import type { Clock } from '../clock.js';
import type { HealthCheck } from '../health/health-check.js';
import { overriddenPort } from '../pool/places.js';
import type { JoinResult, ConnectionEvents, ConnectionStatus, Probe, WorkerConnection } from './worker-connection.js';
import type { ProcessEnds } from './process-ends.js';
import { type HeldSockets, probeSharedPort } from './shared-port.js';
import type { WorkerApp, WorkerIdentity } from '../types.js';

interface PortConnectionParts {
	clock: Clock;
	ends: ProcessEnds;
	/** Where others listen on the same port: how to tell which sockets it holds. */
	held: HeldSockets | null;
}

/**
 * The line to a program that has no preload: it is asked on its own port, and it is gone when the kernel says so. It takes
 * public connections from the moment it listens; nothing can hold it back.
 */
export class PortConnection extends EventEmitter<ConnectionEvents> implements WorkerConnection {
	private readonly cancel: () => void;

	constructor(
		private readonly identity: WorkerIdentity,
		/** null: the app listens nowhere that we know of; that it lives is all that can be asked. */
		private readonly port: number | null,
		private readonly app: Pick<WorkerApp, 'health' | 'env'>,
		private readonly parts: PortConnectionParts,
	) {
		super();
		this.cancel = parts.ends.watch(identity, () => this.emit('closed'));
	}

	async probe({ healthPort }: Pick<HealthCheck, 'healthPort'>): Promise<Probe> {
		if (!isAlive(this.identity)) return { healthy: false, detail: 'its process is gone' };
		if (this.port === null) return { healthy: true, detail: 'its process lives', ports: [] };
		const answer = await this.ask(this.port, healthPort ?? this.port);
		if (answer.healthy) return { ...answer, ports: [this.port] };
		return { ...answer, detail: answer.detail + overriddenPort(this.app, this.port), ports: [] };
	}

	/** The port that its users reach must be open, whichever one says how it is. */
	private async ask(port: number, healthPort: number): Promise<Probe> {
		const { identity } = this;
		const { health } = this.app;
		const { clock, held } = this.parts;
		if (held !== null) return probeSharedPort({ identity, port, health, clock, held });
		if (health.path === null || healthPort !== port) {
			const open = await probePort(port, health.timeoutMs);
			if (!open.healthy || healthPort === port) return open;
		}
		if (health.path === null) return probePort(healthPort, health.timeoutMs);
		return probePath(healthPort, health.path, health.timeoutMs);
	}

	async status(): Promise<ConnectionStatus> {
		const { healthy } = await this.probe({ healthPort: this.app.health.port ?? null });
		// What it has served is not known: the time after joining has to do.
		return { joined: healthy, listening: healthy, served: 0, faults: [], listeners: [] };
	}

	async join(): Promise<JoinResult> {
		return { ok: true };
	}

	async drain(): Promise<boolean> {
		return false;
	}

	close(): void {
		this.cancel();
		this.removeAllListeners();
	}
}

function probePort(port: number, timeoutMs: number): Promise<Probe> {
	return new Promise((resolve) => {
		const socket = net.connect({ port, host: '127.0.0.1', timeout: timeoutMs });
		const end = (healthy: boolean, detail: string) => {
			socket.destroy();
			resolve({ healthy, detail });
		};
		socket.once('connect', () => end(true, `port ${port} takes connections`));
		socket.once('timeout', () => end(false, `port ${port} did not take a connection within ${timeoutMs} ms`));
		socket.once('error', (error) => end(false, `port ${port}: ${error.message}`));
	});
}

function probePath(port: number, path: string, timeoutMs: number): Promise<Probe> {
	return new Promise((resolve) => {
		const request = http.get(
			{ host: '127.0.0.1', port, path, agent: false, signal: AbortSignal.timeout(timeoutMs) },
			(response) => {
				const status = response.statusCode ?? 0;
				response.resume();
				resolve({ healthy: status >= 200 && status < 300, detail: `GET ${path} on port ${port} answered ${status}` });
			},
		);
		request.once('error', (error) => {
			const late = error.name === 'AbortError' || error.name === 'TimeoutError';
			const detail = late ? `no answer within ${timeoutMs} ms` : error.message;
			resolve({ healthy: false, detail: `GET ${path} on port ${port}: ${detail}` });
		});
	});
}
