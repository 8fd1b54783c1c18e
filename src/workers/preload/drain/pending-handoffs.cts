import fs = require('node:fs');
import type { TcpHandle } from '../node-internals.cjs';

/**
 * Time for siblings to take what the host had sent them before it died: they read their channel to its end, which
 * takes them one turn of the event loop.
 */
const hostGoneGraceMs = 1_000;

export interface Handoff {
	key: string;
	handle: TcpHandle;
	lingerMs: number | null;
}

/**
 * Connections that are on their way to a sibling. This worker keeps its descriptor of each until the host confirms the
 * move, so that a host that dies with one in its hands does not close it. Nothing reads from the descriptor meanwhile.
 */
class PendingHandoffs {
	readonly #handoffs = new Map<number, Handoff>();
	#lastTicket = 0;
	#alone = false;

	constructor(
		/** Serves a connection in this worker again. */
		private readonly takeBack: (handoff: Handoff) => void,
	) {}

	get size(): number {
		return this.#handoffs.size;
	}

	/** Returns the ticket under which the host confirms. */
	add(handoff: Handoff): number {
		this.#handoffs.set(++this.#lastTicket, handoff);
		return this.#lastTicket;
	}

	/** Ends this worker's part in a connection that another process holds. False if the ticket is unknown. */
	settle(ticket: number): boolean {
		const handoff = this.#handoffs.get(ticket);
		if (handoff === undefined) return false;
		this.#handoffs.delete(ticket);
		handoff.handle.close();
		return true;
	}

	/**
	 * The host is gone, so no confirmation can come any more. A connection that a sibling received before the host died is the sibling's; this
	 * worker serves the others again. `done` is called when all are settled.
	 */
	settleAlone(done: () => void): void {
		if (this.#alone || this.#handoffs.size === 0) return;
		this.#alone = true;
		setTimeout(() => {
			const elsewhere = socketsOfOtherProcesses();
			for (const [ticket, handoff] of this.#handoffs) {
				const socket = socketOf(handoff.handle);
				if (socket === null || elsewhere === null || elsewhere.has(socket)) this.settle(ticket);
				else {
					this.#handoffs.delete(ticket);
					this.takeBack(handoff);
				}
			}
			done();
		}, hostGoneGraceMs);
	}
}

/** The kernel's name of a socket, `socket:[inode]`, the same in every process that holds it. */
function socketOf(handle: TcpHandle): string | null {
	try {
		return fs.readlinkSync(`/proc/self/fd/${handle.fd}`);
	} catch {
		return null;
	}
}

/** All sockets of the other processes that this user may look into; null if /proc cannot be read. */
function socketsOfOtherProcesses(): Set<string> | null {
	const sockets = new Set<string>();
	try {
		for (const pid of fs.readdirSync('/proc')) {
			if (/^\d+$/.test(pid) && Number(pid) !== process.pid) collectSockets(`/proc/${pid}/fd`, sockets);
		}
		return sockets;
	} catch {
		return null;
	}
}

function collectSockets(directory: string, sockets: Set<string>): void {
	try {
		for (const descriptor of fs.readdirSync(directory)) {
			const target = readLink(`${directory}/${descriptor}`);
			if (target?.startsWith('socket:')) sockets.add(target);
		}
	} catch {
		// Another user's process, or one that has ended: no sibling.
	}
}

function readLink(path: string): string | null {
	try {
		return fs.readlinkSync(path);
	} catch {
		return null;
	}
}

export = PendingHandoffs;
