import type { Socket } from 'node:net';

/** A list of thousands of processes with their environments is shorter. */
const messageBytesMax = 128 * 1024 * 1024;

type Reader = (message: Buffer) => void;

/** As PM2's sockets are made: what it answers for a connection hears each of its messages. */
export interface MessageSocket {
	onmessage(connection: Socket): Reader;
}

/**
 * PM2's own reader throws at what is no message of PM2, in the middle of a read, where nobody could catch it. The worker
 * host runs as the workers' user, who can put another program in its place: that may end its connection, not this process.
 */
export function guardReading(socket: MessageSocket): void {
	const readerOf = socket.onmessage.bind(socket);
	socket.onmessage = (connection) => {
		const read = readerOf(connection);
		let unread = 0;
		connection.on('data', (chunk: Buffer) => {
			unread += chunk.length;
			if (unread > messageBytesMax) connection.destroy();
		});
		return (message) => {
			unread = 0;
			try {
				read(message);
			} catch {
				connection.destroy();
			}
		};
	};
}
