import net from 'node:net';
import { within } from '../workers/primary.js';

export const frameType = { data: 0, headers: 1, settings: 4, ping: 6, goaway: 7 } as const;

export interface Frame {
	type: number;
	flags: number;
	stream: number;
	payload: Buffer;
}

const headBytes = 9;
const acknowledged = 0x1;
/** END_STREAM and END_HEADERS. */
const wholeRequest = 0x5;
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** GET / of the authority x, from HPACK's static table. */
const requestFields = Buffer.from([0x82, 0x86, 0x84, 0x41, 0x01, 0x78]);

/**
 * An HTTP/2 connection to write to frame by frame. It acknowledges nothing by itself.
 */
export class Http2Line {
	readonly #frames: Frame[] = [];
	#rest = Buffer.alloc(0);
	#look: () => void = () => undefined;

	constructor(
		port: number,
		readonly socket: net.Socket = net.connect(port, '127.0.0.1'),
	) {
		socket.write(preface);
		this.send(frameType.settings, 0, 0);
		socket.on('data', (chunk: Buffer) => this.#read(chunk));
		socket.on('error', () => undefined);
	}

	#read(chunk: Buffer): void {
		this.#rest = Buffer.concat([this.#rest, chunk]);
		while (this.#rest.length >= headBytes) {
			const end = headBytes + this.#rest.readUIntBE(0, 3);
			if (this.#rest.length < end) break;
			const [type = 0, flags = 0] = this.#rest.subarray(3, 5);
			const payload = Buffer.from(this.#rest.subarray(headBytes, end));
			this.#frames.push({ type, flags, stream: this.#rest.readUInt32BE(5), payload });
			this.#rest = this.#rest.subarray(end);
		}
		this.#look();
	}

	send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
		const head = Buffer.alloc(headBytes);
		head.writeUIntBE(payload.length, 0, 3);
		head[3] = type;
		head[4] = flags;
		head.writeUInt32BE(stream, 5);
		this.socket.write(Buffer.concat([head, payload]));
	}

	ask(stream: number): void {
		this.send(frameType.headers, wholeRequest, stream, requestFields);
	}

	acknowledge(ping: Frame): void {
		this.send(frameType.ping, acknowledged, 0, ping.payload);
	}

	/** The next frame of this type on this stream (0: the connection), be it there already or yet to come. */
	frame(type: number, stream = 0): Promise<Frame> {
		return this.#next(`frame ${type}`, (frame) => frame.type === type && frame.stream === stream);
	}

	#next(what: string, isIt: (frame: Frame) => boolean): Promise<Frame> {
		return within(
			what,
			new Promise((resolve) => {
				this.#look = () => {
					const index = this.#frames.findIndex(isIt);
					const [found] = index < 0 ? [] : this.#frames.splice(index, 1);
					if (found !== undefined) resolve(found);
				};
				this.#look();
			}),
		);
	}
}
