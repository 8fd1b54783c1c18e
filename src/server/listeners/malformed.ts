import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

interface Fault {
	status: number;
	text: string;
}

/**
 * Answers what node:http could not read. A client takes each answer for that to its oldest open request, so a fault is told
 * only in its own place: after the answers to all requests before it, and never beside an answer to the same request.
 */
export class MalformedRequests {
	/** The newest request of each connection. Answers have the order of their requests: once its answer is over, all are. */
	readonly #newest = new WeakMap<Socket, { request: IncomingMessage; response: ServerResponse }>();
	readonly #waiting = new WeakSet<Socket>();

	constructor(private readonly answer: (response: ServerResponse, status: number, text: string) => void) {}

	/** The head of a request has come. */
	began(request: IncomingMessage, response: ServerResponse): void {
		this.#newest.set(request.socket, { request, response });
	}

	refuse(error: Error & { code?: string }, socket: Socket): void {
		// Who failed at TLS, or has gone, can be told nothing: what is written would wait for a handshake that never ends.
		const isHttp = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' || error.code?.startsWith('HPE_');
		if (!isHttp || !socket.writable) {
			socket.destroy();
			return;
		}
		// Each piece that follows a malformed one is malformed.
		if (this.#waiting.has(socket)) return;
		const fault = faultOf(error.code);
		const newest = this.#newest.get(socket);
		if (!newest) writeFault(socket, fault);
		else if (newest.request.complete) this.#afterwards(newest.response, socket, () => writeFault(socket, fault));
		else if (newest.response.headersSent) this.#afterwards(newest.response, socket, () => socket.end());
		else {
			newest.response.setHeader('connection', 'close');
			this.answer(newest.response, fault.status, fault.text);
		}
	}

	#afterwards(response: ServerResponse, socket: Socket, end: () => void): void {
		if (response.writableFinished) {
			end();
			return;
		}
		this.#waiting.add(socket);
		response.once('close', () => {
			this.#waiting.delete(socket);
			if (socket.writable) end();
			else socket.destroy();
		});
	}
}

function faultOf(code: string | undefined): Fault {
	switch (code) {
		case 'ERR_HTTP_REQUEST_TIMEOUT':
			return { status: 408, text: 'The request took too long to arrive.' };
		case 'HPE_HEADER_OVERFLOW':
			return { status: 431, text: 'The headers are too large.' };
		default:
			return { status: 400, text: 'The request is not valid HTTP.' };
	}
}

/** There is no response to write it with: no head of a request has come. */
function writeFault(socket: Socket, { status, text }: Fault): void {
	const body = JSON.stringify({ error: text });
	socket.end(
		`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
			`Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
	);
}
