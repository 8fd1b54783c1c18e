import type { Socket } from 'node:net';
import { Allowance } from '../connection/allowance.js';

/** A list of thousands of processes with their environments is shorter. */
const messageBytesMax = 32 * 1024 * 1024;
/** A message costs as much as so many bytes, however short it is. */
const messageCost = 4_096;

/** Bytes that may come at once, and a second. What comes beyond waits in the kernel, and so does who said it. */
export interface Pace {
	atOnce: number;
	perSecond: number;
}

/** Answers: a list of hundreds of workers is megabytes, and many may be asked for in a row. */
export const answersPace: Pace = { atOnce: 256 * 1024 * 1024, perSecond: 64 * 1024 * 1024 };
/** Events: a few for each process that starts or ends. Hosts of earlier versions send what workers log, too. */
export const eventsPace: Pace = { atOnce: 64 * 1024 * 1024, perSecond: 8 * 1024 * 1024 };

type Reader = (message: Buffer) => void;

/** The shape of PM2's sockets: the value returned for a connection receives each of its messages. */
export interface MessageSocket {
	onmessage(connection: Socket): Reader;
}

/**
 * PM2's own reader throws at bytes that are no message of PM2, in the middle of a read, where the error cannot be caught. The worker
 * host runs as the workers' user, who can put another program in its place: that may end its connection, not this process,
 * nor keep it busy.
 */
export function guardReading(socket: MessageSocket, pace: Pace): void {
	const readerOf = socket.onmessage.bind(socket);
	socket.onmessage = (connection) => {
		const read = readerOf(connection);
		const allowance = new Allowance(pace.atOnce, pace.perSecond);
		const take = (cost: number): void => {
			const waitMs = allowance.take(cost);
			if (waitMs === 0 || connection.isPaused()) return;
			connection.pause();
			setTimeout(() => connection.resume(), waitMs).unref();
		};
		let unread = 0;
		connection.on('data', (chunk: Buffer) => {
			unread += chunk.length;
			if (unread > messageBytesMax) connection.destroy();
			else take(chunk.length);
		});
		return (message) => {
			unread = 0;
			take(messageCost);
			try {
				read(message);
			} catch {
				connection.destroy();
			}
		};
	};
}
