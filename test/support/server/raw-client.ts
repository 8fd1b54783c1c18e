import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** A connection on which a test writes bytes as it likes; keeps what came back. */
export class RawClient {
	readonly socket: Socket;
	received = '';

	private constructor(socket: Socket) {
		this.socket = socket;
		socket.setEncoding('utf8');
		socket.on('data', (text) => {
			this.received += text;
		});
		// How a connection ends is what tests ask about; a reset is one way.
		socket.on('error', () => undefined);
	}

	static async open(target: NetConnectOpts): Promise<RawClient> {
		const socket = connect(target);
		const client = new RawClient(socket);
		await once(socket, 'connect');
		return client;
	}

	write(text: string | Buffer): void {
		this.socket.write(text);
	}

	/** Resolves with everything received when the other side has ended the connection; ms until then. */
	async ended(): Promise<{ received: string; ms: number }> {
		const began = performance.now();
		if (!this.socket.closed) await once(this.socket, 'close');
		return { received: this.received, ms: performance.now() - began };
	}

	/** Resolves when the text has come; rejects if the connection ends before. */
	async until(text: string): Promise<void> {
		while (!this.received.includes(text)) {
			if (this.socket.closed) throw new Error(`the connection ended before ${JSON.stringify(text)} came`);
			await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')]);
		}
	}

	destroy(): void {
		this.socket.destroy();
	}
}
