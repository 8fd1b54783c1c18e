import { closeSync } from 'node:fs';
import net from 'node:net';
import { RollcallError } from '../../errors.js';
import { type UntrustedPlace, openUntrustedSocket, pathOfDescriptor } from '../../system/files/untrusted-file.js';
import { Allowance } from './allowance.js';
import type { Addressee, ControlAnswer, ControlCommand, ControlPush, WorkerStatus } from './control.js';
import { parseControlLine } from './control-messages.js';

/** An answer holds at most ten faults of 2,000 characters and the listens. */
const lineCharactersMax = 262_144;
const callsMax = 64;
const callTimeoutDefaultMs = 8_000;
/**
 * Characters that a worker may say unasked: at once, and a second. A report each second and a few faults, each with the
 * status, are far below it. Each read, and each line, costs as much as so many characters.
 */
const unaskedAtOnce = 4 * 1024 * 1024;
const unaskedPerSecond = 256 * 1024;
const readCost = 1_024;

/** What has to be true of a socket, and of who answers there. */
export interface ExpectedWorker {
	/** Below it lies the socket, which belongs to its owner. */
	place: UntrustedPlace;
	/** Every command is for it, and every answer has to be its own. */
	worker: Addressee;
}

export interface ControlOptions {
	/** Without it any listener at the path is taken for the worker. */
	expected?: ExpectedWorker;
	onPush?: (push: ControlPush) => void;
	/** The worker's process is gone, it let this client go, or it said what it may not (`reason`); not called after close(). */
	onClose?: (reason: string | null) => void;
	/** For every call; default 8,000: a host that stalls must not look like a dead worker. */
	callTimeoutMs?: number;
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
	try {
		return new ControlConnection(await connect(path, options.expected?.place), path, options);
	} catch (cause) {
		const text = `Worker control socket ${path} takes no connection: ${(cause as Error).message}.`;
		throw new RollcallError('unreachable', text, {}, { cause });
	}
}

async function connect(path: string, place: UntrustedPlace | undefined): Promise<net.Socket> {
	if (place === undefined) return connectTo(path);
	const descriptor = openUntrustedSocket(path, place);
	try {
		return await connectTo(pathOfDescriptor(descriptor));
	} finally {
		closeSync(descriptor);
	}
}

function connectTo(path: string): Promise<net.Socket> {
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

type Command = ControlCommand extends infer One
	? One extends { seq: number }
		? Omit<One, 'seq' | 'to'>
		: never
	: never;

class ControlConnection implements WorkerControl {
	readonly #calls = new Map<number, Call>();
	#seq = 0;
	#rest = '';
	#closed = false;
	#fault: string | null = null;
	readonly #unasked = new Allowance(unaskedAtOnce, unaskedPerSecond);

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
			socket.write(`${JSON.stringify({ seq, ...this.#addressed, ...command })}\n`);
		});
	}

	get #addressed(): { to?: Addressee } {
		const { worker } = this.options.expected ?? {};
		return worker === undefined ? {} : { to: { id: worker.id, pid: worker.pid } };
	}

	#read(text: string): void {
		const lines = (this.#rest + text).split('\n');
		this.#rest = lines.pop() ?? '';
		if (this.#unasked.take(text.length + readCost * (1 + lines.length)) > 0) {
			this.#refuse(`it said more than ${unaskedPerSecond} characters a second that it was not asked for`);
		} else if (this.#rest.length > lineCharactersMax) {
			this.#refuse(`it said a line of more than ${lineCharactersMax} characters`);
		}
		for (const line of lines) {
			if (this.socket.destroyed) return;
			this.#hear(line);
		}
	}

	#hear(line: string): void {
		const message = parseControlLine(line);
		if (message === null) this.#refuse('it said what is none of its words');
		else if (this.#isOfAnother(message)) this.#refuse('another process answered in its place');
		else if (!('seq' in message)) {
			if (!this.#closed) this.options.onPush?.(message);
		} else if (this.#settle(message)) this.#unasked.giveBack(line.length + 2 * readCost);
	}

	#isOfAnother(message: ControlAnswer | ControlPush): boolean {
		const { worker } = this.options.expected ?? {};
		if (worker === undefined || !('status' in message)) return false;
		return message.status.id !== worker.id || message.status.pid !== worker.pid;
	}

	#refuse(reason: string): void {
		this.#fault = reason;
		this.socket.destroy();
	}

	/** False for an answer to no open command. */
	#settle(answer: ControlAnswer): boolean {
		const call = this.#calls.get(answer.seq);
		if (call === undefined) return false;
		this.#calls.delete(answer.seq);
		clearTimeout(call.timer);
		if (answer.ok) {
			call.resolve(answer.status);
			return true;
		}
		const { code, error, status } = answer;
		const fault = code === 'EADDRINUSE' ? 'address_in_use' : 'unavailable';
		call.reject(new RollcallError(fault, `Worker ${status.id} (process ${status.pid}): ${error}.`, { code, status }));
		return true;
	}

	#lost(): void {
		this.#rejectAll();
		if (!this.#closed) this.options.onClose?.(this.#fault);
	}

	#rejectAll(): void {
		for (const call of this.#calls.values()) {
			clearTimeout(call.timer);
			call.reject(this.#unreachable());
		}
		this.#calls.clear();
	}

	#unreachable(): RollcallError {
		const why = this.#fault === null ? '' : `: ${this.#fault}`;
		return new RollcallError('unreachable', `The connection to the worker at ${this.path} is closed${why}.`);
	}
}
