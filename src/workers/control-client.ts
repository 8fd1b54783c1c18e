import net from 'node:net';
import { RollcallError } from '../errors.js';
import type { ControlAnswer, ControlCommand, ControlPush, WorkerStatus } from './control.js';
import { parseControlLine } from './control-messages.js';

/** An answer holds at most ten faults of 2,000 characters and the listens. */
const lineCharactersMax = 262_144;
const callsMax = 64;
const callTimeoutDefaultMs = 8_000;
const connectRetryMs = 20;

export interface ControlOptions {
	onPush?: (push: ControlPush) => void;
	/** The worker's process is gone, or it let this client go; not called after close(). */
	onClose?: () => void;
	/** For every call; default 8,000: a host that stalls must not look like a dead worker. */
	callTimeoutMs?: number;
	/** The socket appears only when the worker's process has begun: go on trying for so long. Default 0: once. */
	connectWithinMs?: number;
}

/** A connection to the preload of one worker process. Calls reject with `timeout`, `unreachable` or, refused, `unavailable`. */
export interface WorkerControl {
	status(): Promise<WorkerStatus>;
	/** Joins the public listening. A refusal is `address_in_use` or `unavailable` and carries `{code, status}`; then nothing is public. */
	live(): Promise<WorkerStatus>;
	/** Resolves when the drain has begun; its end is pushed as `drained`, and then the connection closes. */
	drain(options: { timeoutMs: number; handOver: boolean }): Promise<WorkerStatus>;
	close(): void;
}

/** Connects to a worker's control socket; rejects with `unreachable`. */
export async function connectWorker(path: string, options: ControlOptions = {}): Promise<WorkerControl> {
	const until = performance.now() + (options.connectWithinMs ?? 0);
	for (;;) {
		try {
			return new ControlConnection(await connect(path), path, options);
		} catch (cause) {
			if (performance.now() >= until) {
				const text = `Worker control socket ${path} takes no connection: ${(cause as Error).message}.`;
				throw new RollcallError('unreachable', text, {}, { cause });
			}
			await new Promise((resolve) => setTimeout(resolve, connectRetryMs));
		}
	}
}

function connect(path: string): Promise<net.Socket> {
	return new Promise((resolve, reject) => {
		const socket = net.connect(path);
		socket.once('error', reject);
		socket.once('connect', () => {
			socket.removeListener('error', reject);
			resolve(socket);
		});
	});
}

interface Call {
	resolve(status: WorkerStatus): void;
	reject(error: Error): void;
	timer: NodeJS.Timeout;
}

type Command = ControlCommand extends infer One ? (One extends { seq: number } ? Omit<One, 'seq'> : never) : never;

class ControlConnection implements WorkerControl {
	readonly #calls = new Map<number, Call>();
	#seq = 0;
	#rest = '';
	#closed = false;

	constructor(
		private readonly socket: net.Socket,
		private readonly path: string,
		private readonly options: ControlOptions,
	) {
		socket.setEncoding('utf8');
		socket.on('data', (text: string) => this.#read(text));
		socket.on('error', () => socket.destroy());
		socket.once('close', () => this.#lost());
	}

	status(): Promise<WorkerStatus> {
		return this.#call({ command: 'status' });
	}

	live(): Promise<WorkerStatus> {
		return this.#call({ command: 'live' });
	}

	drain(options: { timeoutMs: number; handOver: boolean }): Promise<WorkerStatus> {
		return this.#call({ command: 'drain', ...options });
	}

	close(): void {
		this.#closed = true;
		this.socket.destroy();
		this.#rejectAll();
	}

	#call(command: Command): Promise<WorkerStatus> {
		const { path, socket } = this;
		if (socket.destroyed) return Promise.reject(this.#unreachable());
		if (this.#calls.size >= callsMax) {
			return Promise.reject(
				new RollcallError('unavailable', `${path}: ${callsMax} calls are waiting for an answer already.`),
			);
		}
		const seq = ++this.#seq;
		const timeoutMs = this.options.callTimeoutMs ?? callTimeoutDefaultMs;
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => {
				this.#calls.delete(seq);
				const text = `Worker at ${path} did not answer '${command.command}' within ${timeoutMs} ms: it is blocked or stopped.`;
				reject(new RollcallError('timeout', text));
			}, timeoutMs);
			this.#calls.set(seq, { resolve, reject, timer });
			socket.write(`${JSON.stringify({ seq, ...command })}\n`);
		});
	}

	#read(text: string): void {
		const lines = (this.#rest + text).split('\n');
		this.#rest = lines.pop() ?? '';
		if (this.#rest.length > lineCharactersMax) {
			this.socket.destroy();
			return;
		}
		for (const line of lines) {
			const message = parseControlLine(line);
			if (message === null) {
				this.socket.destroy();
				return;
			}
			if ('seq' in message) this.#settle(message);
			else if (!this.#closed) this.options.onPush?.(message);
		}
	}

	#settle(answer: ControlAnswer): void {
		const call = this.#calls.get(answer.seq);
		if (call === undefined) return;
		this.#calls.delete(answer.seq);
		clearTimeout(call.timer);
		if (answer.ok) {
			call.resolve(answer.status);
			return;
		}
		const { code, error, status } = answer;
		const fault = code === 'EADDRINUSE' ? 'address_in_use' : 'unavailable';
		call.reject(new RollcallError(fault, `Worker ${status.id} (process ${status.pid}): ${error}.`, { code, status }));
	}

	#lost(): void {
		this.#rejectAll();
		if (!this.#closed) this.options.onClose?.();
	}

	#rejectAll(): void {
		for (const call of this.#calls.values()) {
			clearTimeout(call.timer);
			call.reject(this.#unreachable());
		}
		this.#calls.clear();
	}

	#unreachable(): RollcallError {
		return new RollcallError('unreachable', `The connection to the worker at ${this.path} is closed.`);
	}
}
