import net = require('node:net');
import removeFile = require('../remove-file.cjs');
import servers = require('../listen/native-server.cjs');
import type { Addressee, ControlAnswer, ControlCommand, ControlPush } from '../../connection/control.js';

const lineBytesMax = 4_096;
const clientsMax = 16;
/** A client that does not read its pushes is let go rather than kept in memory for. */
const unreadBytesMax = 1_048_576;
const flushMs = 250;

/**
 * The worker's control socket. It is never a reason for the process to stay: an app that has nothing left to do ends
 * as it would without it.
 */
class ControlServer {
	/** Told when the first client comes and when the last one has gone. */
	onAudience: (present: boolean) => void = () => undefined;
	/** What a client that has just connected is told first: what happened before it came. */
	greeting: () => ControlPush | null = () => null;
	readonly #server = servers.createOwnServer({});
	readonly #clients = new Set<net.Socket>();

	constructor(
		private readonly path: string,
		private readonly self: Addressee,
		private readonly answer: (command: ControlCommand) => Promise<ControlAnswer>,
	) {
		this.#server.on('connection', (socket) => this.#accept(socket));
	}

	listen(mode: number): void {
		this.#server.on('error', (error) => {
			process.stderr.write(`rollcall: the control socket ${this.path} cannot be opened: ${error.message}\n`);
		});
		removeFile(this.path);
		servers.listenPrivately(this.#server, this.path, mode);
		this.#server.unref();
	}

	get hasAudience(): boolean {
		return this.#clients.size > 0;
	}

	#accept(socket: net.Socket): void {
		if (this.#clients.size >= clientsMax) {
			socket.destroy();
			return;
		}
		socket.unref();
		socket.setEncoding('utf8');
		this.#clients.add(socket);
		if (this.#clients.size === 1) this.onAudience(true);
		const greeting = this.greeting();
		if (greeting !== null) this.#write(socket, greeting);
		let rest = '';
		socket.on('data', (text: string) => {
			const lines = (rest + text).split('\n');
			rest = lines.pop() ?? '';
			if (rest.length > lineBytesMax) socket.destroy();
			for (const line of lines) this.#command(socket, line);
		});
		socket.on('error', () => socket.destroy());
		socket.once('close', () => {
			this.#clients.delete(socket);
			if (this.#clients.size === 0) this.onAudience(false);
		});
	}

	#command(socket: net.Socket, line: string): void {
		const command = parseCommand(line, this.self);
		if (command === null) {
			socket.destroy();
			return;
		}
		void this.answer(command).then((answer) => this.#write(socket, answer));
	}

	#write(socket: net.Socket, message: ControlAnswer | ControlPush): void {
		if (socket.destroyed) return;
		if (socket.writableLength > unreadBytesMax) socket.destroy();
		else socket.write(`${JSON.stringify(message)}\n`);
	}

	push(message: ControlPush): void {
		for (const socket of this.#clients) this.#write(socket, message);
	}

	/** Resolves when all that was pushed is on its way, or cannot be. */
	async flush(): Promise<void> {
		const written = [...this.#clients].map((socket) => new Promise((resolve) => socket.write('', resolve)));
		await Promise.race([Promise.all(written), new Promise((resolve) => setTimeout(resolve, flushMs))]);
	}

	removeSocket(): void {
		removeFile(this.path);
	}
}

/** null if the line is not a command, or is for another worker. */
function parseCommand(line: string, self: Addressee): ControlCommand | null {
	let value: Partial<Record<string, unknown>>;
	try {
		value = JSON.parse(line);
	} catch {
		return null;
	}
	if (typeof value !== 'object' || value === null || typeof value['seq'] !== 'number') return null;
	const { seq, command, to } = value;
	if (to !== undefined && !isSame(to, self)) return null;
	switch (command) {
		case 'status':
		case 'live':
			return { seq, command };
		case 'drain': {
			const { timeoutMs, handOver } = value;
			if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) return null;
			return { seq, command, timeoutMs, handOver: handOver === true };
		}
		case 'lend':
			return typeof value['path'] === 'string' ? { seq, command, path: value['path'] } : null;
		default:
			return null;
	}
}

function isSame(to: unknown, self: Addressee): boolean {
	const { id, pid } = typeof to === 'object' && to !== null ? (to as Partial<Addressee>) : {};
	return id === self.id && pid === self.pid;
}

export = ControlServer;
